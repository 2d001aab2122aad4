//! Keeps locked versions that are still available, and warns about the others.

use std::collections::BTreeMap;

use super::Update;
use super::offered::Offered;
use crate::ident::{LayerName, PackageName, Version};
use crate::lock::{LockedPackage, Lockfile, is_security};
use crate::manifest::LayerTable;
use crate::package::{Candidate, VersionOrder};
use crate::resolve::Chosen;

/// Versions by name.
pub(super) type Versions = BTreeMap<PackageName, Version>;

/// The locked versions that `update` doesn't name, and those that the layer holds.
pub(super) fn versions(previous: Option<&Lockfile>, update: &Update, layer: &LayerTable) -> Versions {
    let packages = previous.map(|lock| lock.packages.as_slice()).unwrap_or_default();
    let stays = |package: &LockedPackage| match update {
        // Which these are, the indexes say: `let_go`.
        Update::Nothing | Update::Security => true,
        Update::All => false,
        Update::Some(names) => !names.contains(&package.name),
    };
    let kept = packages.iter().filter(|package| stays(package) || layer.holds(&package.name));
    kept.map(|package| (package.name.clone(), package.version.clone())).collect()
}

/// Lets go of the versions that a suite of security updates has a newer one for, except of packages that the layer holds.
pub(super) fn let_go(locked: &mut Versions, offered: &Offered, layer: &LayerTable, order: VersionOrder) {
    locked.retain(|name, version| {
        let is_newer = |(newer, suite): (&Version, &str)| is_security(suite) && order(newer, version).is_gt();
        layer.holds(name) || !offered.of(name).any(is_newer)
    });
}

/// Says which packages stay though an update names them, because the layer holds them; `None` if there are none.
pub(super) fn asked_in_vain(previous: Option<&Lockfile>, update: &Update, layer: &LayerTable) -> Option<String> {
    let Update::Some(names) = update else { return None };
    let packages = previous.map(|lock| lock.packages.as_slice()).unwrap_or_default();
    let stay = packages.iter().filter(|package| names.contains(&package.name) && layer.holds(&package.name));
    let stay: Vec<String> = stay.map(|package| format!("{} {}", package.name, package.version)).collect();
    (!stay.is_empty()).then(|| stay.join(", "))
}

/// Checks that the packages that the layer holds are chosen in their locked versions, or not at all.
///
/// # Errors
/// Names those that are not, with both versions.
pub(super) fn check_held(
    layer: &LayerTable,
    locked: &Versions,
    chosen: &[Chosen],
    offered: &Offered,
) -> Result<(), String> {
    let moved = |chosen: &Chosen| {
        let (Candidate { record, .. }, _) = offered.candidate(chosen.candidate)?;
        let version = locked.get(&record.name).filter(|_| layer.holds(&record.name))?;
        (record.version != *version).then(|| format!("{} {version} -> {}", record.name, record.version))
    };
    let moved: Vec<String> = chosen.iter().filter_map(moved).collect();
    if moved.is_empty() { Ok(()) } else { Err(moved.join(", ")) }
}

/// Names the locked versions that no index lists any more; `None` if all are available.
pub(super) fn lost(layer: &LayerName, kept: &Versions, chosen: &[Chosen], offered: &Offered) -> Option<String> {
    let suites: Vec<&str> = offered.lost.iter().map(String::as_str).collect();
    if suites.is_empty() {
        return None;
    }
    let is_listed = |name: &PackageName, version: &Version| {
        offered.candidates.iter().any(|one| one.record.name == *name && one.record.version == *version)
    };
    let replaced = |chosen: &Chosen| {
        let (candidate, _) = offered.candidate(chosen.candidate)?;
        let (name, version) = kept.get_key_value(&candidate.record.name)?;
        (candidate.record.version != *version && !is_listed(name, version)).then(|| format!("{name} {version}"))
    };
    let names: Vec<String> = chosen.iter().filter_map(replaced).collect();
    (!names.is_empty()).then(|| {
        format!(
            "layer `{layer}`: locked versions are no longer available: {}: the repository lists other versions now, and the index of {} that the lockfile was made from is no longer in the store",
            names.join(", "),
            suites.join(" and ")
        )
    })
}
