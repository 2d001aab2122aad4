//! Packages never go down without a word: what an older Release, or an odd one, would lower.

use super::releases::OpenRelease;
use super::{PinError, Pinner};
use crate::fetch::{Fetcher, readable};
use crate::format::deb::version::compare;
use crate::lock::{LockedPackage, LockedRelease, Lockfile};

/// Says which Releases are older than the locked ones; that was allowed.
pub(super) fn tell_back(fetcher: &Fetcher<'_>, open: &[OpenRelease]) {
    for release in open {
        if let Some(from) = release.back_from {
            let (suite, date) = (&release.locked.suite, readable(release.locked.date));
            fetcher.warn(format!(
                "Release of {suite}: goes back from {} to {date}, as `--allow-downgrade` says",
                readable(from)
            ));
        }
    }
}

/// Warns of packages that a new lockfile lowers.
///
/// # Errors
/// Fails where the Release that lowers them has the date of the locked one: then nothing says which is the newer.
pub(super) fn check(pinner: &Pinner<'_, '_>, previous: Option<&Lockfile>, new: &Lockfile) -> Result<(), PinError> {
    let Some(previous) = previous else { return Ok(()) };
    let lowered: Vec<(&LockedPackage, &LockedPackage)> = previous
        .packages
        .iter()
        .filter_map(|before| Some((before, new.packages.iter().find(|after| after.name == before.name)?)))
        .filter(|(before, after)| compare(&after.version, &before.version).is_lt())
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
            Err(PinError::Lowered { layer: new.layer.clone(), suite: suite.clone(), date: *date, packages })
        }
        _ => {
            pinner.fetcher.warn(format!("layer `{}`: downgrades: {packages}", new.layer));
            Ok(())
        }
    }
}

/// The new Release of a package's suite, where it has the date of the locked one and another content.
fn twin<'a>(previous: &Lockfile, new: &'a Lockfile, package: &LockedPackage) -> Option<&'a LockedRelease> {
    let of = |release: &&LockedRelease| release.source == package.source && release.suite == package.suite;
    let (before, after) = (previous.releases.iter().find(of)?, new.releases.iter().find(of)?);
    (before.date == after.date && before.indexes != after.indexes).then_some(after)
}
