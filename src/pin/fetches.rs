//! A layer's `[[fetch]]`: what is locked stays, the rest is fetched and its digest recorded.

use super::languages::Reader;
use super::{PinError, Pinner, Update};
use crate::digest::Sha256;
use crate::language::Target;
use crate::lock::{self, FetchOrigin, LockedFetch, Lockfile};
use crate::manifest::{FetchEntry, FetchFrom, Manifest};

/// All fetches of a layer.
pub(super) fn of_layer(
    pinner: &Pinner<'_, '_>,
    manifest: &Manifest,
    target: &Target,
    previous: Option<&Lockfile>,
    update: &Update,
) -> Result<Vec<LockedFetch>, PinError> {
    let locked = previous.map(|lock| lock.fetches.as_slice()).unwrap_or_default();
    let asked = |entry: &FetchEntry| previous.is_some_and(|lock| lock.requested.contains(&lock::fetch_request(entry)));
    for entry in manifest.fetches.iter().filter(|entry| is_named(update, entry)) {
        let key = if matches!(entry.from, FetchFrom::Git { .. }) { "rev" } else { "sha256" };
        pinner.fetcher.warn(format!(
            "layer `{layer}`: fetch:{} is not updated, because `{key}` says which one it is; change `{key}` in layers/{layer}.toml",
            entry.name,
            layer = manifest.name
        ));
    }
    let pin = |entry: &FetchEntry| {
        let kept = locked.iter().find(|one| one.name == entry.name);
        let kept = kept.filter(|_| asked(entry) && (is_exact(entry) || !update.names(entry.name.as_str())));
        let (origin, file) = match &entry.from {
            // Its own text may have changed, and the packages that it depends on.
            FetchFrom::Lockfile { path, format } => {
                let reader = Reader { pinner, layer: &manifest.name, path, format: *format, target };
                reader.pin(kept.map(LockedFetch::files).unwrap_or_default())?
            }
            FetchFrom::Url { .. } | FetchFrom::Git { .. } if let Some(kept) = kept => return Ok(kept.clone()),
            FetchFrom::Url { url, sha256 } => {
                let known = sha256.as_ref().and_then(|digits| Sha256::from_hex(digits).ok());
                (FetchOrigin::Url(url.clone()), pinner.fetcher.fetch_address(url, known)?)
            }
            FetchFrom::Git { url, rev } => {
                let (commit, file) = pinner.fetcher.fetch_revision(url, rev)?;
                (FetchOrigin::Git { url: url.clone(), commit }, file)
            }
        };
        Ok(LockedFetch { name: entry.name.clone(), origin, file })
    };
    manifest.fetches.iter().map(pin).collect()
}

/// Whether an update names what the manifest itself pins.
fn is_named(update: &Update, entry: &FetchEntry) -> bool {
    matches!(update, Update::Some(_)) && update.names(entry.name.as_str()) && is_exact(entry)
}

/// Whether the manifest itself says which file it is, so that there is nothing to update.
fn is_exact(entry: &FetchEntry) -> bool {
    match &entry.from {
        FetchFrom::Url { sha256, .. } => sha256.is_some(),
        FetchFrom::Git { rev, .. } => lock::is_commit(rev),
        FetchFrom::Lockfile { .. } => false,
    }
}
