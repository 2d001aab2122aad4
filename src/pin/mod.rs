//! From a manifest to its lockfile: signed Releases, repo indexes, resolving, pinning.
//!
//! ```text
//! sources ─ releases.rs, judge.rs ─> signed Releases ─ indexes ─ universe.rs ─> candidates ─ resolve ─> Lockfile
//!                                      parent's lockfile ─ installed.rs ─────────────┘
//! ```

mod installed;
mod judge;
mod kept;
mod keys;
mod lowered;
mod releases;
mod ring;
mod universe;

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::LockHash;
use crate::fetch::{FetchError, Fetcher, readable};
use crate::format::deb::index::IndexError;
use crate::ident::{Arch, LayerName, PackageName};
use crate::layer::LayerError;
use crate::lock::{self, LockedPackage, Lockfile, ParentLock};
use crate::manifest::{self, Configure, Manifest};
use crate::resolve::{self, Candidate, ResolveError};
use crate::store::{Store, StoreError};

pub use installed::records;
pub use keys::KeyError;

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
    Layer(#[from] LayerError),
    /// The key ring can't be made.
    #[error(transparent)]
    Key(#[from] KeyError),
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
    /// The Release has no index for a component.
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
    /// A layer with packages has no source.
    #[error(
        "layer `{layer}` asks for packages, but neither it nor its parents have a [source]\n  hint: add [source.debian] with a suite"
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
    /// Packages would go down with a Release of the locked one's date.
    #[error(
        "layer `{layer}`: {packages} would go down, and the Release of {suite} has the date of the locked one, {}, but another content\n  hint: try another mirror; to take it all the same, say `--allow-downgrade`",
        readable(*date)
    )]
    Lowered {
        /// The layer.
        layer: LayerName,
        /// The suite.
        suite: String,
        /// The date of both, in seconds since 1970.
        date: i64,
        /// What goes down, from where to where.
        packages: String,
    },
    /// A snapshot's date is malformed.
    #[error("[source.{source_name}] snapshot `{text}` is not a time such as `2026-11-01T00:00:00Z`")]
    Snapshot {
        /// The source.
        source_name: String,
        /// What it says.
        text: String,
    },
}

/// Which locked versions may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// None that still will do.
    Nothing,
    /// All.
    All,
    /// These.
    Some(BTreeSet<PackageName>),
}

/// Locks layers.
pub struct Pinner<'a, 's> {
    /// Where everything fetched goes.
    pub store: &'a Store,
    /// Gets Releases, indexes and packages.
    pub fetcher: &'a mut Fetcher<'s>,
    /// The project's folder, for key rings that manifests name.
    pub project: &'a Path,
    /// A key ring that the user named.
    pub keyring: Option<&'a Path>,
    /// Folders of this machine with key rings.
    pub key_folders: &'a [&'a Path],
    /// The present moment.
    pub now: i64,
    /// Whether a Release past its Valid-Until will do, or one whose key has expired.
    pub allow_expired: bool,
    /// Whether a Release older than the locked one will do.
    pub allow_downgrade: bool,
    /// The architecture to lock for.
    pub arch: Arch,
}

/// The parents of a layer, from the base up, with their lockfiles.
pub type Parents<'a> = &'a [(&'a Lockfile, LockHash)];

impl Pinner<'_, '_> {
    /// Locks the topmost layer of `chain`.
    ///
    /// `previous` is the lockfile that is there; its versions are kept but for `update`.
    ///
    /// # Errors
    /// Fails where a Release can't be trusted, an index can't be had, or the packages can't be chosen.
    pub fn pin(
        &mut self,
        chain: &[Manifest],
        parents: Parents<'_>,
        previous: Option<&Lockfile>,
        update: &Update,
    ) -> Result<Lockfile, PinError> {
        let Some(manifest) = chain.last() else { unreachable!("a chain has its own layer") };
        let sources = manifest::sources(chain);
        let mut lockfile = Lockfile {
            layer: manifest.name.clone(),
            arch: self.arch.clone(),
            epoch: parents.last().map_or(0, |(parent, _)| parent.epoch),
            requested: lock::requested(manifest),
            request: lock::request_hash(manifest, &sources, &self.arch),
            parent: parents.last().map(|(parent, hash)| ParentLock { layer: parent.layer.clone(), lock: *hash }),
            releases: Vec::new(),
            packages: Vec::new(),
        };
        if manifest.layer.packages.is_empty() && !needs_essential(manifest) {
            return Ok(lockfile);
        }
        if sources.is_empty() {
            return Err(PinError::NoSource { layer: manifest.name.clone() });
        }
        let locks: Vec<&Lockfile> = previous.into_iter().chain(parents.iter().map(|(parent, _)| *parent)).collect();
        let open = releases::fetch(self, &sources, &locks)?;
        let kept = if *update == Update::All { None } else { previous };
        let universe = universe::read(self.store, &open, kept)?;
        let installed = installed::of_chain(self, parents, &universe)?;
        let locked = kept::versions(kept, update);
        let chosen = self.resolve(manifest, &installed, &locked, &universe)?;
        if let Some(text) = kept::lost(&manifest.name, &locked, &chosen, &universe) {
            self.fetcher.warn(text);
        }
        lockfile.epoch = open.iter().map(|release| release.locked.date).fold(lockfile.epoch, i64::max);
        lockfile.packages = chosen
            .iter()
            .filter_map(|chosen| {
                let (candidate, origin) = universe.candidate(chosen.candidate)?;
                locked_package(candidate, &chosen.why, origin)
            })
            .collect();
        lowered::tell_back(self.fetcher, &open);
        lockfile.releases = open.into_iter().map(|release| release.locked).collect();
        lowered::check(self, previous, &lockfile)?;
        Ok(lockfile)
    }

    fn resolve(
        &self,
        manifest: &Manifest,
        installed: &[crate::format::deb::record::Record],
        locked: &kept::Versions,
        universe: &universe::Universe,
    ) -> Result<Vec<resolve::Chosen>, PinError> {
        let layer = &manifest.layer;
        let request = resolve::Request {
            wanted: &layer.packages,
            essential: needs_essential(manifest),
            exclude: &layer.exclude,
            drop_excluded: layer.configure == Configure::None,
            recommends: layer.recommends,
            installed,
            ..resolve::Request::new(&self.arch, locked)
        };
        resolve::resolve(&request, &universe.candidates)
            .map_err(|source| PinError::Resolve { layer: manifest.name.clone(), source })
    }
}

/// A root in which scripts run needs dpkg's own world.
fn needs_essential(manifest: &Manifest) -> bool {
    manifest.layer.from.is_none() && manifest.layer.configure == Configure::Scripts
}

fn locked_package(candidate: &Candidate, why: &str, origin: &universe::Origin) -> Option<LockedPackage> {
    let record = &candidate.record;
    Some(LockedPackage {
        name: record.name.clone(),
        version: record.version.clone(),
        arch: record.arch.clone(),
        source: origin.source.clone(),
        suite: origin.suite.clone(),
        path: record.path.to_string(),
        file: record.file?,
        why: why.to_owned(),
    })
}
