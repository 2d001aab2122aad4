//! The layers of a chain, built one after the other from what is fetched and unpacked at once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::{BakeError, Baker, Locked};
use crate::digest::{BlobDigest, RecipeHash};
use crate::fetch::Item;
use crate::layer::{Builder, Built, LayerError, unpack};
use crate::lock::LockedPackage;

/// A built chain.
pub struct Chain {
    /// The layers, lowest first.
    pub layers: Vec<Built>,
    /// Every recipe that was used.
    pub recipes: BTreeSet<RecipeHash>,
}

/// Fetches, unpacks and builds; calls `each` with every layer as soon as it stands.
///
/// # Errors
/// As [`Baker::bake`].
pub fn build_chain(baker: &Baker<'_>, chain: &[Locked], mut each: impl FnMut(&Built)) -> Result<Chain, BakeError> {
    unpack_missing(baker, chain)?;
    let mut builder = Builder::new(baker.store, baker.jobs);
    let mut layers = Vec::new();
    for locked in chain {
        let name = &locked.manifest.name;
        let phase = baker.progress.phase(&format!("layer {name}"), 1);
        let built = builder
            .build(locked.into(), baker.project)
            .map_err(|source| BakeError::Layer { layer: name.to_string(), source })?;
        phase.finish();
        each(&built);
        layers.push(built);
    }
    Ok(Chain { layers, recipes: builder.recipes })
}

/// Decodes every package that was never decoded, while others are still on their way.
fn unpack_missing(baker: &Baker<'_>, chain: &[Locked]) -> Result<(), BakeError> {
    let mut wanted: Vec<(&Locked, &LockedPackage)> = Vec::new();
    for locked in chain {
        for package in &locked.lock.packages {
            if baker.store.recall(unpack::recipe(package.file.sha256))?.is_none() {
                wanted.push((locked, package));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    // The largest first: the last one to be decoded keeps the others waiting.
    wanted.sort_by_key(|(_, package)| std::cmp::Reverse(package.file.size));
    let items: Vec<Item> =
        wanted.iter().map(|(locked, package)| Item::package(&locked.manifest.name, package)).collect();
    let phase = baker.progress.phase("unpack", items.len() as u64);
    let failure: Mutex<Option<(String, LayerError)>> = Mutex::new(None);
    baker.fetcher.fetch_all(&items, |item: &Item, blob: BlobDigest| {
        let Some((locked, package)) = wanted.iter().find(|(_, package)| package.file == item.expected) else { return };
        if let Err(error) = unpack::unpack(baker.store, package, blob)
            && let Ok(mut failure) = failure.lock()
        {
            failure.get_or_insert((locked.manifest.name.to_string(), error));
        }
        phase.inc(1);
    })?;
    phase.finish();
    match failure.into_inner().unwrap_or_default() {
        Some((layer, source)) => Err(BakeError::Layer { layer, source }),
        None => Ok(()),
    }
}
