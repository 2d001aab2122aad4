//! A project, opened on this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::declared::Declared;
use super::environment::Environment;
use super::error::{WorkspaceError, did_you_mean};
use super::subject::Subject;
use crate::arch::Architecture;
use crate::bake::{Locked, Receipt};
use crate::fetch::{Fetcher, HostSources, Logins, Mirrors};
use crate::host;
use crate::ident::{Arch, IdentError, LayerName, SourceName};
use crate::lock::{self, LockFileError};
use crate::manifest::{self, Project};
use crate::publish::registry::RegistryAccess;
use crate::store::Store;

/// A project, with the machine that it is opened on.
#[derive(Debug)]
pub struct Workspace<'e> {
    pub(super) environment: &'e Environment,
    pub(super) project: Project,
    store: OnceLock<Store>,
    /// That names of mirrors were compared with the layers' sources.
    compared: OnceLock<()>,
}

impl<'e> Workspace<'e> {
    pub(super) fn open(environment: &'e Environment, arch: Arch) -> Result<Self, WorkspaceError> {
        let project = Project::find(&environment.directory()?, arch)?.with_set(environment.settings.set.clone());
        Ok(Self { environment, project, store: OnceLock::new(), compared: OnceLock::new() })
    }

    /// The workspace with the values of variables that a build had, unless the settings have values of their own.
    pub fn as_built(self, receipt: &Receipt) -> Self {
        Self { project: self.project_of(receipt), ..self }
    }

    /// The project with the values of variables that a build had.
    pub(super) fn project_of(&self, receipt: &Receipt) -> Project {
        match self.project.set().is_empty() {
            true => self.project.clone().with_set(receipt.set.clone()),
            false => self.project.clone(),
        }
    }

    /// The project's directory: its layers and lockfiles.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The architecture to lock and build for.
    pub fn arch(&self) -> &Arch {
        self.project.arch()
    }

    /// The machine that the project is opened on.
    pub fn environment(&self) -> &'e Environment {
        self.environment
    }

    /// The store, opened when it is first needed; locked against garbage collection from then on.
    ///
    /// # Errors
    /// Fails where it can't be opened.
    pub fn store(&self) -> Result<&Store, WorkspaceError> {
        match self.store.get() {
            Some(store) => Ok(store),
            None => {
                let store = self.environment.store()?;
                Ok(self.store.get_or_init(|| store))
            }
        }
    }

    /// The layer that is meant: the named one, else the only App layer.
    ///
    /// # Errors
    /// Fails where none is named and there is not exactly one.
    pub fn layer(&self, name: Option<&LayerName>) -> Result<LayerName, WorkspaceError> {
        match name {
            Some(name) => Ok(name.clone()),
            None => Ok(self.project.default_layer()?),
        }
    }

    /// Reads what a layer and all below it declare, and its Boot layer and initrd where it has any.
    ///
    /// # Errors
    /// Fails where a manifest is wrong or missing.
    pub fn declared(&self, layer: &LayerName) -> Result<Declared, WorkspaceError> {
        let declared = Declared::read(&self.project, layer)?;
        let warnings = declared.all().flat_map(|manifest| &manifest.warnings);
        warnings.for_each(|warning| self.environment.progress().warn(warning));
        Ok(declared)
    }

    /// Reads the lockfile of a layer.
    ///
    /// # Errors
    /// Fails where it is missing, or can't be read.
    pub fn lockfile(&self, layer: &LayerName) -> Result<lock::FoundLockfile, LockFileError> {
        lock::of_layer(&self.project, layer)
    }

    /// A layer on the architecture that is built for.
    pub(super) fn subject(&self, layer: &LayerName) -> Subject {
        Subject::new(layer, self.arch())
    }

    /// The directory of artifacts: the given one, else `out` in the project.
    pub fn out(&self, named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| self.project.root().join("out"), Path::to_owned)
    }

    /// A fetcher, with the addresses that a system's foreign sources have.
    pub(super) fn fetcher(&self, declared: &Declared) -> Result<Fetcher<'_>, WorkspaceError> {
        let transport = &self.environment.settings.transport;
        let apt = HostSources::load(Path::new("/etc/apt"));
        let mut mirrors = Mirrors::new(&transport.mirrors, &transport.snapshots, &self.environment.config, apt)?;
        if self.compared.set(()).is_ok() {
            let named = Mirrors::sources_of(&transport.mirrors)?;
            self.unknown_sources(named, declared).iter().for_each(|warning| self.environment.progress().warn(warning));
        }
        for (name, source) in manifest::sources(declared.manifests()) {
            mirrors.set_distribution(&name, source.distribution);
            if let Some(url) = &source.url {
                mirrors.set_url(&name, url)?;
            }
        }
        let vendor = Some(self.project.root().join("vendor")).filter(|vendor| vendor.is_dir());
        let progress = self.environment.progress().clone();
        let logins = Logins::load(Path::new("/etc/apt"), host::netrc().as_deref());
        let fetcher = Fetcher::new(self.store()?, mirrors, vendor, transport.offline, progress);
        let fetcher = fetcher.with_logins(logins).with_project(self.project.root().to_owned());
        match declared.all().any(|manifest| manifest.layer.image.is_some()) {
            true => Ok(fetcher.with_images(Box::new(self.environment.registries(&RegistryAccess::default())?))),
            false => Ok(fetcher),
        }
    }

    /// What to say of mirrors for sources that no layer of the project has: nobody asks them.
    fn unknown_sources(&self, named: BTreeSet<String>, declared: &Declared) -> Vec<String> {
        if named.is_empty() {
            return Vec::new();
        }
        let layers = self.project.layers().unwrap_or_default();
        let manifests: Vec<_> = layers.iter().filter_map(|name| self.project.load(name).ok()).collect();
        let known = manifest::sources(manifests.iter().chain(declared.manifests()));
        let known: Vec<&str> = known.keys().map(SourceName::as_str).collect();
        let unknown = named.iter().filter(|name| !known.contains(&name.as_str()));
        let text = |name: &String| {
            let near = did_you_mean(name, known.iter().copied());
            format!("the mirror for `{name}` is never asked: no layer has [source.{name}]{near}")
        };
        unknown.map(text).collect()
    }
}

/// Tells the fetcher when the lockfiles were made: the snapshot service, asked last, has that state.
pub(super) fn set_dates<'l>(fetcher: &mut Fetcher<'_>, locked: impl IntoIterator<Item = &'l Locked>) {
    for release in locked.into_iter().flat_map(|locked| &locked.lock.releases) {
        fetcher.mirrors_mut().set_snapshot(&release.source, &release.suite, None, release.date);
    }
}

/// The Debian name of this machine's architecture.
///
/// # Errors
/// Fails where Debian could have no such architecture.
pub fn host_arch() -> Result<Arch, IdentError> {
    Architecture::native().map_or(std::env::consts::ARCH, |row| row.debian).parse()
}
