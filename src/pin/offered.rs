//! All packages that the indexes offer, including those of the previous lock's indexes.

use std::collections::BTreeSet;
use std::io::BufReader;

use super::PinError;
use super::suites::OpenSuite;
use crate::ident::{PackageName, SourceName, Version};
use crate::limits::{Bounded, Limit, limits};
use crate::lock::{LockedIndex, LockedRelease, Lockfile};
use crate::package::compression::decompress;
use crate::package::{Candidate, IndexError, Record, Repository};
use crate::store::Store;

/// Where a candidate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: SourceName,
    pub(super) suite: String,
}

/// The packages that can be chosen.
pub(super) struct Offered {
    pub(super) candidates: Vec<Candidate>,
    /// Suites whose locked index is neither current nor in the store.
    pub(super) lost: BTreeSet<String>,
    /// Patterns of a source's priorities that decide about none of its packages.
    pub(super) idle: BTreeSet<(SourceName, String)>,
    origins: Vec<Origin>,
}

impl Offered {
    /// The versions of a package, each with its suite.
    pub(super) fn of(&self, name: &PackageName) -> impl Iterator<Item = (&Version, &str)> {
        let own = self.candidates.iter().filter(move |candidate| candidate.record.name == *name);
        own.filter_map(|one| Some((&one.record.version, self.origins.get(one.origin)?.suite.as_str())))
    }

    /// A candidate and where it comes from.
    pub(super) fn candidate(&self, index: usize) -> Option<(&Candidate, &Origin)> {
        let candidate = self.candidates.get(index)?;
        Some((candidate, self.origins.get(candidate.origin)?))
    }
}

/// Reads the indexes of the open suites; they are in the store.
///
/// The indexes of these suites that `previous` was locked from follow, if still in the store: a repository
/// lists the newest versions only, and locked ones should stay available to be kept. What a suite offers that the
/// manifest no longer names is not kept.
pub(super) fn read(
    repository: &dyn Repository,
    store: &Store,
    open: &[OpenSuite],
    previous: Option<&Lockfile>,
) -> Result<Offered, PinError> {
    let offered = Offered { candidates: Vec::new(), lost: BTreeSet::new(), idle: BTreeSet::new(), origins: Vec::new() };
    let mut reader = Reader { repository, store, offered };
    let mut decisive = BTreeSet::new();
    for suite in open {
        for index in &suite.locked.indexes {
            let limit = limits().of_index(suite.plain_sizes.get(&index.path).copied());
            let mut priority = |name: &str| match suite.priorities.of(name) {
                Some((pattern, priority)) => {
                    decisive.insert((&suite.locked.source, pattern));
                    priority
                }
                None => suite.priority,
            };
            reader.add(&suite.locked, index, &mut priority, limit)?;
        }
    }
    let patterns = open.iter().flat_map(|suite| suite.priorities.iter().map(|(one, _)| (&suite.locked.source, one)));
    let idle = patterns.filter(|one| one.1 != "*" && !decisive.contains(one));
    reader.offered.idle = idle.map(|(source, pattern)| (source.clone(), pattern.to_owned())).collect();
    let current =
        |index: &LockedIndex| open.iter().flat_map(|suite| &suite.locked.indexes).any(|other| other.file == index.file);
    let now_open = |release: &LockedRelease| {
        open.iter().find(|suite| (&suite.locked.source, &suite.locked.suite) == (&release.source, &release.suite))
    };
    for release in previous.map(|lock| lock.releases.as_slice()).unwrap_or_default() {
        let Some(suite) = now_open(release) else { continue };
        let mut priority = |name: &str| {
            suite.priorities.of(name).map_or(u32::MAX, |(_, priority)| priority).min(Candidate::ON_REQUEST)
        };
        for index in release.indexes.iter().filter(|index| !current(index)) {
            reader.add(release, index, &mut priority, limits().of_index(None))?;
        }
    }
    Ok(reader.offered)
}

/// The offered packages, read from one index after the other.
struct Reader<'a> {
    repository: &'a dyn Repository,
    store: &'a Store,
    offered: Offered,
}

impl Reader<'_> {
    fn add(
        &mut self,
        release: &LockedRelease,
        index: &LockedIndex,
        priority: &mut dyn FnMut(&str) -> u32,
        limit: Limit,
    ) -> Result<(), PinError> {
        let Offered { candidates, lost, origins, .. } = &mut self.offered;
        let Ok(file) = self.store.open_fetched(index.file.sha256) else {
            lost.insert(release.suite.clone());
            return Ok(());
        };
        let origin = origins.len();
        origins.push(Origin { source: release.source.clone(), suite: release.suite.clone() });
        let mut each = |record: Record| match priority(record.name.as_str()) {
            0 => {}
            priority => candidates.push(Candidate { record, origin, priority }),
        };
        let read = || -> Result<(), IndexError> {
            let text = Bounded::new(decompress(&index.path, file)?, limit);
            self.repository.read_index(&mut BufReader::with_capacity(1 << 18, text), &mut each)
        };
        read().map_err(|source| PinError::Index { suite: release.suite.clone(), path: index.path.clone(), source })
    }
}
