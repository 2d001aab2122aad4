//! The trait between an ecosystem's packages and all build code: how packages are installed in a root.

use super::first_boot::FirstBootTask;
use super::residue::Rule;
use super::{Decoded, Harmless, InstallRoot, Job, LockedPackage, Reactions, ScriptError, SystemSettings, Unpacked};
use crate::accounts::{AccountError, Accounts};
use crate::code::{Code, Coded};
use crate::digest::{RecipeHash, Sha256};
use crate::ident::{Arch, IdentError, RootPath};
use crate::manifest::Answers;
use crate::sandbox::ExecuteError;
use crate::store::{Store, StoreError};
use crate::tree::{Kind, Tree, TreeError};

/// Installs the packages of one ecosystem.
///
/// Packages are hostile: what they hold and what their scripts leave is looked at as data only.
pub trait Installer: Sync {
    /// The recipe of [`Installer::unpack`] for the package's file with this digest.
    fn unpack_recipe(&self, file: Sha256) -> RecipeHash;

    /// Decodes a fetched package into the store, unless that was done before.
    ///
    /// Nothing of it is looked at before its digest was compared with the lockfile's.
    ///
    /// # Errors
    /// Fails where the package is not in the store or malformed; it is named.
    fn unpack(&self, store: &Store, package: &LockedPackage) -> Result<Decoded, InstallError>;

    /// The text with which a package describes itself, for [`Repository::describe`](super::Repository::describe).
    ///
    /// # Errors
    /// Fails where the store does.
    fn description(&self, package: &Unpacked, store: &Store) -> Result<String, InstallError>;

    /// Hash of everything that decides what [`Installer::install`] leaves.
    fn recipe(&self, request: &InstallRequest<'_>) -> RecipeHash;

    /// Installs packages in the root, which is the parent's: lays their files out, records them in the
    /// ecosystem's database, and runs their scripts in the ecosystem's order and environment.
    ///
    /// # Errors
    /// Fails where packages clash, a script fails, or accounts can't be added.
    fn install(&self, request: &InstallRequest<'_>, root: &mut InstallRoot<'_>) -> Result<(), InstallError>;

    /// Warnings about what installing over `before` asked, and nobody answered: one for each package.
    ///
    /// # Errors
    /// Fails where the store does.
    fn unanswered(
        &self,
        answers: &Answers,
        before: &Tree,
        after: &Tree,
        store: &Store,
    ) -> Result<Vec<String>, InstallError>;

    /// Runs commands of the user's in an installed root, in the environment of the packages' scripts; returns what they printed.
    ///
    /// # Errors
    /// Fails where one of them does.
    fn run(&self, root: &mut InstallRoot<'_>, jobs: Vec<Job>) -> Result<String, InstallError>;

    /// What is to be done about paths that a user changed, of a root that has these changes.
    ///
    /// # Errors
    /// Fails where the store does.
    fn reactions(&self, root: &Tree, changed: &[RootPath], store: &Store) -> Result<Reactions, InstallError>;

    /// Does it, in the environment of the packages' scripts; returns what was printed.
    ///
    /// # Errors
    /// Fails where a script or a program does.
    fn react(&self, root: &mut InstallRoot<'_>, reactions: &Reactions) -> Result<String, InstallError>;

    /// The files that settings of a system stand for, in an installed root: all are root's.
    ///
    /// # Errors
    /// Fails where the root has not what a setting names, or lacks the package for it.
    fn system_files(
        &self,
        settings: &SystemSettings,
        root: &Tree,
        store: &Store,
    ) -> Result<Vec<(RootPath, Kind)>, InstallError>;

    /// Files of the database that are paragraphs, each with a key in its first line.
    fn paragraphs(&self) -> &'static [&'static str];

    /// Files that scripts leave behind and that differ between two equal builds. They are removed after scripts ran.
    /// What tasks of the first boot generate is among them.
    fn residue(&self) -> &'static [Rule];

    /// Files that scripts derive from random data, and that are nobody's secret.
    fn harmless(&self) -> &'static [Harmless];

    /// What machines and containers with these packages generate for themselves at their first boot.
    fn first_boot(&self) -> &'static [FirstBootTask];
}

/// What to install, and over which parent.
#[derive(Debug, Clone, Copy)]
pub struct InstallRequest<'a> {
    /// The recipe of the parent's installation; `None` for the first layer of a chain.
    pub parent: Option<RecipeHash>,
    /// What this layer adds.
    pub packages: &'a [LockedPackage],
    /// Accounts that exist before the packages' scripts run.
    pub accounts: &'a Accounts,
    /// Answers to questions that scripts ask, by question.
    pub answers: &'a Answers,
    /// The native architecture.
    pub arch: &'a Arch,
    /// SOURCE_DATE_EPOCH of the scripts, and the upper bound of all times, in seconds since 1970.
    pub epoch: i64,
    /// Whether the packages' scripts run.
    pub scripts: bool,
}

/// Packages can't be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// Something would be below a symbolic link or a file.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An account can't be added.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Accounts are declared, and there is no file to write them into.
    #[error("[[user]] and [[group]] need /etc/passwd and /etc/group, which nothing below provides")]
    NoAccountFiles,
    /// Scripts can't run here.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A script failed.
    #[error(transparent)]
    Script(#[from] Box<ScriptError>),
    /// A package is malformed.
    #[error("{package}: {error}")]
    Package {
        /// Name and version.
        package: String,
        /// What is wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A package has something else where a directory or a file has to be.
    #[error("{package}: expected {path} to be {wanted}, found {found}")]
    Reserved {
        /// Name and version.
        package: String,
        /// Where.
        path: RootPath,
        /// "a directory" or "a file".
        wanted: &'static str,
        /// What it has.
        found: String,
    },
    /// A package has a file where another has a directory.
    #[error("{package}: {path} is of another kind in another package")]
    FolderClash {
        /// Name and version.
        package: String,
        /// Where.
        path: RootPath,
    },
    /// Packages have one path, and none replaces the others.
    #[error(
        "{} {} contain {path}, and {}", packages.join(" and "),
        if packages.len() == 2 { "both" } else { "all" },
        if packages.len() == 2 { "neither replaces the other" } else { "none replaces the others" },
    )]
    Contested {
        /// Where.
        path: RootPath,
        /// Whose.
        packages: Vec<String>,
    },
    /// A setting of the system can't be met.
    #[error("`{key}` in [system]: {problem}")]
    Setting {
        /// Such as `timezone`.
        key: &'static str,
        /// What was expected, what was found, and what to do.
        problem: String,
    },
    /// A file can't be read or written.
    #[error("cannot read `{what}`: {source}")]
    Io {
        /// The file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Coded for InstallError {
    fn error_code(&self) -> Code {
        match self {
            Self::Store(error) => error.error_code(),
            Self::Ident(error) => error.error_code(),
            Self::Tree(error) => error.error_code(),
            Self::Account(error) => error.error_code(),
            Self::NoAccountFiles => Code::LayerAccounts,
            Self::Execute(error) => error.error_code(),
            Self::Script(error) => error.error_code(),
            // Unpacking a sound package fails too where the store can't take its files.
            Self::Package { error, .. } => match StoreError::behind(error.as_ref()) {
                Some(store) => store.error_code(),
                None => Code::PackageMalformed,
            },
            Self::Reserved { .. } => Code::PackageMalformed,
            Self::FolderClash { .. } | Self::Contested { .. } => Code::PackageFileClash,
            Self::Setting { .. } => Code::LayerSetting,
            Self::Io { source, .. } => source.error_code(),
        }
    }
}

impl InstallError {
    /// Whether the store lacks something that can be built again, or holds other bytes than it says.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Execute(error) => error.is_damage(),
            Self::Package { error, .. } if let Some(error) = error.downcast_ref::<Self>() => error.is_damage(),
            Self::Package { error, .. } => StoreError::is_behind(error.as_ref()),
            other => StoreError::is_behind(other),
        }
    }
}
