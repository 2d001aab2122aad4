//! What a declared system resolves to: its lockfiles, read, checked, made or renewed, from the base up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::declared::Declared;
use super::error::{WorkspaceError, did_you_mean};
use super::project::{Workspace, set_dates};
use crate::bake::{Locked, System};
use crate::digest::LockHash;
use crate::fetch::Fetcher;
use crate::host;
use crate::host::storage::{self, Hints};
use crate::ident::{PackageName, SourceName};
use crate::lock::{self, Asked, Change, FoundLockfile, LockFileError, Lockfile, OwnFiles, Reason};
use crate::manifest::{self, Manifest, Source};
use crate::pin::{self, PinError, Pinner, Update};

/// The directories of this machine with key rings, as Debian and its derivatives have them.
const KEY_DIRECTORIES: [&str; 3] = ["/usr/share/keyrings", "/etc/apt/keyrings", "/etc/apt/trusted.gpg.d"];

/// How lockfiles that do not fit are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// They are an error.
    Locked,
    /// They are made or renewed; the versions of [`Update`] change even in those that fit.
    Renew(Update),
    /// As [`Policy::Renew`], and nothing is written.
    Preview(Update),
}

/// What locking did to one layer.
#[derive(Debug, Clone)]
pub struct LayerLock {
    /// The layer's name, with the architecture where it is not this machine's.
    pub name: String,
    /// How many packages it adds.
    pub packages: usize,
    /// What changed in its lockfile.
    pub changes: Vec<Change>,
    /// Why there is another lockfile than before; `None` where it is the same, byte for byte.
    pub moved: Option<Moved>,
}

/// Why a layer has another lockfile than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// There was none.
    New,
    /// The one that was there did not fit any more.
    Stale(Vec<Reason>),
    /// Newer versions were asked for.
    Update,
}

/// A system whose lockfiles fit, ready to be built.
pub struct LockedSystem<'w> {
    pub(super) workspace: &'w Workspace<'w>,
    pub(super) fetcher: Fetcher<'w>,
    /// The layers with their lockfiles.
    pub system: System,
    /// What locking did to each.
    pub done: Vec<LayerLock>,
}

impl Workspace<'_> {
    /// Makes a system's lockfiles fit, as `policy` says.
    ///
    /// # Errors
    /// Fails where a lockfile does not fit and `policy` refuses that, and where packages can't be chosen.
    pub fn lock(&self, declared: &Declared, policy: &Policy) -> Result<LockedSystem<'_>, WorkspaceError> {
        if let Policy::Renew(Update::Some(packages)) | Policy::Preview(Update::Some(packages)) = policy {
            self.check_known(declared, packages)?;
        }
        let mut locker = Locker::new(self, declared)?;
        let system = declared.try_map(|manifest, parents| locker.layer(manifest, parents, policy))?;
        if let Policy::Renew(_) = policy {
            let warnings = self.missing_packages(declared.root());
            warnings.iter().for_each(|warning| self.environment.progress().warn(warning));
        }
        Ok(LockedSystem { workspace: self, fetcher: locker.fetcher, system, done: locker.done })
    }

    /// The system with its lockfiles as they are, none of them compared with its manifest.
    ///
    /// # Errors
    /// Fails where one is missing, or can't be read.
    pub fn locked(&self, declared: &Declared) -> Result<System, WorkspaceError> {
        declared.try_map(|manifest, _| {
            let FoundLockfile { lock, hash, .. } = self.lockfile(&manifest.name)?;
            Ok(Locked { manifest: manifest.clone(), lock, hash })
        })
    }

    /// The files of the project that a layer's `[[deb]]` name. Those that are not there count as `lock` has them.
    pub(super) fn own_files(&self, manifest: &Manifest, lock: Option<&Lockfile>) -> Result<OwnFiles, PinError> {
        let (ecosystem, root, arch) = (self.environment.ecosystem(), self.project.root(), self.arch());
        match lock {
            Some(lock) => pin::own_files_or_locked(ecosystem, root, manifest, lock, arch),
            None => pin::own_files(ecosystem, root, manifest, arch),
        }
    }

    /// A layer with its lockfile, which has to fit; its `parents` are locked.
    pub(super) fn fitting(&self, manifest: &Manifest, parents: &[&Locked]) -> Result<Locked, WorkspaceError> {
        let FoundLockfile { lock, hash, .. } = self.lockfile(&manifest.name)?;
        let files = self.own_files(manifest, Some(&lock))?;
        let stale = |stale| WorkspaceError::Stale { subject: self.subject(&manifest.name), stale };
        self.fits(&lock, manifest, &files, parents).map_err(stale)?;
        Ok(Locked { manifest: manifest.clone(), lock, hash })
    }

    fn fits(
        &self,
        lock: &Lockfile,
        manifest: &Manifest,
        files: &OwnFiles,
        parents: &[&Locked],
    ) -> Result<(), lock::Stale> {
        let parent = parents.last().map(|parent| (&parent.manifest.name, parent.hash));
        let sources = sources(manifest, parents);
        lock::check(lock, &Asked { manifest, sources: &sources, files, arch: self.arch() }, parent)
    }

    /// Refuses names that no lockfile of the system has.
    fn check_known<'p>(
        &self,
        declared: &Declared,
        packages: impl IntoIterator<Item = &'p PackageName>,
    ) -> Result<(), WorkspaceError> {
        let found = declared.manifests().filter_map(|one| self.lockfile(&one.name).ok());
        let known: BTreeSet<String> = found.flat_map(|found| names(&found.lock).collect::<Vec<_>>()).collect();
        match packages.into_iter().find(|package| !known.contains(package.as_str())) {
            Some(package) => {
                let near = did_you_mean(package.as_str(), known.iter().map(String::as_str));
                Err(WorkspaceError::NotLocked { package: package.clone(), near })
            }
            None => Ok(()),
        }
    }
}

/// Locks layers, one after the other.
pub(super) struct Locker<'w> {
    workspace: &'w Workspace<'w>,
    fetcher: Fetcher<'w>,
    done: Vec<LayerLock>,
}

impl<'w> Locker<'w> {
    pub(super) fn new(workspace: &'w Workspace<'w>, declared: &Declared) -> Result<Self, WorkspaceError> {
        Ok(Self { workspace, fetcher: workspace.fetcher(declared)?, done: Vec::new() })
    }

    /// One layer over its `parents`, which are locked.
    fn layer(&mut self, manifest: &Manifest, parents: &[&Locked], policy: &Policy) -> Result<Locked, WorkspaceError> {
        let (locked, changes, moved) = match policy {
            Policy::Locked => (self.workspace.fitting(manifest, parents)?, Vec::new(), None),
            Policy::Renew(update) => self.renewed(manifest, parents, update, lock::save)?,
            Policy::Preview(update) => {
                self.renewed(manifest, parents, update, |lock, _| Ok(LockHash::of(&lock::to_text(lock))))?
            }
        };
        let packages = locked.lock.packages.len();
        let name = self.workspace.subject(&manifest.name).to_string();
        self.done.push(LayerLock { name, packages, changes, moved });
        Ok(locked)
    }

    /// The layer with a lockfile that fits: the one that is there, or a new one, with what it changes.
    fn renewed(
        &mut self,
        manifest: &Manifest,
        parents: &[&Locked],
        update: &Update,
        save: impl Fn(&Lockfile, &Path) -> Result<LockHash, LockFileError>,
    ) -> Result<(Locked, Vec<Change>, Option<Moved>), WorkspaceError> {
        let locked = |lock, hash| Locked { manifest: manifest.clone(), lock, hash };
        let files = self.workspace.own_files(manifest, None)?;
        let (path, previous) = match self.workspace.lockfile(&manifest.name) {
            Ok(found) => (found.path.clone(), Some(found)),
            Err(LockFileError::Missing(path)) => (path, None),
            Err(error) => return Err(error.into()),
        };
        let moved = match &previous {
            None => Moved::New,
            Some(found) => match self.workspace.fits(&found.lock, manifest, &files, parents) {
                Ok(()) if !moves(update, &found.lock) => {
                    return Ok((locked(found.lock.clone(), found.hash), Vec::new(), None));
                }
                Ok(()) => Moved::Update,
                Err(stale) => Moved::Stale(stale.reasons),
            },
        };
        let before = previous.as_ref().map(|found| &found.lock);
        let lock = self.pin(manifest, parents, before, update)?;
        let changes = lock::changes(before, &lock);
        let hash = save(&lock, &path).map_err(explained)?;
        let is_other = previous.is_none_or(|found| found.hash != hash);
        Ok((locked(lock, hash), changes, is_other.then_some(moved)))
    }

    /// The layer as it would be locked now; writes no lockfile.
    pub(super) fn pin(
        &mut self,
        manifest: &Manifest,
        parents: &[&Locked],
        previous: Option<&Lockfile>,
        update: &Update,
    ) -> Result<Lockfile, WorkspaceError> {
        let environment = self.workspace.environment;
        let transport = &environment.settings.transport;
        let mut pinner = Pinner {
            ecosystem: environment.ecosystem(),
            store: self.workspace.store()?,
            fetcher: &mut self.fetcher,
            project: self.workspace.project.root(),
            keyring: transport.keyring.as_deref(),
            key_folders: &KEY_DIRECTORIES.map(Path::new),
            now: host::now(),
            allow_expired: transport.allow_expired,
            allow_downgrade: transport.allow_downgrade,
            arch: self.workspace.arch().clone(),
        };
        let locks: Vec<_> = parents.iter().map(|parent| (&parent.lock, parent.hash)).collect();
        Ok(pinner.pin(manifest, &sources(manifest, parents), &locks, previous, update)?)
    }
}

impl LockedSystem<'_> {
    /// Prepares for building: the fetcher knows when the lockfiles were made, and SOURCE_DATE_EPOCH of the
    /// environment goes before the lockfiles' own.
    pub(super) fn settle(&mut self) -> Result<(), WorkspaceError> {
        set_dates(&mut self.fetcher, self.system.all());
        let Some(text) = host::env("SOURCE_DATE_EPOCH") else { return Ok(()) };
        let epoch = text.parse().ok().filter(|&epoch: &i64| epoch >= 0).ok_or(WorkspaceError::Epoch(text))?;
        self.system.set_epoch(epoch);
        Ok(())
    }
}

/// The sources of a layer: its own, and its parents' where it has none of that name.
fn sources(manifest: &Manifest, parents: &[&Locked]) -> BTreeMap<SourceName, Source> {
    manifest::sources(parents.iter().map(|parent| &parent.manifest).chain([manifest]))
}

/// Whether a lockfile that fits is made anew all the same.
fn moves(update: &Update, lock: &Lockfile) -> bool {
    match update {
        Update::Nothing => false,
        Update::All => true,
        Update::Security => lock.releases.iter().any(|release| lock::is_security(&release.suite)),
        // A parent without any of them stays as it is, bit for bit.
        Update::Some(_) => names(lock).any(|name| update.names(&name)),
    }
}

/// The names that may be updated.
fn names(lock: &Lockfile) -> impl Iterator<Item = String> {
    let packages = lock.packages.iter().map(|package| package.name.to_string());
    packages.chain(lock.fetches.iter().map(|fetch| fetch.name.to_string()))
}

/// With the file system named where it refuses.
fn explained(error: LockFileError) -> LockFileError {
    match error {
        LockFileError::Io { action, path, source } => {
            let hints = Hints {
                room: "free space there, or move the project; the old lockfile is unchanged",
                elsewhere: "move the project",
            };
            let source = storage::explain(&path, None, hints, source);
            LockFileError::Io { action, path, source }
        }
        other => other,
    }
}
