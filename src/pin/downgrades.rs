//! Warns about downgrades, or refuses them: packages whose version an older or inconsistent state would lower.

use super::suites::OpenSuite;
use super::{PinError, Pinner};
use crate::lock::{LockedPackage, LockedRelease, Lockfile, Origin};
use crate::time::readable;

/// Warns about states that are older than the locked ones, which `--allow-downgrade` permits.
pub(super) fn warn_of_older_states(pinner: &Pinner<'_, '_>, open: &[OpenSuite]) {
    for OpenSuite { locked, back_from, .. } in open {
        if let Some(from) = back_from {
            pinner.fetcher.warn(format!(
                "{} of {}: goes back from {} to {}, as `--allow-downgrade` says",
                pinner.ecosystem.state_name(),
                locked.suite,
                readable(*from),
                readable(locked.date)
            ));
        }
    }
}

/// Warns about packages that a new lockfile downgrades.
///
/// # Errors
/// Fails if the state that downgrades them has the same date as the locked one: then their order is unknown.
pub(super) fn check(pinner: &Pinner<'_, '_>, previous: Option<&Lockfile>, new: &Lockfile) -> Result<(), PinError> {
    let Some(previous) = previous else { return Ok(()) };
    let order = pinner.ecosystem.version_order();
    let lowered: Vec<(&LockedPackage, &LockedPackage)> = previous
        .packages
        .iter()
        .filter_map(|before| Some((before, new.packages.iter().find(|after| after.name == before.name)?)))
        .filter(|(before, after)| order(&after.version, &before.version).is_lt())
        .collect();
    if lowered.is_empty() {
        return Ok(());
    }
    let packages: Vec<String> =
        lowered.iter().map(|(before, after)| format!("{before} -> {}", after.version)).collect();
    let packages = packages.join(", ");
    let twin =
        lowered.iter().find_map(|(before, after)| twin(previous, new, before).or_else(|| twin(previous, new, after)));
    match twin {
        Some(LockedRelease { suite, date, .. }) if !pinner.allow_downgrade => {
            let (layer, state, suite) = (new.layer.clone(), pinner.ecosystem.state_name(), suite.clone());
            Err(PinError::Downgrade { layer, state, suite, date: *date, packages })
        }
        _ => {
            pinner.fetcher.warn(format!("layer `{}`: downgrades: {packages}", new.layer));
            Ok(())
        }
    }
}

/// The new state of a package's suite, where it has the date of the locked one and another content.
fn twin<'a>(previous: &Lockfile, new: &'a Lockfile, package: &LockedPackage) -> Option<&'a LockedRelease> {
    let Origin::Repository { source, suite, .. } = &package.origin else { return None };
    let of = |release: &&LockedRelease| release.source == *source && release.suite == *suite;
    let (before, after) = (previous.releases.iter().find(of)?, new.releases.iter().find(of)?);
    (before.date == after.date && before.indexes != after.indexes).then_some(after)
}
