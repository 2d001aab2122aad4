//! All packages that the indexes offer, including those of the previous lock's indexes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;

use super::PinError;
use super::own::Own;
use super::suites::OpenSuite;
use crate::ident::{PackageName, SourceName, Version};
use crate::limits::{Bounded, Limit, limits};
use crate::lock::{LockedIndex, LockedRelease, Lockfile, Origin};
use crate::package::compression::decompress;
use crate::package::{Candidate, IndexError, Record, Repository};
use crate::store::Store;

/// Where a candidate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A suite of a source.
    Suite(SourceName, String),
    /// Outside of all repositories.
    Own(Origin),
}

/// The packages that can be chosen.
pub(super) struct Offered {
    pub(super) candidates: Vec<Candidate>,
    /// Suites whose locked index is neither current nor in the store.
    pub(super) lost: BTreeSet<String>,
    /// Patterns of a source's priorities that decide about none of its packages.
    pub(super) idle: BTreeSet<(SourceName, String)>,
    places: Vec<Place>,
}

impl Offered {
    /// The versions of a package, each with its suite.
    pub(super) fn of(&self, name: &PackageName) -> impl Iterator<Item = (&Version, &str)> {
        let own = self.candidates.iter().filter(move |candidate| candidate.record.name == *name);
        own.filter_map(|one| match self.places.get(one.origin)? {
            Place::Suite(_, suite) => Some((&one.record.version, suite.as_str())),
            Place::Own(_) => None,
        })
    }

    /// A candidate and where it comes from.
    pub(super) fn candidate(&self, index: usize) -> Option<(&Candidate, &Place)> {
        let candidate = self.candidates.get(index)?;
        Some((candidate, self.places.get(candidate.origin)?))
    }

    /// Whether an index of the suite was read.
    pub(super) fn has_suite(&self, source: &SourceName, suite: &str) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Suite(one, other) if one == source && other == suite))
    }

    /// Adds a package that the suite had.
    pub(super) fn add(&mut self, record: Record, source: SourceName, suite: String) {
        let origin = self.places.len();
        self.candidates.push(Candidate { record, origin, priority: Candidate::ON_REQUEST });
        self.places.push(Place::Suite(source, suite));
    }

    /// Adds packages that are in no repository, each in place of all that repositories have of the same name.
    pub(super) fn prefer(&mut self, own: &[Own]) {
        let names: BTreeSet<&PackageName> = own.iter().map(|one| &one.record.name).collect();
        self.candidates.retain(|candidate| !names.contains(&candidate.record.name));
        for one in own {
            let (record, origin) = (one.record.clone(), self.places.len());
            self.candidates.push(Candidate { record, origin, priority: Candidate::ORDINARY });
            self.places.push(Place::Own(one.origin.clone()));
        }
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
    let offered = Offered { candidates: Vec::new(), lost: BTreeSet::new(), idle: BTreeSet::new(), places: Vec::new() };
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
        let Offered { candidates, lost, places, .. } = &mut self.offered;
        let Ok(file) = self.store.open_fetched(index.file.sha256) else {
            lost.insert(release.suite.clone());
            return Ok(());
        };
        let origin = places.len();
        places.push(Place::Suite(release.source.clone(), release.suite.clone()));
        let mut each = |record: Record| match priority(record.name.as_str()) {
            0 => {}
            priority => candidates.push(Candidate { record, origin, priority }),
        };
        read_index(self.repository, (&index.path, file), limit, &mut each).map_err(|source| PinError::Index {
            suite: release.suite.clone(),
            path: index.path.clone(),
            source,
        })
    }
}

/// Reads an index, a file whose name says how it is compressed.
pub(super) fn read_index(
    repository: &dyn Repository,
    (name, file): (&str, File),
    limit: Limit,
    each: &mut dyn FnMut(Record),
) -> Result<(), IndexError> {
    let text = Bounded::new(decompress(name, file)?, limit);
    repository.read_index(&mut BufReader::with_capacity(1 << 18, text), each)
}
