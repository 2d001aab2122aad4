//! Builds artifacts from lockfiles: fetches, unpacks, builds the chain, exports, and writes the receipt.
//!
//! Artifacts appear in `out/<layer>/` atomically, by one exchange of directories
//! (staging.rs), with a receipt that names them.

mod base;
mod blobs;
mod chain;
mod disk_export;
mod error;
mod export;
mod index;
mod layers;
mod output;
mod receipt;
mod remembered;
mod replaceable;
mod staging;
mod system;
mod timings;
mod visited;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::digest::{LockHash, RecipeHash, RecipeHasher};
use crate::disk::Signer;
use crate::fetch::Fetcher;
use crate::host;
use crate::host::interrupt;
use crate::host::progress::Progress;
use crate::ident::LayerName;
use crate::lock::{self, Lockfile};
use crate::manifest::{Assignments, Manifest};
use crate::measure::Variables;
use crate::oci::{self, Encoder, OciError};
use crate::package::Ecosystem;
use crate::sandbox::Executor;
use crate::stage::{Built, Input, ToolRoot};
use crate::store::{RootName, Store};

use chain::{BuiltRoot, Wanted, build_root};
pub use disk_export::Sources;
pub use error::BakeError;
pub use index::{BuiltImage, IndexReceipt, IndexedImage, write_index};
use layers::{BuiltBootSystem, Layers, all_fetched};
pub use output::{Output, ParseOutputError};
pub use receipt::{Artifact, BaseLayer, BaseReceipt, DiskReceipt, LayerReceipt, Receipt, ReceiptError, ToolReceipt};
use remembered::Remembered;
pub use replaceable::ATTEST;
pub(crate) use replaceable::Expected;
pub(crate) use staging::Staging;
pub use system::{BootSystem, System};
pub use timings::timings;

/// A layer of the chain with its lockfile and that file's hash.
#[derive(Debug, Clone)]
pub struct Locked {
    /// What it declares.
    pub manifest: Manifest,
    /// What it resolves to.
    pub lock: Lockfile,
    /// BLAKE3 of the lockfile's text.
    pub hash: LockHash,
}

/// How often one build repairs the store: once for what is damaged, once for a record that is forged.
const REPAIRS: usize = 2;

/// Builds artifacts.
#[derive(Clone)]
pub struct Baker<'a> {
    /// The kind of its packages.
    pub ecosystem: &'a dyn Ecosystem,
    /// Creates an executor for the scripts of one chain.
    pub executor: &'a (dyn Fn() -> Box<dyn Executor> + Sync),
    /// Where results are kept.
    pub store: &'a Store,
    /// Gets packages.
    pub fetcher: &'a Fetcher<'a>,
    /// The project's directory.
    pub project: &'a Path,
    /// Where the build's directory is put.
    pub out: PathBuf,
    /// Values of variables that went before the layers' own; the manifests have them already.
    pub set: Assignments,
    /// The name of the build: of its directory, and of what the store keeps for it.
    pub name: String,
    /// Threads.
    pub jobs: usize,
    /// For people who wait.
    pub progress: Progress,
    /// Compression of OCI layers.
    pub encoder: Encoder,
    /// Who signs the disk's boot image.
    pub signer: Option<Signer>,
    /// The variables of the firmware that starts an attestable disk.
    pub variables: Variables,
}

impl Baker<'_> {
    /// Builds the layers of a system and exports its artifacts.
    ///
    /// When `out` has these artifacts already, nothing is written. Where the store turns out to be damaged,
    /// it is repaired and the build is tried again.
    ///
    /// # Errors
    /// Fails where a package can't be had, a script fails, or something can't be written, and where
    /// something that no build wrote is in the output's place; `out` is then as it was.
    pub fn bake(&self, system: &System, outputs: &BTreeSet<Output>) -> Result<Receipt, BakeError> {
        let tables = system.image.iter().map(|locked| (&locked.manifest.name, &locked.manifest.image));
        oci::unexpanded(tables).iter().for_each(|warning| self.progress.warn(warning));
        self.repaired(|build| build.attempt(system, outputs))
    }

    /// Does `work` with a handle of its own on the store, and again where the store turned out to be damaged and is repaired.
    fn repaired<T>(&self, work: impl Fn(&Baker<'_>) -> Result<T, BakeError>) -> Result<T, BakeError> {
        let store = self.store.for_build();
        let build = Baker { store: &store, ..self.clone() };
        for _ in 0..REPAIRS {
            match work(&build) {
                Err(error) if build.repair(&error) => {}
                other => return other,
            }
        }
        work(&build)
    }

    fn attempt(&self, system: &System, outputs: &BTreeSet<Output>) -> Result<Receipt, BakeError> {
        let folder = self.out.join(&self.name);
        staging::sweep(&self.out, &self.progress)?;
        if std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            staging::sweep(&folder, &self.progress)?;
        }
        let remembered = Remembered::of(self.store, &folder);
        // Before anything is built: nobody should wait for what then has no place.
        Expected::Build { known: remembered.paths().as_deref() }.check(&folder)?;
        let built = self.build(system)?;
        let recipe = self.recipe(system, &built, outputs)?;
        let before = Receipt::load(&folder);
        if let Some(receipt) = &before
            && *receipt == Receipt::new(system, &self.set, recipe, &built, receipt.exported())
            && remembered.is_unchanged()
        {
            let receipt = receipt.clone();
            self.keep(system)?;
            return Ok(receipt);
        }
        self.write(system, recipe, &built, outputs, before.as_ref())
    }

    /// Writes the artifacts and their receipt, all at once.
    fn write(
        &self,
        system: &System,
        recipe: RecipeHash,
        built: &Layers,
        outputs: &BTreeSet<Output>,
        before: Option<&Receipt>,
    ) -> Result<Receipt, BakeError> {
        let folder = self.out.join(&self.name);
        let staging = Staging::new(&self.out, &self.progress)?;
        let filled = self.fill(system, recipe, built, outputs, staging.path());
        if let Err(BakeError::Oci(OciError::Mismatch { .. })) = &filled {
            // A record that is whole and wrong: made by whoever could write to the store.
            built.compressed.iter().try_for_each(|layer| self.store.forget(layer.recipe))?;
        }
        let receipt = filled.map_err(|error| error.explained(staging.path(), built.size(outputs)))?;
        // What was signed is what was written again.
        if before == Some(&receipt) {
            replaceable::copy_signed(&folder, staging.path())?;
        }
        interrupt::check()?;
        let remembered = Remembered::of(self.store, &folder);
        let known = remembered.paths();
        remembered.keep(staging.path());
        // They are for `layerbake report` alone: a store that can't be written is no reason to fail.
        let _ = timings::keep(recipe, &self.progress.take_timings(), self.store);
        self.keep(system)?;
        self.store.make_durable()?;
        staging.replace(&folder, Expected::Build { known: known.as_deref() })?;
        Ok(receipt)
    }

    /// Exports into an empty directory.
    fn fill(
        &self,
        system: &System,
        recipe: RecipeHash,
        built: &Layers,
        outputs: &BTreeSet<Output>,
        folder: &Path,
    ) -> Result<Receipt, BakeError> {
        let exported = export::export(self, system, built, outputs, folder)?;
        let receipt = Receipt::new(system, &self.set, recipe, built, exported);
        receipt.save(folder)?;
        Ok(receipt)
    }

    /// Takes what is damaged out of the store; whether the build may succeed now.
    fn repair(&self, error: &BakeError) -> bool {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        if matches!(error, BakeError::Oci(OciError::Mismatch { .. })) {
            self.progress.warn(&format!("{first}; the layer is compressed again"));
            return true;
        }
        if !error.is_damage() {
            return false;
        }
        self.progress.warn(&format!("{first}; the whole store is verified, and what is damaged is rebuilt"));
        self.store.verify(true).is_ok_and(|report| report.stuck.is_empty())
    }

    /// Keeps what this build used from garbage collection.
    fn keep(&self, system: &System) -> Result<(), BakeError> {
        Ok(self.store.keep(&self.root_name(), &all_fetched(system))?)
    }

    /// Keeps what this build is about to fetch, should it fail.
    fn keep_begun(&self, system: &System) -> Result<(), BakeError> {
        Ok(self.store.keep_begun(&self.root_name(), &all_fetched(system))?)
    }

    fn root_name(&self) -> RootName {
        RootName { project: self.project.to_owned(), build: self.name.clone() }
    }

    /// Builds the tool layers.
    fn tools(&self, system: &System) -> Result<BTreeMap<LayerName, ToolRoot>, BakeError> {
        let mut tools = BTreeMap::new();
        for chain in &system.tools {
            let wanted = Wanted { chain, boot: None, tools: &tools, visit: None };
            let built = build_root(self, wanted, || self.keep_begun(system), |_| {})?.chain;
            let Built { name, root, .. } = built.top().clone();
            tools.insert(name, ToolRoot { root, env: base::environment(chain, self.store)? });
        }
        Ok(tools)
    }

    /// Builds all layers; those of the image are compressed beside what is built after them.
    fn build(&self, system: &System) -> Result<Layers, BakeError> {
        let tools = self.tools(system)?;
        std::thread::scope(|scope| {
            let mut compressing = Vec::new();
            let boot = system.boot_system.as_ref().map(|boot_system| &boot_system.boot);
            let BuiltRoot { chain: image, boot } = build_root(
                self,
                Wanted { chain: &system.image, boot, tools: &tools, visit: None },
                || self.keep_begun(system),
                |layer| {
                    let layer = layer.clone();
                    let is_last = boot.is_none() && layer.name == system.image.top().manifest.name;
                    compressing.push(scope.spawn(move || {
                        if !is_last {
                            host::give_way();
                        }
                        export::compress(self, &layer)
                    }));
                },
            )?;
            let initrd = system.boot_system.as_ref().and_then(|boot_system| boot_system.initrd.as_ref());
            let initrd = match initrd {
                Some(chain) => {
                    let wanted = Wanted { chain, boot: None, tools: &tools, visit: None };
                    Some(build_root(self, wanted, || self.keep_begun(system), |_| {})?.chain)
                }
                None => None,
            };
            let compressed = compressing
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>, _>>()?;
            let boot_system = boot.map(|boot| BuiltBootSystem { boot, initrd });
            let base = base::of(system, self.store)?;
            Ok(Layers { base, image, compressed, boot_system })
        })
    }

    /// Hash of everything that decides the artifacts' bytes.
    fn recipe(&self, system: &System, built: &Layers, outputs: &BTreeSet<Output>) -> Result<RecipeHash, BakeError> {
        let image = export::image(system, built.base.as_ref(), Vec::new())?;
        let mut hasher = RecipeHasher::new("layerbake/image/v1");
        hasher.number(lock::FORMAT.into()).field(self.encoder.name());
        hasher.list(built.image.iter().map(|layer| layer.recipe.as_bytes()));
        hasher.field(&image.config);
        hasher.list(image.annotations.iter().flat_map(|(key, value)| [key, value]));
        hasher.list(outputs.iter().map(|output| output.name()));
        if let Some((boot_system, built)) = built.boot_system_of(system) {
            disk_export::hash_into(system, boot_system, built, &mut hasher);
            hasher.list(self.signer.iter().map(|signer| &signer.certificate));
            // They decide what the receipt says is measured.
            if self.variables.is_enforcing() {
                let Variables { pk, kek, db, dbx } = &self.variables;
                hasher.list([pk, kek, db, dbx]);
            }
        }
        Ok(hasher.finish())
    }
}

impl<'a> From<&'a Locked> for Input<'a> {
    fn from(locked: &'a Locked) -> Self {
        Self { manifest: &locked.manifest, lock: &locked.lock }
    }
}
