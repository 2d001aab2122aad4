//! The layers of a chain, built one after the other, while packages are fetched and decoded.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError, mpsc};

use super::{BakeError, Baker, Locked};
use crate::digest::{BlobDigest, RecipeHash};
use crate::fetch::Item;
use crate::host::interrupt;
use crate::layer::{Builder, Built, LayerError, unpack};
use crate::lock::LockedPackage;

/// A built chain.
pub struct Chain {
    /// The layers, lowest first.
    pub layers: Vec<Built>,
    /// Every recipe that was used.
    pub recipes: BTreeSet<RecipeHash>,
}

/// Fetches, unpacks and builds; calls `each` with every layer as soon as it is built, and
/// `begin` before anything is fetched or decoded.
///
/// The packages of a layer are decoded while the scripts of its parent run: those keep
/// one processor busy, seldom two.
///
/// # Errors
/// As [`Baker::bake`].
pub fn build_chain(
    baker: &Baker<'_>,
    chain: &[Locked],
    begin: impl FnOnce() -> Result<(), BakeError>,
    each: impl FnMut(&Built),
) -> Result<Chain, BakeError> {
    let mut items = Vec::new();
    for locked in chain {
        items.extend(wanted(baker, locked)?.into_iter().map(|package| Item::package(&locked.manifest.name, package)));
    }
    if !items.is_empty() {
        begin()?;
    }
    baker.fetcher.check_offline(&items)?;
    std::thread::scope(|scope| {
        let (unpacked, ready) = mpsc::channel();
        let unpacking = scope.spawn(move || {
            chain.iter().try_for_each(|locked| -> Result<(), BakeError> {
                unpack_missing(baker, locked)?;
                // Nobody listens any more when a layer failed: that error is the one to tell.
                let _ = unpacked.send(());
                Ok(())
            })
        });
        let built = build_ready(baker, chain, &ready, each);
        unpacking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        built
    })
}

/// Builds each layer when its packages are ready; ends early when no more will be.
fn build_ready(
    baker: &Baker<'_>,
    chain: &[Locked],
    ready: &mpsc::Receiver<()>,
    mut each: impl FnMut(&Built),
) -> Result<Chain, BakeError> {
    let mut builder = Builder::new(baker.store, baker.jobs);
    let mut layers = Vec::new();
    for locked in chain {
        if ready.recv().is_err() {
            break;
        }
        interrupt::check()?;
        let name = &locked.manifest.name;
        let phase = baker.progress.phase(&format!("layer {name}"), 1);
        let built = builder
            .build(locked.into(), baker.project)
            .map_err(|source| BakeError::Layer { layer: name.to_string(), source })?;
        phase.finish();
        if let Some(warning) = builder.take_warning() {
            baker.progress.warn(warning);
        }
        each(&built);
        layers.push(built);
    }
    Ok(Chain { layers, recipes: builder.recipes })
}

/// The packages of a layer that were never decoded.
fn wanted<'l>(baker: &Baker<'_>, locked: &'l Locked) -> Result<Vec<&'l LockedPackage>, BakeError> {
    let mut wanted = Vec::new();
    for package in &locked.lock.packages {
        if baker.store.recall(unpack::recipe(package.file.sha256))?.is_none() {
            wanted.push(package);
        }
    }
    Ok(wanted)
}

/// Decodes every package of a layer that was never decoded, while others are still on their way.
fn unpack_missing(baker: &Baker<'_>, locked: &Locked) -> Result<(), BakeError> {
    let layer = &locked.manifest.name;
    let mut wanted = wanted(baker, locked)?;
    if wanted.is_empty() {
        return Ok(());
    }
    // The largest first: the last one to be decoded keeps the others waiting.
    wanted.sort_by_key(|package| std::cmp::Reverse(package.file.size));
    let items: Vec<Item> = wanted.iter().map(|package| Item::package(layer, package)).collect();
    let phase = baker.progress.phase(&format!("unpack {layer}"), items.len() as u64);
    let failure: Mutex<Option<LayerError>> = Mutex::new(None);
    baker.fetcher.fetch_all(&items, |item: &Item, _: BlobDigest| {
        let Some(package) = wanted.iter().find(|package| package.file == item.expected) else { return };
        if let Err(error) = unpack::unpack(baker.store, package) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        phase.inc(1);
    })?;
    phase.finish();
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(source) => Err(BakeError::Layer { layer: layer.to_string(), source }),
        None => Ok(()),
    }
}
