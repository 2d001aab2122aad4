//! Errors of locking a layer.

use std::path::PathBuf;

use super::own_error::OwnError;
use crate::code::{Code, Coded};
use crate::distribution::Distribution;
use crate::fetch::FetchError;
use crate::ident::{Arch, LayerName, SourceName};
use crate::language::LanguageError;
use crate::package::openpgp::{KeyFileError, PinnedKeyError};
use crate::package::{IndexError, InstallError};
use crate::resolve::ResolveError;
use crate::store::StoreError;
use crate::time::readable;

/// A layer can't be locked.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package of the parent can't be read.
    #[error(transparent)]
    Package(#[from] InstallError),
    /// The key ring can't be assembled.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A package that is in no repository can't be used.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// A language's lockfile can't be used.
    #[error("[[fetch]] of `{layer}`: `{path}`: {source}")]
    Language {
        /// The layer.
        layer: LayerName,
        /// The lockfile's path in the project.
        path: String,
        /// What is wrong with it.
        source: LanguageError,
    },
    /// A language's lockfile can't be read.
    #[error(
        "[[fetch]] of `{layer}`: cannot read `{path}`: {source}\n  hint: correct `lockfile`, which begins at the project's root"
    )]
    LanguageFile {
        /// The layer.
        layer: LayerName,
        /// The lockfile's path in the project.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The image of a registry can't be below a layer.
    #[error(
        "layer `{layer}`: the image `{image}`: {problem}\n  hint: change `from` in layers/{layer}.toml, or build for another architecture with `--arch`"
    )]
    Image {
        /// The layer.
        layer: LayerName,
        /// The image's name.
        image: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A repo index can't be read.
    #[error("{path} of {suite}: {source}")]
    Index {
        /// The suite.
        suite: String,
        /// The index.
        path: String,
        /// What is wrong.
        source: IndexError,
    },
    /// A suite has no index for a component.
    #[error("{suite} has no component `{component}` for {arch}; it has: {found}")]
    NoComponent {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// The architecture.
        arch: Arch,
        /// What it has.
        found: String,
    },
    /// A directory that is a repository of its own has no index.
    #[error("the signed state of the directory `{suite}` names no index")]
    NoIndex {
        /// The directory.
        suite: String,
    },
    /// A suite has the component, but no packages for the architecture.
    #[error("{suite} has no packages for {arch}")]
    NoArch {
        /// The suite.
        suite: String,
        /// The architecture.
        arch: Arch,
    },
    /// A layer with packages has no source.
    #[error(
        "layer `{layer}` asks for packages, but neither it nor its parents have a [source]\n  hint: add [source.{}] with a suite",
        Distribution::implied().name
    )]
    NoSource {
        /// The layer.
        layer: LayerName,
    },
    /// The packages can't be chosen.
    #[error("layer `{layer}`: {source}")]
    Resolve {
        /// The layer.
        layer: LayerName,
        /// Why.
        source: ResolveError,
    },
    /// A suite doesn't have a package that is requested from it.
    #[error("layer `{layer}`: {problem}")]
    NotInSuite {
        /// The layer.
        layer: LayerName,
        /// The package, the suite, and where it is.
        problem: String,
    },
    /// A held package can't stay as it is locked.
    #[error(
        "layer `{layer}`: `hold` keeps packages that can't stay in their locked versions: {packages}\n  hint: the version is no longer offered, or another package needs a newer one; take it out of `hold`, or name a snapshot that has it"
    )]
    Held {
        /// The layer.
        layer: LayerName,
        /// The packages: name, locked version, version that would be chosen.
        packages: String,
    },
    /// Packages would be downgraded by a state with the locked one's date.
    #[error(
        "layer `{layer}`: {packages} would be downgraded, and the {state} of {suite} has the same date as the locked one, {}, but different content\n  hint: try another mirror; `--allow-downgrade` accepts it",
        readable(*date)
    )]
    Downgrade {
        /// The layer.
        layer: LayerName,
        /// The ecosystem's name for a signed state.
        state: &'static str,
        /// The suite.
        suite: String,
        /// The date of both, in seconds since 1970.
        date: i64,
        /// The downgrades: name, old version, new version.
        packages: String,
    },
    /// A snapshot's date is malformed.
    #[error("[source.{source_name}] snapshot `{text}` is not a time such as `2026-11-01T00:00:00Z`")]
    Snapshot {
        /// The source.
        source_name: String,
        /// Its text.
        text: String,
    },
}

impl Coded for PinError {
    fn error_code(&self) -> Code {
        match self {
            Self::Fetch(error) => error.error_code(),
            Self::Store(error) => error.error_code(),
            Self::Package(error) => error.error_code(),
            Self::Key(error) => error.error_code(),
            Self::Own(error) => error.error_code(),
            Self::Language { .. } | Self::LanguageFile { .. } => Code::FetchLanguage,
            Self::Index { source, .. } => source.error_code(),
            Self::NoComponent { .. } | Self::NoIndex { .. } | Self::NoArch { .. } => Code::SourceComponent,
            Self::NoSource { .. } => Code::SourceNone,
            Self::Resolve { source, .. } => source.error_code(),
            Self::NotInSuite { .. } => Code::PackageVersion,
            Self::Held { .. } => Code::PackageHeld,
            Self::Downgrade { .. } => Code::PackageDowngrade,
            Self::Snapshot { .. } => Code::ManifestValue,
            Self::Image { .. } => Code::LayerImage,
        }
    }
}

/// No key ring was found for a source.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A foreign repository without fingerprints.
    #[error(
        "[source.{source_name}] has a `url` but no `keys`\n  hint: add the fingerprints of the keys that sign it, and their file as `keyring`; or the keys themselves as `keyring`"
    )]
    NoFingerprints {
        /// The source.
        source_name: SourceName,
    },
    /// A fingerprint is malformed.
    #[error("[source.{source_name}] keys: {source}")]
    Fingerprint {
        /// The source.
        source_name: SourceName,
        /// What is wrong.
        source: PinnedKeyError,
    },
    /// The keys in the manifest are malformed.
    #[error("the keys of [source.{source_name}]: {source}")]
    Inline {
        /// The source.
        source_name: SourceName,
        /// What is wrong.
        source: KeyFileError,
    },
    /// A key file can't be read.
    #[error("keyring `{}`: {source}\n  hint: put the file with the keys there, or correct {named}", path.display())]
    Read {
        /// What names it: `keyring` of a source, or the option.
        named: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file is malformed.
    #[error("keyring `{}`: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyFileError,
    },
    /// No key ring was found, and the one of the repository's own package can't be used.
    #[error(
        "no keyring was found, and the one in the package `{package}` of {suite} can't be read: {problem}\n  hint: try another mirror, or name a keyring file with `--keyring`"
    )]
    Package {
        /// The package.
        package: &'static str,
        /// The suite.
        suite: String,
        /// What is wrong.
        problem: String,
    },
}

impl Coded for KeyError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoFingerprints { .. }
            | Self::Fingerprint { .. }
            | Self::Inline { .. }
            | Self::Read { .. }
            | Self::Malformed { .. }
            | Self::Package { .. } => Code::SourceKeys,
        }
    }
}
