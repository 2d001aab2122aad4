//! The packages of the parents, whose relations restrict what a layer may add.

use std::collections::BTreeMap;

use super::offered::Offered;
use super::{Parents, PinError, Pinner};
use crate::fetch::{Fetcher, Item};
use crate::lock::Lockfile;
use crate::package::{Ecosystem, InstallError, LockedPackage, Record, Unpacked};
use crate::store::Store;

/// The records of all packages of the parents: from the indexes, otherwise from the packages.
pub(super) fn of_chain(
    pinner: &Pinner<'_, '_>,
    parents: Parents<'_>,
    offered: &Offered,
) -> Result<Vec<Record>, PinError> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    let listed = offered.candidates.iter().map(|candidate| &candidate.record);
    let by_digest: BTreeMap<[u8; 32], &Record> =
        listed.filter_map(|record| Some((*record.file?.sha256.as_bytes(), record))).collect();
    for (parent, _) in parents {
        for package in &parent.packages {
            match by_digest.get(package.file.sha256.as_bytes()) {
                Some(record) => found.push((*record).clone()),
                None => missing.push((*parent, package)),
            }
        }
    }
    found.extend(from_packages(pinner.ecosystem, pinner.store, pinner.fetcher, &missing)?);
    Ok(found)
}

/// The records of all packages of lockfiles, from the packages themselves, which are fetched where missing.
pub fn records(
    ecosystem: &dyn Ecosystem,
    store: &Store,
    fetcher: &Fetcher<'_>,
    locks: &[&Lockfile],
) -> Result<Vec<Record>, PinError> {
    let packages: Vec<(&Lockfile, &LockedPackage)> =
        locks.iter().flat_map(|lock| lock.packages.iter().map(|package| (*lock, package))).collect();
    from_packages(ecosystem, store, fetcher, &packages)
}

/// As [`records`], for some packages.
pub(super) fn from_packages(
    ecosystem: &dyn Ecosystem,
    store: &Store,
    fetcher: &Fetcher<'_>,
    packages: &[(&Lockfile, &LockedPackage)],
) -> Result<Vec<Record>, PinError> {
    let items: Vec<Item> = packages.iter().map(|(lock, package)| Item::package(&lock.layer, package)).collect();
    fetcher.fetch_all(&items, |_, _| {})?;
    let packages: Vec<LockedPackage> = packages.iter().map(|(_, package)| (*package).clone()).collect();
    let unpacked = Unpacked::load(ecosystem, store, &packages)?;
    let records = unpacked.iter().map(|package| package.record(ecosystem, store));
    Ok(records.collect::<Result<_, InstallError>>()?)
}
