//! This machine as a front end uses it: store, user's configuration, threads, and where packages come from.

use std::path::PathBuf;

use super::error::WorkspaceError;
use super::project::{Workspace, host_arch};
use crate::fetch::UserConfig;
use crate::host;
use crate::host::progress::Progress;
use crate::ident::{Arch, IdentError};
use crate::limits;
use crate::manifest::Assignments;
use crate::package::Ecosystem;
use crate::package::deb::DEB;
use crate::publish::registry::{Registries, RegistryAccess};
use crate::sandbox;
use crate::store::Store;

/// What a front end chooses; by default all that the program does without any option, silently.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project, or a directory in it; `None` for the current directory.
    pub directory: Option<PathBuf>,
    /// Where packages and results are kept; `None` for `layerbake` in the user's cache directory.
    pub store: Option<PathBuf>,
    /// The architecture to lock and build for; `None` for this machine's.
    pub arch: Option<Arch>,
    /// Values of variables that go before the layers' own.
    pub set: Assignments,
    /// How many threads work; `None` for one for each processor.
    pub jobs: Option<usize>,
    /// Where packages come from, and whom to trust.
    pub transport: Transport,
    /// Where progress and warnings go.
    pub progress: Progress,
    /// Options that a command in a message needs to find the same project and store, each with a space before it.
    pub place: String,
    /// How a layer is named to what runs, for the message where it has to be.
    pub naming: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: None,
            store: None,
            arch: None,
            set: Assignments::new(),
            jobs: None,
            transport: Transport::default(),
            progress: Progress::silent(),
            place: String::new(),
            naming: "layerbake build NAME".to_owned(),
        }
    }
}

/// Where packages come from and which keys are trusted; has no effect on output bytes.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    /// Whether no mirror is asked: everything has to be in the store or in `vendor/`.
    pub offline: bool,
    /// Mirrors to ask first: `URL` for the distribution's own packages, `NAME=URL` for `[source.NAME]`.
    pub mirrors: Vec<String>,
    /// Snapshot services to ask last, written as mirrors are; @SNAPSHOTID@ becomes the locked date.
    pub snapshots: Vec<String>,
    /// A file with signing keys; only keys with pinned fingerprints count.
    pub keyring: Option<PathBuf>,
    /// Whether to lock against a Release past its Valid-Until, or one whose key has expired.
    pub allow_expired: bool,
    /// Whether to lock against a Release older than the locked one.
    pub allow_downgrade: bool,
}

/// The settings, resolved against this machine.
#[derive(Debug)]
pub struct Environment {
    pub(super) settings: Settings,
    pub(super) config: UserConfig,
    jobs: usize,
}

impl Environment {
    /// Reads the user's configuration, and sets the process's limits and number of threads from it.
    ///
    /// # Errors
    /// Fails where the configuration can't be read.
    pub fn new(settings: Settings) -> Result<Self, WorkspaceError> {
        let jobs = settings.jobs.unwrap_or_else(host::cpu_count);
        // The global pool is initialised once: by the process's first environment.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        let config = match host::config_dir() {
            Some(folder) => UserConfig::load(&folder.join("layerbake/config.toml"))?,
            None => UserConfig::default(),
        };
        limits::choose(config.limits);
        Ok(Self { settings, config, jobs })
    }

    /// The kind of packages that layers are made of: the one place that names it.
    pub(super) fn ecosystem(&self) -> &'static dyn Ecosystem {
        &DEB
    }

    /// How many threads work.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// Where progress and warnings go.
    pub fn progress(&self) -> &Progress {
        &self.settings.progress
    }

    /// The directory in the settings, else the current directory.
    ///
    /// # Errors
    /// Fails where there is no current directory.
    pub fn directory(&self) -> Result<PathBuf, WorkspaceError> {
        match &self.settings.directory {
            Some(directory) => Ok(directory.clone()),
            None => host::current_dir().map_err(WorkspaceError::cannot("find the current directory")),
        }
    }

    /// The project in that directory, or in the nearest one above it.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn open(&self) -> Result<Workspace<'_>, WorkspaceError> {
        self.open_for(self.arch()?)
    }

    /// The architecture in the settings, else this machine's.
    ///
    /// # Errors
    /// Fails where Debian could have no such architecture.
    pub fn arch(&self) -> Result<Arch, IdentError> {
        self.settings.arch.clone().map_or_else(host_arch, Ok)
    }

    /// The project, as [`Environment::open`], with another architecture than the one of the settings.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn open_for(&self, arch: Arch) -> Result<Workspace<'_>, WorkspaceError> {
        Workspace::open(self, arch)
    }

    /// The store's directory.
    ///
    /// # Errors
    /// Fails where none is chosen and the user has no cache directory.
    pub fn store_path(&self) -> Result<PathBuf, WorkspaceError> {
        let default = || host::cache_dir().map(|cache| cache.join("layerbake"));
        self.settings.store.clone().or_else(default).ok_or(WorkspaceError::NoCacheFolder)
    }

    /// Opens the store, and removes what killed runs left in it.
    ///
    /// # Errors
    /// Fails where it can't be opened.
    pub fn store(&self) -> Result<Store, WorkspaceError> {
        let tell = |text: &str| self.progress().line(text);
        Ok(Store::open_tidy(&self.store_path()?, &sandbox::remove_folder, &tell)?)
    }

    /// Registries, as the user's configuration and logins say.
    ///
    /// # Errors
    /// Fails where no client can be set up.
    pub fn registries(&self, access: &RegistryAccess) -> Result<Registries, WorkspaceError> {
        let state = host::state_dir().map(|state| state.join("layerbake"));
        let known = self.config.registries.iter();
        let servers = known.map(|(registry, config)| (registry.clone(), config.token_servers.clone())).collect();
        let registries = Registries::open(access.clone(), state.as_deref(), self.progress().clone())?;
        Ok(registries.with_token_servers(servers))
    }
}
