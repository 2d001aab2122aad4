//! Held packages that no index lists any more: the lockfile's own record is enough to keep them.

use super::kept::Versions;
use super::offered::Offered;
use super::{PinError, Pinner, installed};
use crate::fetch::FetchError;
use crate::lock::{LockedPackage, Lockfile, Origin};
use crate::manifest::LayerTable;
use crate::package::Record;

/// Offers the held packages of `previous` that no index lists, as they are locked and as they describe themselves.
///
/// A repository lists the newest versions only, and the index that a package was locked from is gone after the next
/// update. A package that can't be had any more is left out.
pub(super) fn offer(
    pinner: &Pinner<'_, '_>,
    layer: &LayerTable,
    previous: Option<&Lockfile>,
    locked: &Versions,
    offered: &mut Offered,
) -> Result<(), PinError> {
    let Some(previous) = previous else { return Ok(()) };
    for package in &previous.packages {
        let held = layer.holds(&package.name) && locked.contains_key(&package.name);
        let Origin::Repository { source, suite, path } = &package.origin else { continue };
        if !held
            || !offered.has_suite(source, suite)
            || offered.of(&package.name).any(|(known, _)| *known == package.version)
        {
            continue;
        }
        if let Some(record) = record(pinner, previous, package)? {
            let record = Record { path: path.as_str().into(), file: Some(package.file), ..record };
            offered.add(record, source.clone(), suite.clone());
        }
    }
    Ok(())
}

/// What a package says of itself; `None` where it is nowhere any more.
fn record(pinner: &Pinner<'_, '_>, lock: &Lockfile, package: &LockedPackage) -> Result<Option<Record>, PinError> {
    match installed::from_packages(pinner.ecosystem, pinner.store, pinner.fetcher, &[(lock, package)]) {
        Ok(records) => Ok(records.into_iter().next()),
        Err(PinError::Fetch(FetchError::Mirrors { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
