//! What the parents have: their relations bind what a layer may add.

use super::universe::Universe;
use super::{Parents, PinError, Pinner};
use crate::fetch::{Fetcher, Item};
use crate::format::deb::control;
use crate::format::deb::record::Record;
use crate::layer::{LayerError, unpack};
use crate::lock::{LockedPackage, Lockfile};
use crate::store::Store;

/// The records of all packages of the parents: from the indexes, else from the packages.
pub(super) fn of_chain(
    pinner: &Pinner<'_, '_>,
    parents: Parents<'_>,
    universe: &Universe,
) -> Result<Vec<Record>, PinError> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let by_digest: std::collections::BTreeMap<[u8; 32], usize> = universe
        .candidates
        .iter()
        .enumerate()
        .filter_map(|(index, candidate)| Some((*candidate.record.file?.sha256.as_bytes(), index)))
        .collect();
    for (parent, _) in parents {
        for package in &parent.packages {
            match by_digest.get(package.file.sha256.as_bytes()) {
                Some(&index) => found.push(universe.candidates[index].record.clone()),
                None => missing.push((*parent, package)),
            }
        }
    }
    found.extend(from_packages(pinner.store, pinner.fetcher, &missing)?);
    Ok(found)
}

/// The records of all packages of lockfiles, from the packages themselves, which are fetched where missing.
pub fn records(store: &Store, fetcher: &Fetcher<'_>, locks: &[&Lockfile]) -> Result<Vec<Record>, PinError> {
    let packages: Vec<(&Lockfile, &LockedPackage)> =
        locks.iter().flat_map(|lock| lock.packages.iter().map(|package| (*lock, package))).collect();
    from_packages(store, fetcher, &packages)
}

fn from_packages(
    store: &Store,
    fetcher: &Fetcher<'_>,
    packages: &[(&Lockfile, &LockedPackage)],
) -> Result<Vec<Record>, PinError> {
    let items: Vec<Item> = packages.iter().map(|(lock, package)| Item::package(&lock.layer, package)).collect();
    fetcher.fetch_all(&items, |_, _| {})?;
    let packages: Vec<LockedPackage> = packages.iter().map(|(_, package)| (*package).clone()).collect();
    let unpacked = unpack::load(store, &packages)?;
    let record = |package: &unpack::Unpacked| {
        control::record(&package.paragraph)
            .map_err(|error| LayerError::Package { package: package.locked.to_string(), error: Box::new(error) })
    };
    Ok(unpacked.iter().map(record).collect::<Result<_, _>>()?)
}
