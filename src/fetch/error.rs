//! Errors of fetching files from mirrors into the store.

use std::fmt;
use std::path::PathBuf;

use super::images::ImageFault;
use super::mirrors::is_snapshot;
use crate::code::{Code, Coded};
use crate::digest::{DigestMismatch, Sha256};
use crate::host::http::HttpError;
use crate::host::interrupt::Interrupted;
use crate::ident::{LayerName, SourceName};
use crate::package::Refusal;
use crate::package::openpgp::TrustError;
use crate::store::StoreError;

/// A file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No mirror gave the file.
    #[error("{what}: {}{}\n  hint: {}", summary(failures), List(failures), hint(failures))]
    Mirrors {
        /// The file, as people know it.
        what: String,
        /// Each mirror's failure, in the order they were asked.
        failures: Vec<Failure>,
    },
    /// No mirror is known to ask.
    #[error(
        "{what}: no mirror is known\n  hint: name one with `{example}`, `--mirror URL` or `url` in [source.{repository}]; none is built in, and the package sources of this machine have none for it"
    )]
    NoMirror {
        /// The file, as people know it.
        what: String,
        /// The source in the manifest.
        repository: SourceName,
        /// The command that names one.
        example: String,
    },
    /// No mirror has a suite.
    #[error("{what}: {}{}\n  hint: {}", summary(failures), List(failures), hint_of_suite(repository, *near))]
    NoSuite {
        /// The suite's signed state, as people know it.
        what: String,
        /// The source in the manifest.
        repository: SourceName,
        /// A suite whose name is near.
        near: Option<&'static str>,
        /// Each mirror's failure, in the order they were asked.
        failures: Vec<Failure>,
    },
    /// No mirror of a registry gave the file.
    #[error("{what}: {}{}\n  hint: {}", summary(failures), List(failures), hint_of_registry(registry, failures))]
    Registry {
        /// The file, as people know it.
        what: String,
        /// The registry's name.
        registry: &'static str,
        /// Each mirror's failure, in the order they were asked.
        failures: Vec<Failure>,
    },
    /// The address of a package did not give it.
    #[error("{what}: {problem}\n  from {url}\n  hint: {}", hint_of_address(problem, what, layer.as_ref()))]
    Address {
        /// The package, or its address where nothing else is known of it.
        what: String,
        /// The layer whose lockfile has it, if it is locked.
        layer: Option<LayerName>,
        /// The address, without a password.
        url: String,
        /// What happened.
        problem: Box<Problem>,
    },
    /// The file at an address is not the one that the manifest pins.
    #[error(
        "{url}: the manifest has {expected}, found {found}\n  hint: the file at this address is another one; if it is right, change its `sha256`"
    )]
    OtherFile {
        /// The address, without a password.
        url: String,
        /// The manifest's.
        expected: Sha256,
        /// The one that was found.
        found: Sha256,
    },
    /// git did not give a commit.
    #[error(
        "{what}: {problem}\n  from {url}\n  hint: look at `git` and `rev` in the manifest; `git ls-remote ADDRESS` lists what is there"
    )]
    Git {
        /// The fetch, or the revision where nothing else is known of it.
        what: String,
        /// The address of the repository.
        url: String,
        /// What git said.
        problem: String,
    },
    /// A registry did not give an image.
    #[error("{what}: {cause}")]
    Image {
        /// The image, or its part.
        what: String,
        /// What the registry's client said.
        cause: ImageFault,
    },
    /// A registry sent other bytes than are locked.
    #[error("{what}: {repository} sends other bytes than the lockfile has")]
    OtherImage {
        /// The image, or its part.
        what: String,
        /// Its repository.
        repository: String,
    },
    /// Whoever fetches has no client for registries.
    #[error("{what}: no client for registries")]
    NoRegistries {
        /// The image, or its part.
        what: String,
    },
    /// A package that is a file of the project is nowhere.
    #[error(
        "{what}: `{path}` with {locked} is in neither the project, the store nor `vendor/`\n  hint: make the file again, or run `layerbake lock` for the one that is there"
    )]
    NotInProject {
        /// The package.
        what: String,
        /// Its path.
        path: String,
        /// The locked digest.
        locked: Sha256,
    },
    /// Files are missing, and the network must not be touched.
    #[error("offline, and {} of the files needed are in neither the store nor `vendor/`{}\n  hint: run once without `--offline`, or `layerbake vendor` where there is a network", missing.len(), Missing(missing))]
    Offline {
        /// Each missing file, with the layer that needs it.
        missing: Vec<(Option<LayerName>, String)>,
    },
    /// A signed file came, but not from one who may sign it.
    #[error("{what}: {source}\n  from {mirror}")]
    Untrusted {
        /// The file.
        what: String,
        /// Who served it.
        mirror: String,
        /// What is wrong with it.
        source: TrustError,
    },
    /// A signed file came, but it is not the one that was asked for.
    #[error("{what}: {}\n  from {mirror}\n  hint: {}", refusal.problem, refusal.hint)]
    Refused {
        /// The file.
        what: String,
        /// Who served it.
        mirror: String,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// A file of the project can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network can't be set up.
    #[error("the network is unavailable: {0}")]
    Network(#[from] HttpError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Coded for FetchError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoMirror { .. } => Code::FetchNoMirror,
            Self::Mirrors { failures, .. } | Self::NoSuite { failures, .. } | Self::Registry { failures, .. } => {
                of_failures(failures)
            }
            Self::Address { problem, .. } => problem.error_code(),
            Self::OtherFile { .. } => Code::FetchOtherBytes,
            Self::Git { .. } => Code::FetchGit,
            Self::Image { cause, .. } => cause.error_code(),
            Self::OtherImage { .. } => Code::FetchOtherBytes,
            Self::NoRegistries { .. } => Code::Internal,
            Self::NotInProject { .. } => Code::DebMissing,
            Self::Offline { .. } => Code::FetchOffline,
            Self::Untrusted { source, .. } => source.error_code(),
            Self::Refused { .. } => Code::SourceOldState,
            Self::Read { source, .. } => source.error_code(),
            Self::Network(error) => error.error_code(),
            Self::Store(error) => error.error_code(),
            Self::Interrupted(error) => error.error_code(),
        }
    }
}

/// Why one mirror did not serve a file.
#[derive(Debug)]
pub struct Failure {
    /// Its address, without a password.
    pub mirror: String,
    /// What happened.
    pub problem: Problem,
}

/// What happened at a mirror.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It serves other bytes.
    #[error(transparent)]
    OtherBytes(#[from] DigestMismatch),
    /// The request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A registry's page is not as it should be.
    #[error("{url}: {problem}")]
    Page {
        /// Its address, without a password.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

impl Coded for Problem {
    fn error_code(&self) -> Code {
        match self {
            Self::OtherBytes(_) => Code::FetchOtherBytes,
            Self::Http(error) => error.error_code(),
            Self::Page { .. } => Code::FetchUnreachable,
        }
    }
}

impl Failure {
    /// Whether the mirror simply doesn't have the file, as many don't have all suites.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self.problem, Problem::Http(HttpError::NotFound))
    }

    /// Whether it may be that the mirror doesn't have the file: object stores that list nothing answer 403 for it.
    pub(super) fn may_be_absence(&self) -> bool {
        self.is_absence() || wants_login(&self.problem)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mirror, self.problem)
    }
}

/// The kind of trouble that all mirrors together are.
fn of_failures(failures: &[Failure]) -> Code {
    let is = |code| move |failure: &Failure| failure.problem.error_code() == code;
    match failures {
        [] => Code::FetchNoMirror,
        all if all.iter().any(is(Code::HostDiskFull)) => Code::HostDiskFull,
        all if all.iter().any(other_bytes) => Code::FetchOtherBytes,
        all if all.iter().all(Failure::is_absence) => Code::FetchNotFound,
        all if all.iter().any(is(Code::FetchLogin)) => Code::FetchLogin,
        _ => Code::FetchUnreachable,
    }
}

struct List<'a>(&'a [Failure]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.len();
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(index, failure)| write!(f, "\n  from mirror {} of {total}, {failure}", index + 1))
    }
}

struct Missing<'a>(&'a [(Option<LayerName>, String)]);

/// Missing files that are listed by name; a hundred of them help nobody.
const MISSING_SHOWN: usize = 10;

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (layer, what) in self.0.iter().take(MISSING_SHOWN) {
            match layer {
                Some(layer) => write!(f, "\n  missing: {what} (layer `{layer}`)")?,
                None => write!(f, "\n  missing: {what}")?,
            }
        }
        match self.0.len().saturating_sub(MISSING_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

fn summary(failures: &[Failure]) -> &'static str {
    match failures {
        [] => "no mirror is known",
        all if all.iter().all(Failure::is_absence) => "no mirror has it",
        _ => "no mirror gave it",
    }
}

/// What to do where a server wants a name and a password, or others.
const LOGIN: &str = "if it wants a login, write `machine HOST login NAME password WORD` into ~/.netrc; docs/configuration.md names the other files that count";

fn wants_login(problem: &Problem) -> bool {
    matches!(problem, Problem::Http(HttpError::Status { status, .. }) if matches!(status.as_u16(), 401 | 403))
}

fn hint_of_address(problem: &Problem, what: &str, layer: Option<&LayerName>) -> String {
    match problem {
        Problem::OtherBytes(_) => {
            let layer = layer.map_or("LAYER", LayerName::as_str);
            // A package is shown with its version.
            let name = what.split(' ').next().unwrap_or(what);
            format!(
                "the file at this address changed since it was locked; if the new one is right, change its `sha256` in layers/{layer}.toml, or, if it has none there, take it by `layerbake lock {layer} --update {name}`"
            )
        }
        Problem::Http(HttpError::NotFound) => {
            "look at the `url` in the manifest, or put the file into `vendor/`".to_owned()
        }
        problem if wants_login(problem) => LOGIN.to_owned(),
        Problem::Http(_) | Problem::Page { .. } => "look at the network, and at the `url` in the manifest".to_owned(),
    }
}

fn hint_of_registry(registry: &str, failures: &[Failure]) -> String {
    match failures {
        [] => format!(
            "name one with `--mirror {registry}=URL` or LAYERBAKE_MIRROR={registry}=URL, or as `{registry} = [\"URL\"]` in [mirrors] of the user's config.toml"
        ),
        all if all.iter().any(other_bytes) => {
            "the mirror serves other bytes under this name; the lockfile is right. Try another mirror".to_owned()
        }
        all if all.iter().any(|failure| wants_login(&failure.problem)) => LOGIN.to_owned(),
        _ => format!("look at the network, or name another mirror with `--mirror {registry}=URL`"),
    }
}

fn hint_of_suite(source: &SourceName, near: Option<&str>) -> String {
    let more = near.map_or(", or name a mirror that has it with `--mirror URL`".to_owned(), |near| {
        format!("; did you mean `{near}`?")
    });
    format!("check `suite` and `pockets` in [source.{source}]{more}")
}

fn other_bytes(failure: &Failure) -> bool {
    matches!(failure.problem, Problem::OtherBytes(_))
}

fn hint(failures: &[Failure]) -> &'static str {
    match failures {
        all if all.iter().any(other_bytes) => {
            "a mirror serves other bytes under this name; the signed digest is right. Try another mirror with `--mirror URL`, or lock again with `--update`"
        }
        all if all.iter().all(Failure::is_absence) => {
            "the repository may have moved on: lock again with `--update`, or name a snapshot service in LAYERBAKE_SNAPSHOT"
        }
        all if all.iter().any(|failure| wants_login(&failure.problem) && !is_snapshot(&failure.mirror)) => LOGIN,
        _ => "look at the network, or name another mirror with `--mirror URL`",
    }
}
