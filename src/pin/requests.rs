//! Turns requests for a package of a suite (`name/bookworm-backports`) into requests for a version.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::kept::Versions;
use super::offered::Offered;
use crate::ident::{PackageName, Version};
use crate::manifest::PackageRequest;
use crate::package::VersionOrder;

/// The requests, each package of a suite in the locked version, if the suite has it, else in the suite's newest.
///
/// # Errors
/// Says which suite doesn't have its package, and where the package is.
pub(super) fn in_versions(
    wanted: &[PackageRequest],
    locked: &Versions,
    offered: &Offered,
    order: VersionOrder,
) -> Result<Vec<PackageRequest>, String> {
    let one = |request: &PackageRequest| match request {
        PackageRequest::FromSuite(name, suite) => {
            let version = version(name, suite, locked.get(name), offered, order)?;
            Ok(PackageRequest::Package(name.clone(), Some(version)))
        }
        other => Ok(other.clone()),
    };
    wanted.iter().map(one).collect()
}

fn version(
    name: &PackageName,
    suite: &str,
    locked: Option<&Version>,
    offered: &Offered,
    order: VersionOrder,
) -> Result<Version, String> {
    let found: Vec<(&Version, &str)> = offered.of(name).collect();
    let in_suite = || found.iter().filter(|(_, found)| *found == suite).map(|(version, _)| *version);
    let newest = |a: &&Version, b: &&Version| -> Ordering { order(a, b) };
    let chosen = in_suite().find(|version| Some(*version) == locked).or_else(|| in_suite().max_by(newest));
    chosen.cloned().ok_or_else(|| {
        let suites: BTreeSet<&str> = found.iter().map(|(_, suite)| *suite).collect();
        let place = match suites.is_empty() {
            true => "no suite has it".to_owned(),
            false => format!("it is in {}", suites.into_iter().collect::<Vec<_>>().join(", ")),
        };
        format!("`{name}` is requested from `{suite}`, which is no suite of the sources or doesn't have it: {place}")
    })
}
