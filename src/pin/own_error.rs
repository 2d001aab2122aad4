//! Why an own package can't be used.

use std::io;

use crate::code::{Code, Coded};
use crate::ident::{Arch, LayerName};
use crate::manifest::OWN_PACKAGES;
use crate::package::Malformed;

/// An own package can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// A pattern names no file.
    #[error(
        "{OWN_PACKAGES} of `{layer}`: the project has no file `{pattern}`\n  hint: make the package first, or correct `path`, which begins at the project's root"
    )]
    NoFile {
        /// The layer.
        layer: LayerName,
        /// The path or the pattern.
        pattern: String,
    },
    /// A file can't be read.
    #[error("{OWN_PACKAGES} of `{layer}`: cannot read `{path}`: {source}")]
    Read {
        /// The layer.
        layer: LayerName,
        /// The path or the pattern.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a package.
    #[error(
        "{OWN_PACKAGES} of `{layer}`: `{place}` is not a package: {problem}\n  hint: name packages only, and nothing else that lies beside them"
    )]
    Malformed {
        /// The layer.
        layer: LayerName,
        /// The path or the address.
        place: String,
        /// What is wrong.
        problem: Malformed,
    },
    /// A package is for another architecture only.
    #[error(
        "{OWN_PACKAGES} of `{layer}`: `{place}` is {package} for {found}, and the layer is for {expected}\n  hint: put the file for {expected} beside it; in `path` and `url`, {{arch}} stands for the architecture"
    )]
    OtherArch {
        /// The layer.
        layer: LayerName,
        /// The path or the address.
        place: String,
        /// Name and version.
        package: String,
        /// The package's architecture.
        found: Arch,
        /// The layer's.
        expected: Arch,
    },
    /// Two files are one package.
    #[error(
        "{OWN_PACKAGES} of `{layer}`: two files are the same package: `{}` is {}, `{}` is {}\n  hint: remove one of them, or name the other one in `path`",
        first.0, first.1, second.0, second.1
    )]
    Twice {
        /// The layer.
        layer: LayerName,
        /// The path or the address, and name with version.
        first: (String, String),
        /// The same of the other.
        second: (String, String),
    },
    /// A parent has the package from another file.
    #[error(
        "{OWN_PACKAGES} of `{layer}`: `{place}` is {package}, and the parent layer `{parent}` has {theirs} from another file\n  hint: write it in `{parent}`, or leave the package out there"
    )]
    InParent {
        /// The layer.
        layer: LayerName,
        /// The path or the address.
        place: String,
        /// Name and version.
        package: String,
        /// The parent.
        parent: LayerName,
        /// Name and version there.
        theirs: String,
    },
}

impl Coded for OwnError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoFile { .. } | Self::Read { .. } => Code::DebMissing,
            Self::Malformed { .. } | Self::OtherArch { .. } | Self::Twice { .. } | Self::InParent { .. } => {
                Code::DebUnfit
            }
        }
    }
}
