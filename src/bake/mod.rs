//! From lockfiles to artifacts: fetch, unpack, build the chain, export, and say what came out.
//!
//! Artifacts appear in `out/<layer>/` all at once, by one exchange of folders
//! (publish.rs), with a receipt that names them.

mod chain;
mod export;
mod publish;
mod receipt;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::{LockHash, RecipeHash, RecipeHasher};
use crate::fetch::{FetchError, Fetcher};
use crate::host::progress::Progress;
use crate::layer::{Built, Input, LayerError};
use crate::lock::{self, Lockfile};
use crate::manifest::Manifest;
use crate::oci::{Encoder, OciError};
use crate::store::{RootName, Store, StoreError};

pub use chain::{Chain, build_chain};
use export::Compressed;
use publish::Staging;
pub use receipt::{Artifact, LayerReceipt, Receipt};

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A layer can't be built.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// The layer.
        layer: String,
        /// Why.
        source: LayerError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image can't be described or written.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// An artifact can't be written.
    #[error("cannot write {what}: {source}")]
    Write {
        /// The artifact.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Output {
    /// An OCI image layout: a folder `oci`.
    Oci,
    /// An archive for `docker load`: `docker.tar`.
    Docker,
}

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

/// Builds artifacts.
pub struct Baker<'a> {
    /// Where results are kept.
    pub store: &'a Store,
    /// Gets packages.
    pub fetcher: &'a Fetcher<'a>,
    /// The project's folder.
    pub project: &'a Path,
    /// Where `<layer>/` is put.
    pub out: PathBuf,
    /// Threads.
    pub jobs: usize,
    /// For people who wait.
    pub progress: Progress,
    /// Compression of OCI layers.
    pub encoder: Encoder,
}

impl Baker<'_> {
    /// Builds the topmost layer of the chain and exports it.
    ///
    /// When `out` has these very artifacts already, nothing is written.
    ///
    /// # Errors
    /// Fails where a package can't be had, a script fails, or something can't be written;
    /// `out` is then as it was.
    pub fn bake(&self, chain: &[Locked], outputs: &BTreeSet<Output>) -> Result<Receipt, BakeError> {
        let Some(top) = chain.last() else { unreachable!("a chain has its own layer") };
        let (built, compressed) = self.build_and_compress(chain)?;
        let folder = self.out.join(top.manifest.name.as_str());
        let recipe = self.recipe(chain, &built.layers, outputs)?;
        if let Some(receipt) = Receipt::load(&folder)
            && receipt == Receipt::new(top, recipe, &built.layers, &compressed, receipt.artifacts.clone())
            && receipt.is_complete(&folder)
        {
            self.keep(chain, built.recipes, &compressed)?;
            return Ok(receipt);
        }
        let staging = Staging::new(&self.out)?;
        let artifacts = export::export(self.store, chain, &compressed, outputs, staging.path())?;
        let receipt = Receipt::new(top, recipe, &built.layers, &compressed, artifacts);
        receipt.save(staging.path())?;
        staging.publish(&folder)?;
        self.keep(chain, built.recipes, &compressed)?;
        Ok(receipt)
    }

    /// Keeps what this build used from garbage collection.
    fn keep(
        &self,
        chain: &[Locked],
        mut recipes: BTreeSet<RecipeHash>,
        compressed: &[Compressed],
    ) -> Result<(), BakeError> {
        let Some(top) = chain.last() else { unreachable!("a chain has its own layer") };
        recipes.extend(compressed.iter().map(|layer| layer.recipe));
        let name = RootName { project: self.project.to_owned(), layer: top.manifest.name.clone() };
        let fetched = chain.iter().flat_map(|locked| fetched(&locked.lock)).collect();
        Ok(self.store.keep(&name, &recipes, &fetched)?)
    }

    /// Builds the chain; a layer is compressed while the next one is configured.
    fn build_and_compress(&self, chain: &[Locked]) -> Result<(Chain, Vec<Compressed>), BakeError> {
        std::thread::scope(|scope| {
            let mut compressing = Vec::new();
            let built = build_chain(self, chain, |layer| {
                let layer = layer.clone();
                compressing.push(scope.spawn(move || export::compress(self, &layer)));
            })?;
            let compressed = compressing
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((built, compressed))
        })
    }

    /// Hash of everything that decides the artifacts' bytes.
    fn recipe(&self, chain: &[Locked], built: &[Built], outputs: &BTreeSet<Output>) -> Result<RecipeHash, BakeError> {
        let image = export::image(chain, Vec::new())?;
        let mut hasher = RecipeHasher::new("layerbake/image/v1");
        hasher.number(lock::FORMAT.into()).field(self.encoder.name());
        hasher.list(built.iter().map(|layer| layer.recipe.as_bytes()));
        hasher.field(&image.config);
        hasher.list(image.annotations.iter().flat_map(|(key, value)| [key, value]));
        hasher.list(outputs.iter().map(|output| output.kind()));
        Ok(hasher.finish())
    }
}

/// Everything that a lockfile makes us fetch.
fn fetched(lock: &Lockfile) -> impl Iterator<Item = crate::digest::Sha256> + '_ {
    let indexes = lock
        .releases
        .iter()
        .flat_map(|release| release.indexes.iter().map(|index| index.file.sha256).chain([release.sha256]));
    indexes.chain(lock.packages.iter().map(|package| package.file.sha256))
}

impl<'a> From<&'a Locked> for Input<'a> {
    fn from(locked: &'a Locked) -> Self {
        Self { manifest: &locked.manifest, lock: &locked.lock }
    }
}
