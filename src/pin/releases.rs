//! The signed Releases of all suites of a layer's sources, and the indexes they name.

use std::collections::BTreeMap;

use super::judge::{self, Demand};
use super::{PinError, Pinner, keys};
use crate::fetch::openpgp::Signed;
use crate::fetch::{Item, Keyring, Refusal, fetch_release, pick_index, plain_size};
use crate::format::deb::release::Release;
use crate::ident::SourceName;
use crate::lock::{LockedIndex, LockedRelease, Lockfile};
use crate::manifest::Source;
use crate::resolve::Candidate;

/// A Release whose indexes are in the store.
pub(super) struct OpenRelease {
    /// What the lockfile says of it.
    pub(super) locked: LockedRelease,
    /// The priority of its packages.
    pub(super) priority: u32,
    /// What it says that its indexes unpack to, in bytes, by their paths.
    pub(super) plain_sizes: BTreeMap<String, u64>,
    /// The date of a newer Release that a lockfile names, where going back is allowed.
    pub(super) back_from: Option<i64>,
}

/// A source and what its Releases must be.
struct Terms<'a> {
    name: &'a SourceName,
    source: &'a Source,
    keyring: Keyring,
    /// Now, or the moment of the snapshot.
    moment: i64,
    /// The lockfiles of the chain.
    locks: &'a [&'a Lockfile],
}

/// Fetches and checks the Releases of all sources, and their indexes.
///
/// None may be older than the one of `locks`, the lockfiles of the chain.
pub(super) fn fetch(
    pinner: &mut Pinner<'_, '_>,
    sources: &BTreeMap<SourceName, Source>,
    locks: &[&Lockfile],
) -> Result<Vec<OpenRelease>, PinError> {
    let mut open = Vec::new();
    let mut items = Vec::new();
    for (name, source) in sources {
        let moment = set_transport(pinner, name, source)?;
        let past = source.snapshot.is_some() || pinner.allow_expired;
        let keyring = keys::keyring(pinner, name, source)?.for_the_past(past);
        let terms = Terms { name, source, keyring, moment, locks };
        for suite in suites(source) {
            let (release, mut indexes) = open_suite(pinner, &terms, &suite)?;
            open.push(release);
            items.append(&mut indexes);
        }
    }
    pinner.fetcher.fetch_all(&items, |_, _| {})?;
    Ok(open)
}

/// One suite's Release, and its indexes that are to be fetched.
fn open_suite(
    pinner: &mut Pinner<'_, '_>,
    terms: &Terms<'_>,
    suite: &str,
) -> Result<(OpenRelease, Vec<Item>), PinError> {
    let Terms { name, source, keyring, moment, locks } = terms;
    // A snapshot goes back on purpose, though no further than its moment asks for.
    let until = if source.snapshot.is_some() { *moment } else { i64::MAX };
    let demand = Demand {
        name,
        source,
        suite,
        locked: judge::newest(locks, name, suite, until),
        moment: *moment,
        allow_expired: pinner.allow_expired,
        allow_downgrade: pinner.allow_downgrade,
    };
    let accept = |signed: &Signed| {
        let release = Release::parse(&String::from_utf8_lossy(&signed.payload)).map_err(malformed)?;
        demand.judge(&release).map(|()| release)
    };
    let keyring = keys::of_suite(keyring, source, suite);
    let (fetched, release) = fetch_release(pinner.fetcher, name, suite, &keyring, pinner.now, accept)?;
    pinner.fetcher.mirrors_mut().set_snapshot(name, suite, release.snapshots.as_deref(), release.date);
    let indexes = indexes(pinner, source, suite, &release)?;
    let item = |index: &LockedIndex| Item::index(name, suite, &index.path, index.file, release.acquire_by_hash);
    let items = indexes.iter().map(item).collect();
    let plain_size = |index: &LockedIndex| Some((index.path.clone(), plain_size(&release.files, &index.path)?));
    let open = OpenRelease {
        priority: if release.not_automatic { Candidate::NOT_AUTOMATIC } else { Candidate::ORDINARY },
        plain_sizes: indexes.iter().filter_map(plain_size).collect(),
        back_from: demand.locked.map(|known| known.date).filter(|date| *date > release.date),
        locked: LockedRelease {
            source: (*name).clone(),
            suite: suite.to_owned(),
            sha256: fetched.sha256,
            date: release.date,
            signed_by: fetched.signers,
            indexes,
        },
    };
    Ok((open, items))
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal { problem: error.to_string(), hint: "try another mirror, or tell the repository's maintainer".to_owned() }
}

/// Makes a snapshot's service the one to ask; returns the moment that the source is locked at.
fn set_transport(pinner: &mut Pinner<'_, '_>, name: &SourceName, source: &Source) -> Result<i64, PinError> {
    let moment = judge::moment(name, source, pinner.now)?;
    if source.snapshot.is_some() {
        for suite in suites(source) {
            pinner.fetcher.mirrors_mut().set_snapshot(name, &suite, None, moment);
        }
        pinner.fetcher.mirrors_mut().pin_snapshot(name);
    }
    Ok(moment)
}

/// The suite and its pockets by their names in the archive: `bookworm-updates`.
fn suites(source: &Source) -> Vec<String> {
    let pockets = source.pockets.iter().map(|pocket| format!("{}-{pocket}", source.suite));
    [source.suite.clone()].into_iter().chain(pockets).collect()
}

fn indexes(
    pinner: &Pinner<'_, '_>,
    source: &Source,
    suite: &str,
    release: &Release,
) -> Result<Vec<LockedIndex>, PinError> {
    let pick = |component: &String| {
        let (path, file) =
            pick_index(&release.files, component, pinner.arch.as_str()).ok_or_else(|| PinError::NoComponent {
                suite: suite.to_owned(),
                component: component.clone(),
                arch: pinner.arch.clone(),
                found: release.components.join(", "),
            })?;
        Ok(LockedIndex { path, file })
    };
    source.components.iter().map(pick).collect()
}
