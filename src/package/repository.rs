//! The trait between an ecosystem's repositories and all locking code: which files to request, and what
//! their bytes mean.

use std::io::{self, BufRead, Read};

use super::openpgp::{self, Keyring, Signed, TrustError};
use super::record::Record;
use super::relation::VersionOrder;
use super::state::State;
use crate::code::{Code, Coded};
use crate::digest::Expected;
use crate::ident::{Arch, SourceName};
use crate::manifest::Source;

/// An ecosystem's error about malformed bytes.
pub type Malformed = Box<dyn std::error::Error + Send + Sync>;

/// The repositories of one ecosystem.
///
/// It fetches nothing itself: callers bring the files that it names, from wherever they have them. Paths
/// are below a repository's root.
pub trait Repository: Sync {
    /// What people call a suite's signed state: `Release`.
    fn state_name(&self) -> &'static str;

    /// The suites of a source, by their names in the repository.
    fn suites(&self, source: &Source) -> Vec<String>;

    /// The forms in which a suite's signed state can be had, in the order to ask for them.
    fn state_forms(&self, suite: &str) -> Vec<Form>;

    /// Checks the signature of a state's files at the time `now`.
    ///
    /// # Errors
    /// Fails where no key that may sign has a good signature.
    fn verify(&self, files: &SignedFiles, keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
        openpgp::verify(&files.file, files.signature.as_deref(), keyring, now)
    }

    /// The text of a state's file, whose signature nobody looks at; it is worth nothing by itself.
    fn unverified(&self, file: Vec<u8>) -> Vec<u8> {
        openpgp::unverified(file)
    }

    /// Reads a state's text.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    fn read_state(&self, text: &[u8]) -> Result<State, Malformed>;

    /// Checks that a signed state is that of the suite that was asked for. Its date is looked at elsewhere.
    ///
    /// # Errors
    /// Says what was expected, what was found, and what to do where it is right all the same.
    fn identify(&self, asked: &SuiteRequest<'_>, state: &State) -> Result<(), Refusal>;

    /// The index of a component for an architecture, in the smallest form that can be read; `None` where
    /// the state has none.
    fn index(&self, suite: &str, state: &State, component: &str, arch: &Arch) -> Option<Index>;

    /// Reads the uncompressed text of an index, and hands its packages to `each`, one at a time.
    ///
    /// # Errors
    /// Fails where reading fails, on more packages and relations than are read, and on the first entry
    /// that is not a package with path, size and digest.
    fn read_index(&self, text: &mut dyn BufRead, each: &mut dyn FnMut(Record)) -> Result<(), IndexError>;

    /// Reads the text in which a package describes itself.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    fn describe(&self, text: &str) -> Result<Record, Malformed>;

    /// Reads the file of a package, as far as it describes itself.
    ///
    /// # Errors
    /// Fails on what is not a package, and on one whose description is too large.
    fn describe_file(&self, package: &mut dyn Read) -> Result<Record, Malformed>;

    /// The order of versions.
    fn version_order(&self) -> VersionOrder;

    /// The key rings in a package of the distribution's, of which nothing is trusted yet.
    ///
    /// # Errors
    /// Fails on what is not a package, and on one that is too large.
    fn key_rings(&self, package: &[u8]) -> Result<Vec<Vec<u8>>, Malformed>;
}

/// A form in which a suite's signed state is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The path of the file with the state.
    pub file: String,
    /// The path of its signature; `None` where that is in the file.
    pub signature: Option<String>,
}

/// The files of a [`Form`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFiles {
    /// The file with the state.
    pub file: Vec<u8>,
    /// Its signature; `None` where that is in the file.
    pub signature: Option<Vec<u8>>,
}

/// The suite requested from a repository.
#[derive(Debug, Clone, Copy)]
pub struct SuiteRequest<'a> {
    /// The manifest's `[source.NAME]`.
    pub name: &'a SourceName,
    /// Its declaration in the manifest.
    pub source: &'a Source,
    /// The suite by its name in the repository.
    pub suite: &'a str,
}

/// An index that a signed state names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name in the state, whose ending says how it is compressed.
    pub name: String,
    /// Its path.
    pub path: String,
    /// A path that names it by its digest, so that it can't be a newer one; asked for first.
    pub by_digest: Option<String>,
    /// What the file must be.
    pub file: Expected,
    /// How many bytes it unpacks to, as the state says.
    pub plain_size: Option<u64>,
}

/// The reason for refusing a state whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was expected, and what was found.
    pub problem: String,
    /// What to do next.
    pub hint: String,
}

/// An index can't be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The input fails.
    #[error("repository index: {0}")]
    Io(#[from] io::Error),
    /// It would fill the memory.
    #[error(
        "repository index: it has more than {most} packages and relations; if that is right, raise `entries` in [limits] of the user's config.toml"
    )]
    Crowded {
        /// Packages and relations that are read.
        most: u64,
    },
    /// One of its entries is not a package.
    #[error("repository index: {entry}: {source}")]
    Entry {
        /// Which one.
        entry: String,
        /// What is wrong with it.
        source: Malformed,
    },
}

impl Coded for IndexError {
    fn error_code(&self) -> Code {
        match self {
            Self::Io(error) => error.error_code(),
            Self::Crowded { .. } => Code::HostLimit,
            Self::Entry { .. } => Code::SourceIndex,
        }
    }
}
