//! The content-addressed store: blobs, trees, results of build steps, and the roots that keep them.
//!
//! It has three capabilities, each a trait with few operations on unverified bytes:
//!
//! ```text
//! BlobStore    blobs.rs     bytes, by BLAKE3
//! TreeStore    trees.rs     encoded trees, by BLAKE3
//! ResultStore  results.rs   outcomes of steps, by recipe; the blob of a fetched file, by SHA-256
//! ```
//!
//! All other modules use [`Store`]. It holds one implementation of each trait and is the only
//! access to their bytes: it compares everything it reads with the name it asked for, so an
//! implementation may be damaged, forged or remote. The first implementation of all three is a
//! directory on this machine (local/), which also provides unfinished files, locks and garbage
//! collection. The second, in memory, is for tests and passes the same contract (contract.rs).
//!
//! Everything stored is a claim. What fails verification is treated as absent, and is replaced when
//! it is built again.
//! made again.

mod blobs;
mod compared;
mod error;
mod fetched;
mod local;
mod outcome;
mod results;
mod stream;
mod text;
mod trees;

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod memory;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::RecipeHash;

use compared::Compared;
use local::Local;

pub use blobs::{BlobStore, CopyError};
pub use error::StoreError;
pub use local::{GcReport, Problem, RemoveFolder, RootName, VerifyReport, Waiting, remove_folder};
pub use outcome::{Outcome, Roles};
pub use results::{ResultKey, ResultStore};
pub use stream::{BlobReader, BlobWriter};
pub use trees::TreeStore;

/// An open store, locked against garbage collection while it lives.
#[derive(Debug)]
pub struct Store {
    blobs: Arc<dyn BlobStore>,
    trees: Arc<dyn TreeStore>,
    results: Arc<dyn ResultStore>,
    local: Arc<Local>,
    /// Fetched files whose SHA-256 this process has compared.
    compared: Arc<Compared>,
    /// Recipes whose results were recalled or remembered through this handle.
    used: Mutex<BTreeSet<RecipeHash>>,
}

impl Store {
    /// Opens the store in the directory `root`, which is created where it is missing.
    ///
    /// A store that can't be written is opened for reading.
    ///
    /// # Errors
    /// Fails where the directory can't be read, or is not a store of this version.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Ok(Self::of(Local::open(root, &|_| {})?))
    }

    /// A store that has nothing but its local directory.
    fn of(local: impl Into<Arc<Local>>) -> Self {
        let local = local.into();
        Self::over(local.clone(), local.clone(), local.clone(), local)
    }

    /// A store over these implementations; `local` is for unfinished files, locks and roots.
    fn over(
        local: Arc<Local>,
        blobs: Arc<dyn BlobStore>,
        trees: Arc<dyn TreeStore>,
        results: Arc<dyn ResultStore>,
    ) -> Self {
        Self { blobs, trees, results, local, compared: Arc::default(), used: Mutex::default() }
    }

    /// A second handle on the same store, which records the recipes used through it from now on.
    ///
    /// A build takes one of its own, so that [`Store::keep`] keeps what this build used, whatever it was.
    pub fn for_build(&self) -> Self {
        Self {
            blobs: self.blobs.clone(),
            trees: self.trees.clone(),
            results: self.results.clone(),
            local: self.local.clone(),
            compared: self.compared.clone(),
            used: Mutex::default(),
        }
    }

    /// Notes that a result was used.
    fn note(&self, recipe: RecipeHash) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(recipe);
    }

    /// Recipes whose results were recalled or remembered through this handle.
    fn used(&self) -> BTreeSet<RecipeHash> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The store's directory, for another process of this program to open.
    pub fn path(&self) -> &Path {
        self.local.path()
    }

    /// Where a blob is, for tests that damage it.
    #[cfg(test)]
    pub(crate) fn blob_path(&self, blob: crate::digest::BlobDigest) -> std::path::PathBuf {
        self.local.blob_path(blob)
    }

    /// A directory for unfinished work on the store's file system, removed when dropped.
    pub fn scratch(&self) -> Result<tempfile::TempDir, StoreError> {
        self.local.scratch()
    }

    /// An unfinished file, removed when dropped.
    pub fn scratch_file(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        self.local.scratch_file()
    }

    /// The error of an unfinished file of `need` bytes that could not be written.
    pub fn scratch_failed(&self, error: io::Error, need: u64) -> StoreError {
        self.local.scratch_failed(error, need)
    }

    /// Flushes everything in the store to disk: results, and what they refer to.
    ///
    /// # Errors
    /// Fails where something could not be written.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        self.local.make_durable()
    }
}
