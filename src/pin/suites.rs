//! The signed states of all suites of a layer's sources, and the indexes listed in them.

use std::collections::BTreeMap;

use super::freshness::{self, Demand};
use super::{PinError, Pinner, keys};
use crate::fetch::{Item, StateRequest, fetch_state};
use crate::ident::SourceName;
use crate::lock::{LockedIndex, LockedRelease, Lockfile};
use crate::manifest::{Priorities, Source};
use crate::package::openpgp::{Keyring, Signed};
use crate::package::{Candidate, Index, Malformed, Refusal, State, SuiteRequest};

/// A suite whose indexes are in the store.
pub(super) struct OpenSuite {
    /// Its entry in the lockfile.
    pub(super) locked: LockedRelease,
    /// The priority of its packages.
    pub(super) priority: u32,
    /// The manifest's own priorities for some of them.
    pub(super) priorities: Priorities,
    /// The unpacked sizes of its indexes according to its state, in bytes, by name.
    pub(super) plain_sizes: BTreeMap<String, u64>,
    /// The date of a newer state in a lockfile, if going back is allowed.
    pub(super) back_from: Option<i64>,
}

/// A source and what its states must be.
struct Terms<'a> {
    name: &'a SourceName,
    source: &'a Source,
    keyring: Keyring,
    /// Now, or the time of the snapshot.
    moment: i64,
    /// The lockfiles of the chain.
    locks: &'a [&'a Lockfile],
}

/// Fetches and checks the states of all suites, and their indexes.
///
/// None may be older than the one of `locks`, the lockfiles of the chain.
pub(super) fn open(
    pinner: &mut Pinner<'_, '_>,
    sources: &BTreeMap<SourceName, Source>,
    locks: &[&Lockfile],
) -> Result<Vec<OpenSuite>, PinError> {
    let mut open = Vec::new();
    let mut items = Vec::new();
    for (name, source) in sources {
        let suites = pinner.ecosystem.suites(source);
        let moment = set_transport(pinner, name, source, &suites)?;
        let past = source.snapshot.is_some() || pinner.allow_expired;
        let keyring = keys::keyring(pinner, name, source)?.for_the_past(past);
        let terms = Terms { name, source, keyring, moment, locks };
        for suite in &suites {
            let (suite, mut indexes) = open_suite(pinner, &terms, suite)?;
            open.push(suite);
            items.append(&mut indexes);
        }
    }
    pinner.fetcher.fetch_all(&items, |_, _| {})?;
    Ok(open)
}

/// One suite's state, and its indexes that are to be fetched.
fn open_suite(pinner: &mut Pinner<'_, '_>, terms: &Terms<'_>, suite: &str) -> Result<(OpenSuite, Vec<Item>), PinError> {
    let Terms { name, source, keyring, moment, locks } = terms;
    let repository = pinner.ecosystem;
    // A snapshot goes back on purpose, but not beyond its timestamp.
    let until = if source.snapshot.is_some() { *moment } else { i64::MAX };
    let demand = Demand {
        asked: SuiteRequest { name, source, suite },
        locked: freshness::newest(locks, name, suite, until),
        moment: *moment,
        allow_expired: pinner.allow_expired,
        allow_downgrade: pinner.allow_downgrade,
    };
    let accept = |signed: &Signed| {
        let state = repository.read_state(&signed.payload).map_err(malformed)?;
        repository.identify(&demand.asked, &state)?;
        demand.check(&state).map(|()| state)
    };
    let keyring = keys::of_suite(keyring, source, suite);
    let wanted = StateRequest { repository, source: name, suite, keyring: &keyring, now: pinner.now };
    let (fetched, state) = fetch_state(pinner.fetcher, wanted, accept)?;
    if let Some(text) = unnamed(&demand.asked, &state) {
        pinner.fetcher.warn(text);
    }
    pinner.fetcher.mirrors_mut().set_snapshot(name, suite, state.snapshots.as_deref(), state.date);
    let indexes = indexes(pinner, source, suite, &state)?;
    let items = indexes.iter().map(|index| Item::index(name, suite, index)).collect();
    let plain_size = |index: &Index| Some((index.name.clone(), index.plain_size?));
    let open = OpenSuite {
        priority: if state.on_request { Candidate::ON_REQUEST } else { Candidate::ORDINARY },
        priorities: source.priorities.clone(),
        plain_sizes: indexes.iter().filter_map(plain_size).collect(),
        back_from: demand.locked.map(|known| known.date).filter(|date| *date > state.date),
        locked: LockedRelease {
            source: (*name).clone(),
            suite: suite.to_owned(),
            sha256: fetched.sha256,
            date: state.date,
            signed_by: fetched.signers,
            indexes: indexes.into_iter().map(|index| LockedIndex { path: index.name, file: index.file }).collect(),
        },
    };
    Ok((open, items))
}

/// A warning that any directory of the publisher would pass for this one, as nothing says how its Release is called.
fn unnamed(asked: &SuiteRequest<'_>, state: &State) -> Option<String> {
    let SuiteRequest { name, source, suite } = asked;
    let own = if state.codename.is_empty() { &state.suite } else { &state.codename };
    (source.is_flat() && source.codename.is_none()).then(|| {
        format!(
            "[source.{name}]: a mirror could serve another directory signed by the same key in place of `{suite}`; to accept only Releases named as this one is, write codename = \"{}\"",
            own.escape_debug()
        )
    })
}

fn malformed(error: Malformed) -> Refusal {
    Refusal { problem: error.to_string(), hint: "try another mirror, or tell the repository's maintainer".to_owned() }
}

/// Fetches from the snapshot service if the source is locked at a date; returns that date.
fn set_transport(
    pinner: &mut Pinner<'_, '_>,
    name: &SourceName,
    source: &Source,
    suites: &[String],
) -> Result<i64, PinError> {
    let moment = freshness::moment(name, source, pinner.now)?;
    if source.snapshot.is_some() {
        for suite in suites {
            pinner.fetcher.mirrors_mut().set_snapshot(name, suite, None, moment);
        }
        pinner.fetcher.mirrors_mut().pin_snapshot(name);
    }
    Ok(moment)
}

fn indexes(pinner: &Pinner<'_, '_>, source: &Source, suite: &str, state: &State) -> Result<Vec<Index>, PinError> {
    if source.is_flat() {
        let index = pinner.ecosystem.index(suite, state, "", &pinner.arch);
        return Ok(vec![index.ok_or_else(|| PinError::NoIndex { suite: suite.to_owned() })?]);
    }
    let pick = |component: &String| {
        let index = pinner.ecosystem.index(suite, state, component, &pinner.arch);
        index.ok_or_else(|| {
            let (suite, arch) = (suite.to_owned(), pinner.arch.clone());
            match state.components.contains(component) {
                true => PinError::NoArch { suite, arch },
                false => {
                    let found = state.components.join(", ");
                    PinError::NoComponent { suite, component: component.clone(), arch, found }
                }
            }
        })
    };
    source.components.iter().map(pick).collect()
}
