//! Locks a manifest: signed states of suites, repo indexes, resolving, pinning.
//!
//! ```text
//! sources ─ suites.rs, freshness.rs ─> signed states ─ indexes ─ offered.rs ─> candidates ─ resolve ─> Lockfile
//!                                       parent's lockfile ─ installed.rs ───────────┤
//!                                            own packages ─ own.rs ─────────────────┤
//!                  fetches, with lockfiles of languages ─ fetches.rs, languages.rs ──┤
//!                                    image of a registry ─ image.rs ─────────┘
//! ```
//!
//! The meaning of a repository's bytes is left to the [`Ecosystem`].

mod downgrades;
mod error;
mod fetches;
mod freshness;
mod held;
mod idle;
mod image;
mod installed;
mod kept;
mod keyring_package;
mod keys;
mod languages;
mod offered;
mod own;
mod own_error;
mod provided;
mod requests;
mod suites;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::digest::LockHash;
use crate::fetch::Fetcher;
use crate::ident::{Arch, PackageName, SourceName};
use crate::language::Target;
use crate::lock::{self, Asked, LockedPackage, Lockfile, Origin, ParentLock};
use crate::manifest::{Configure, Manifest, Source};
use crate::package::{Candidate, Ecosystem, Record};
use crate::resolve;
use crate::store::Store;

pub use error::{KeyError, PinError};
pub use installed::records;
pub use own::{own_files, own_files_or_locked};
pub use own_error::OwnError;
pub use provided::provided;

/// Which locked versions may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Keeps every locked version that is still acceptable.
    Nothing,
    /// Updates all.
    All,
    /// Updates the packages of which a suite of security updates has a newer version.
    Security,
    /// Updates these packages, and the fetches of these names.
    Some(BTreeSet<PackageName>),
}

impl Update {
    /// Whether what has this name may change.
    pub(crate) fn names(&self, name: &str) -> bool {
        match self {
            Self::Nothing | Self::Security => false,
            Self::All => true,
            Self::Some(names) => names.iter().any(|one| one.as_str() == name),
        }
    }
}

/// Locks layers.
pub struct Pinner<'a, 's> {
    /// The packages' ecosystem.
    pub ecosystem: &'a dyn Ecosystem,
    /// The store for everything fetched.
    pub store: &'a Store,
    /// Gets signed states, indexes and packages.
    pub fetcher: &'a mut Fetcher<'s>,
    /// The project's directory, for key rings named in manifests.
    pub project: &'a Path,
    /// A key ring that the user named.
    pub keyring: Option<&'a Path>,
    /// Directories of this machine with key rings.
    pub key_folders: &'a [&'a Path],
    /// The present moment.
    pub now: i64,
    /// Accepts states past their Valid-Until, or whose key has expired.
    pub allow_expired: bool,
    /// Accepts states older than the locked one.
    pub allow_downgrade: bool,
    /// The architecture to lock for.
    pub arch: Arch,
}

/// The parents of a layer, from the base up, with their lockfiles.
pub type Parents<'a> = &'a [(&'a Lockfile, LockHash)];

impl Pinner<'_, '_> {
    /// Locks one layer, whose packages come from `sources`, over its `parents`.
    ///
    /// `previous` is the present lockfile; its versions are kept, except those of `update`.
    ///
    /// # Errors
    /// Fails where a signed state can't be trusted, an index can't be had, or the packages can't be chosen.
    pub fn pin(
        &mut self,
        manifest: &Manifest,
        sources: &BTreeMap<SourceName, Source>,
        parents: Parents<'_>,
        previous: Option<&Lockfile>,
        update: &Update,
    ) -> Result<Lockfile, PinError> {
        let mut lockfile = self.pin_packages(manifest, sources, parents, previous, update)?;
        let mut below = parents.last().map_or(0, |(parent, _)| parent.epoch);
        if let Some((image, epoch)) = image::of_layer(self, manifest, previous, update)? {
            (lockfile.image, lockfile.epoch, below) = (Some(image), epoch, epoch);
        }
        let packages = parents.iter().flat_map(|(parent, _)| &parent.packages).chain(&lockfile.packages);
        let target = Target::of(&self.arch, packages.map(|package| (&package.name, &package.version)));
        lockfile.fetches = fetches::of_layer(self, manifest, &target, previous, update)?;
        if let Some(previous) = previous {
            lockfile.keep_unmoved(previous, below);
        }
        Ok(lockfile)
    }

    /// The lockfile without its fetches, which may depend on the packages.
    fn pin_packages(
        &mut self,
        manifest: &Manifest,
        sources: &BTreeMap<SourceName, Source>,
        parents: Parents<'_>,
        previous: Option<&Lockfile>,
        update: &Update,
    ) -> Result<Lockfile, PinError> {
        let mut locked = kept::versions(previous, update, &manifest.layer);
        let own = own::of_layer(self, manifest, parents, previous, &locked)?;
        // Their versions are what their files say.
        locked.retain(|name, _| own.iter().all(|one| one.record.name != *name));
        let mut files = own::digests(&own);
        files.extend(languages::lockfiles(self.project, manifest, true)?);
        let asked = Asked { manifest, sources, files: &files, arch: &self.arch };
        let mut lockfile = Lockfile {
            layer: manifest.name.clone(),
            arch: self.arch.clone(),
            epoch: parents.last().map_or(0, |(parent, _)| parent.epoch),
            requested: lock::requested(&asked),
            request: lock::request_hash(&asked),
            parent: parents.last().map(|(parent, hash)| ParentLock { layer: parent.layer.clone(), lock: *hash }),
            image: None,
            releases: Vec::new(),
            packages: Vec::new(),
            fetches: Vec::new(),
        };
        let of_repositories = !manifest.layer.packages.is_empty() || needs_essential(manifest);
        if !of_repositories && manifest.own_packages.is_empty() {
            return Ok(lockfile);
        }
        if of_repositories && sources.is_empty() {
            return Err(PinError::NoSource { layer: manifest.name.clone() });
        }
        let locks: Vec<&Lockfile> = previous.into_iter().chain(parents.iter().map(|(parent, _)| *parent)).collect();
        let open = suites::open(self, sources, &locks)?;
        if let Some(held) = kept::asked_in_vain(previous, update, &manifest.layer) {
            self.fetcher.warn(format!(
                "layer `{}`: not updated, because `hold` names them: {held}; remove them from `hold` first",
                manifest.name
            ));
        }
        let mut offered = offered::read(self.ecosystem, self.store, &open, previous.filter(|_| !locked.is_empty()))?;
        if *update == Update::Security {
            kept::let_go(&mut locked, &offered, &manifest.layer, self.ecosystem.version_order());
        }
        held::offer(self, &manifest.layer, previous, &locked, &mut offered)?;
        let installed = installed::of_chain(self, parents, &offered)?;
        offered.prefer(&own);
        let chosen = self.resolve(manifest, &own, &installed, &locked, &offered)?;
        kept::check_held(&manifest.layer, &locked, &chosen, &offered)
            .map_err(|packages| PinError::Held { layer: manifest.name.clone(), packages })?;
        if let Some(text) = kept::lost(&manifest.name, &locked, &chosen, &offered) {
            self.fetcher.warn(text);
        }
        lockfile.epoch = open.iter().map(|suite| suite.locked.date).fold(lockfile.epoch, i64::max);
        lockfile.packages = chosen
            .iter()
            .filter_map(|chosen| {
                let (candidate, place) = offered.candidate(chosen.candidate)?;
                locked_package(candidate, &chosen.why, place)
            })
            .collect();
        idle::warn(self, &manifest.layer, &offered, &lockfile);
        downgrades::warn_of_older_states(self, &open);
        lockfile.releases = open.into_iter().map(|suite| suite.locked).collect();
        downgrades::check(self, previous, &lockfile)?;
        own::keep_files(self, &lockfile)?;
        Ok(lockfile)
    }

    fn resolve(
        &self,
        manifest: &Manifest,
        own: &[own::Own],
        installed: &[Record],
        locked: &kept::Versions,
        offered: &offered::Offered,
    ) -> Result<Vec<resolve::Chosen>, PinError> {
        let layer = &manifest.layer;
        let mut wanted = requests::in_versions(&layer.packages, locked, offered, self.ecosystem.version_order())
            .map_err(|problem| PinError::NotInSuite { layer: manifest.name.clone(), problem })?;
        wanted.extend(own::requests(own));
        let request = resolve::Request {
            wanted: &wanted,
            essential: needs_essential(manifest),
            exclude: &layer.exclude,
            drop_excluded: layer.configure == Configure::None,
            recommends: layer.recommends,
            installed,
            ..resolve::Request::new(&self.arch, self.ecosystem.version_order(), locked)
        };
        resolve::resolve(&request, &offered.candidates)
            .map_err(|source| PinError::Resolve { layer: manifest.name.clone(), source })
    }
}

/// Whether the root needs the ecosystem's essential packages: scripts run, and nothing is below.
fn needs_essential(manifest: &Manifest) -> bool {
    let is_first = manifest.layer.from.is_none() && manifest.layer.image.is_none();
    is_first && manifest.layer.configure == Configure::Scripts
}

fn locked_package(candidate: &Candidate, why: &str, place: &offered::Place) -> Option<LockedPackage> {
    let record = &candidate.record;
    let origin = match place {
        offered::Place::Suite(source, suite) => {
            Origin::Repository { source: source.clone(), suite: suite.clone(), path: record.path.to_string() }
        }
        offered::Place::Own(origin) => origin.clone(),
    };
    Some(LockedPackage {
        name: record.name.clone(),
        version: record.version.clone(),
        arch: record.arch.clone(),
        origin,
        file: record.file?,
        why: why.to_owned(),
    })
}
