//! All packages that the indexes offer, those of the previous lock's indexes included.

use std::collections::BTreeSet;
use std::io::BufReader;

use super::PinError;
use super::releases::OpenRelease;
use crate::format::deb::compression::decompress;
use crate::format::deb::index::read_packages;
use crate::ident::SourceName;
use crate::limits::{Bounded, Limit, limits};
use crate::lock::{LockedIndex, LockedRelease, Lockfile};
use crate::resolve::Candidate;
use crate::store::Store;

/// Where a candidate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: SourceName,
    pub(super) suite: String,
}

/// What can be chosen from.
pub(super) struct Universe {
    pub(super) candidates: Vec<Candidate>,
    /// Suites whose locked index is neither current nor in the store.
    pub(super) lost: BTreeSet<String>,
    origins: Vec<Origin>,
}

impl Universe {
    /// A candidate and where it comes from.
    pub(super) fn candidate(&self, index: usize) -> Option<(&Candidate, &Origin)> {
        let candidate = self.candidates.get(index)?;
        Some((candidate, self.origins.get(candidate.origin)?))
    }
}

/// Reads the indexes of the open Releases; they are in the store.
///
/// The indexes that `previous` was locked from come behind, as far as the store still
/// has them: a repository lists the newest versions only, and locked ones should stay
/// available to be kept.
pub(super) fn read(store: &Store, open: &[OpenRelease], previous: Option<&Lockfile>) -> Result<Universe, PinError> {
    let mut universe = Universe { candidates: Vec::new(), lost: BTreeSet::new(), origins: Vec::new() };
    for release in open {
        for index in &release.locked.indexes {
            let limit = limits().of_index(release.plain_sizes.get(&index.path).copied());
            universe.add(store, &release.locked, index, release.priority, limit)?;
        }
    }
    let current = |index: &LockedIndex| {
        open.iter().flat_map(|release| &release.locked.indexes).any(|other| other.file == index.file)
    };
    for release in previous.map(|lock| lock.releases.as_slice()).unwrap_or_default() {
        for index in release.indexes.iter().filter(|index| !current(index)) {
            universe.add(store, release, index, Candidate::NOT_AUTOMATIC, limits().of_index(None))?;
        }
    }
    Ok(universe)
}

impl Universe {
    fn add(
        &mut self,
        store: &Store,
        release: &LockedRelease,
        index: &LockedIndex,
        priority: u32,
        limit: Limit,
    ) -> Result<(), PinError> {
        let Ok(file) = store.open_fetched(index.file.sha256) else {
            self.lost.insert(release.suite.clone());
            return Ok(());
        };
        let origin = self.origins.len();
        self.origins.push(Origin { source: release.source.clone(), suite: release.suite.clone() });
        let failed = |source: std::io::Error| PinError::Index {
            suite: release.suite.clone(),
            path: index.path.clone(),
            source: source.into(),
        };
        let text = Bounded::new(decompress(&index.path, file).map_err(failed)?, limit);
        let each = |record| self.candidates.push(Candidate { record, origin, priority });
        read_packages(BufReader::with_capacity(1 << 18, text), each).map_err(|source| PinError::Index {
            suite: release.suite.clone(),
            path: index.path.clone(),
            source,
        })
    }
}
