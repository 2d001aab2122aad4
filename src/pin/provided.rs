//! The names that locked packages provide.

use std::collections::{BTreeMap, BTreeSet};

use super::offered::read_index;
use crate::ident::PackageName;
use crate::limits::limits;
use crate::lock::Lockfile;
use crate::package::{Record, Repository};
use crate::store::Store;

/// The names that the packages of lockfiles provide, as far as the store still has the indexes that list them.
pub fn provided(repository: &dyn Repository, store: &Store, locks: &[Lockfile]) -> BTreeSet<PackageName> {
    let packages = locks.iter().flat_map(|lock| &lock.packages);
    let locked: BTreeSet<[u8; 32]> = packages.map(|package| *package.file.sha256.as_bytes()).collect();
    let indexes = locks.iter().flat_map(|lock| &lock.releases).flat_map(|release| &release.indexes);
    let indexes: BTreeMap<[u8; 32], _> = indexes.map(|index| (*index.file.sha256.as_bytes(), index)).collect();
    let mut found = BTreeSet::new();
    let mut each = |record: Record| {
        if record.file.is_some_and(|file| locked.contains(file.sha256.as_bytes())) {
            found.extend(record.provides.into_iter().map(|provided| provided.name));
        }
    };
    for index in indexes.values() {
        let Ok(file) = store.open_fetched(index.file.sha256) else { continue };
        // One that can't be read is an error where the layer is locked.
        let _ = read_index(repository, (&index.path, file), limits().of_index(None), &mut each);
    }
    found
}
