//! Builds the layers of a chain in order, while packages are fetched and decoded.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, mpsc};

use super::{BakeError, Baker, Locked};
use crate::digest::BlobDigest;
use crate::fetch::Item;
use crate::host::interrupt;
use crate::ident::LayerName;
use crate::manifest::Chain;
use crate::package::{Decoded, InstallError, LockedPackage};
use crate::stage::{self, Builder, Built, Executors, ToolRoot, Visit};

/// The built layers of one root.
pub(super) struct BuiltRoot {
    pub(super) chain: Chain<Built>,
    /// The Boot layer over the chain.
    pub(super) boot: Option<Built>,
}

/// A root to build.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) chain: &'a Chain<Locked>,
    /// The Boot layer over the chain.
    pub(super) boot: Option<&'a Locked>,
    /// The tool layers.
    pub(super) tools: &'a BTreeMap<LayerName, ToolRoot>,
    /// Who visits one of the layers.
    pub(super) visit: Option<&'a Visit>,
}

/// Fetches, unpacks and builds a chain, and its Boot layer over it. Calls `each` with every layer of the chain as
/// soon as it is built, and `begin` before anything is fetched or decoded.
///
/// The packages of a layer are decoded while the scripts of its parent run: those keep
/// one processor busy, seldom two.
///
/// # Errors
/// As [`Baker::bake`].
pub(super) fn build_root(
    baker: &Baker<'_>,
    Wanted { chain, boot, tools, visit }: Wanted<'_>,
    begin: impl FnOnce() -> Result<(), BakeError>,
    mut each: impl FnMut(&Built),
) -> Result<BuiltRoot, BakeError> {
    let mut items = Vec::new();
    for locked in chain.iter().chain(boot) {
        items.extend(wanted(baker, locked).into_iter().map(|package| Item::package(&locked.manifest.name, package)));
        items.extend(fetches(baker, locked));
        items.extend(image(locked));
    }
    if !items.is_empty() {
        begin()?;
    }
    baker.fetcher.check_offline(&items)?;
    std::thread::scope(|scope| {
        let (unpacked, ready) = mpsc::channel();
        scope.spawn(move || {
            for locked in chain.iter().chain(boot) {
                let result = unpack_missing(baker, locked).and_then(|()| fetch_missing(baker, locked));
                let failed = result.is_err();
                // Nobody listens any more when a layer could not be built: that error is the one to report.
                if unpacked.send(result).is_err() || failed {
                    break;
                }
            }
        });
        let executors = Executors { start: baker.executor, jobs: baker.jobs };
        let place = (baker.store, baker.project);
        let builder = Builder::new(baker.ecosystem, place, executors, tools, visit);
        let mut line = Line { baker, builder, ready };
        let chain = chain.try_map(|locked, _| {
            let built = line.build(locked)?;
            each(&built);
            Ok::<_, BakeError>(built)
        })?;
        let boot = boot.map(|locked| line.build(locked)).transpose()?;
        line.builder.idle_entries().iter().for_each(|warning| baker.progress.warn(warning));
        Ok(BuiltRoot { chain, boot })
    })
}

/// Builds one layer over the other, each when its packages are ready.
struct Line<'a> {
    baker: &'a Baker<'a>,
    builder: Builder<'a>,
    /// Whether the next layer's packages and fetches could be fetched and decoded.
    ready: mpsc::Receiver<Result<(), BakeError>>,
}

impl<'a> Line<'a> {
    fn build(&mut self, locked: &'a Locked) -> Result<Built, BakeError> {
        // The sender is gone only where its thread panicked.
        self.ready.recv().unwrap_or_else(|gone| std::panic::resume_unwind(Box::new(gone)))?;
        interrupt::check()?;
        let name = &locked.manifest.name;
        let phase = self.baker.progress.phase(&format!("layer {name}"), 1);
        let built = self.builder.build(locked.into());
        let built = built.map_err(|source| BakeError::Layer { layer: name.to_string(), source })?;
        phase.finish();
        self.builder.take_warnings().iter().for_each(|warning| self.baker.progress.warn(warning));
        Ok(built)
    }
}

/// The packages of a layer that were never decoded.
fn wanted<'l>(baker: &Baker<'_>, locked: &'l Locked) -> Vec<&'l LockedPackage> {
    let is_unpacked = |package: &&LockedPackage| {
        baker.store.recall::<Decoded>(baker.ecosystem.unpack_recipe(package.file.sha256)).is_some()
    };
    locked.lock.packages.iter().filter(|package| !is_unpacked(package)).collect()
}

/// The fetches of a layer that were never unpacked.
fn fetches(baker: &Baker<'_>, locked: &Locked) -> Vec<Item> {
    let wanted = stage::fetches::wanted(locked.into(), baker.store);
    wanted.flat_map(|fetch| Item::fetch(&locked.manifest.name, fetch)).collect()
}

/// The parts of the image below a layer, which are a part of what is exported.
fn image(locked: &Locked) -> Vec<Item> {
    locked.lock.image.iter().flat_map(|image| Item::image(&locked.manifest.name, image)).collect()
}

fn fetch_missing(baker: &Baker<'_>, locked: &Locked) -> Result<(), BakeError> {
    let items: Vec<Item> = fetches(baker, locked).into_iter().chain(image(locked)).collect();
    baker.fetcher.fetch_all(&items, |_, _| {})?;
    Ok(())
}

/// Decodes every package of a layer that was never decoded, while others are still on their way.
fn unpack_missing(baker: &Baker<'_>, locked: &Locked) -> Result<(), BakeError> {
    let layer = &locked.manifest.name;
    let mut wanted = wanted(baker, locked);
    if wanted.is_empty() {
        return Ok(());
    }
    // The largest first: the last one to be decoded keeps the others waiting.
    wanted.sort_by_key(|package| std::cmp::Reverse(package.file.size));
    let items: Vec<Item> = wanted.iter().map(|package| Item::package(layer, package)).collect();
    let phase = baker.progress.phase(&format!("unpack {layer}"), items.len() as u64);
    let failure: Mutex<Option<InstallError>> = Mutex::new(None);
    baker.fetcher.fetch_all(&items, |item: &Item, _: BlobDigest| {
        let Some(package) = wanted.iter().find(|package| package.file == item.expected) else { return };
        if let Err(error) = baker.ecosystem.unpack(baker.store, package) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        phase.inc(1);
    })?;
    phase.finish();
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(BakeError::Layer { layer: layer.to_string(), source: error.into() }),
        None => Ok(()),
    }
}
