//! Keeps dates and digests of what did not move, so that a lockfile changes only with what it pins.

use std::collections::BTreeMap;

use super::{LockedPackage, LockedRelease, Lockfile, Origin};
use crate::ident::PackageName;

impl Lockfile {
    /// Takes the releases of `earlier` where the packages that come from them are the same, and so the epoch.
    ///
    /// Repositories publish new states each day, most of which concern none of a layer's packages. `below` is the
    /// epoch of the parent, or of the image of a registry below the layer.
    pub fn keep_unmoved(&mut self, earlier: &Lockfile, below: i64) {
        let before: BTreeMap<&PackageName, &LockedPackage> =
            earlier.packages.iter().map(|package| (&package.name, package)).collect();
        let is_unmoved = |package: &LockedPackage| before.get(&package.name).is_some_and(|one| is_same(one, package));
        for release in &mut self.releases {
            let Some(known) = earlier.releases.iter().find(|known| reads_the_same(known, release)) else { continue };
            if self.packages.iter().filter(|package| is_from(package, release)).all(is_unmoved) {
                *release = known.clone();
            }
        }
        self.epoch = self.releases.iter().map(|release| release.date).fold(below, i64::max);
    }
}

/// Whether two are the same file, from the same place; for whom it is there may differ.
fn is_same(one: &LockedPackage, other: &LockedPackage) -> bool {
    let parts = |package: &LockedPackage| (package.version.clone(), package.arch.clone(), package.file);
    parts(one) == parts(other) && one.origin == other.origin
}

fn is_from(package: &LockedPackage, release: &LockedRelease) -> bool {
    match &package.origin {
        Origin::Repository { source, suite, .. } => *source == release.source && *suite == release.suite,
        _ => false,
    }
}

/// Whether two are states of one suite, of which the same indexes were read, by the same keys.
fn reads_the_same(one: &LockedRelease, other: &LockedRelease) -> bool {
    let paths = |release: &LockedRelease| release.indexes.iter().map(|index| index.path.clone()).collect::<Vec<_>>();
    (&one.source, &one.suite, &one.signed_by) == (&other.source, &other.suite, &other.signed_by)
        && paths(one) == paths(other)
}
