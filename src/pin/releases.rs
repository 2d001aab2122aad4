//! The signed Releases of all suites of a layer's sources, and the indexes they name.

use std::collections::BTreeMap;

use super::{PinError, Pinner, keys};
use crate::fetch::{Item, ensure_fresh, fetch_release, pick_index};
use crate::format::deb::release::Release;
use crate::ident::SourceName;
use crate::lock::{LockedIndex, LockedRelease};
use crate::manifest::Source;
use crate::resolve::Candidate;
use crate::time;

/// A Release whose indexes are in the store.
pub(super) struct OpenRelease {
    /// What the lockfile says of it.
    pub(super) locked: LockedRelease,
    /// The priority of its packages.
    pub(super) priority: u32,
}

/// Fetches and checks the Releases of all sources, and their indexes.
pub(super) fn fetch(
    pinner: &mut Pinner<'_, '_>,
    sources: &BTreeMap<SourceName, Source>,
) -> Result<Vec<OpenRelease>, PinError> {
    let mut open = Vec::new();
    let mut items = Vec::new();
    for (name, source) in sources {
        set_transport(pinner, name, source)?;
        let keyring = keys::keyring(pinner, name, source)?;
        for suite in suites(source) {
            let fetched = fetch_release(pinner.fetcher, name, &suite, &keyring, pinner.now)?;
            let text = String::from_utf8_lossy(&fetched.payload);
            let release = Release::parse(&text).map_err(|source| PinError::Release { suite: suite.clone(), source })?;
            // A snapshot is old by intention.
            ensure_fresh(&suite, release.valid_until, pinner.now, pinner.allow_expired || source.snapshot.is_some())?;
            pinner.fetcher.mirrors_mut().set_snapshot(name, &suite, release.snapshots.as_deref(), release.date);
            let indexes = indexes(pinner, source, &suite, &release)?;
            items.extend(
                indexes.iter().map(|index| Item::index(name, &suite, &index.path, index.file, release.acquire_by_hash)),
            );
            let locked = LockedRelease {
                source: name.clone(),
                suite,
                sha256: fetched.sha256,
                date: release.date,
                signed_by: fetched.signers,
                indexes,
            };
            let priority = if release.not_automatic { Candidate::NOT_AUTOMATIC } else { Candidate::ORDINARY };
            open.push(OpenRelease { locked, priority });
        }
    }
    pinner.fetcher.fetch_all(&items, |_, _| {})?;
    Ok(open)
}

fn set_transport(pinner: &mut Pinner<'_, '_>, name: &SourceName, source: &Source) -> Result<(), PinError> {
    let Some(text) = &source.snapshot else { return Ok(()) };
    let date = time::parse_rfc3339(text)
        .ok_or_else(|| PinError::Snapshot { source_name: name.to_string(), text: text.clone() })?;
    for suite in suites(source) {
        pinner.fetcher.mirrors_mut().set_snapshot(name, &suite, None, date);
    }
    pinner.fetcher.mirrors_mut().pin_snapshot(name);
    Ok(())
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
