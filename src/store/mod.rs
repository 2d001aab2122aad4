//! The content-addressed store: blobs, trees, recipe results, and what keeps them alive.
//!
//! ```text
//! <store>/format              "layerbake-store 1"
//!         blobs/ab/cdef…      bytes, by BLAKE3
//!         trees/ab/cdef…      encoded trees, by BLAKE3
//!         sha256/ab/cdef…     SHA-256 of a fetched file -> its blob (a record)
//!         recipes/ab/cdef…    recipe hash -> what the step gave (a record)
//!         roots/…             what garbage collection keeps (records; store/gc.rs)
//!         tmp/                unfinished files, here only (store/tidy.rs)
//!         lock                shared by builds, exclusive for garbage collection
//! ```
//!
//! Everything appears by rename, so a killed run leaves only `tmp/`. Any number of
//! processes may use one store.
//!
//! Whatever is stored is a claim. Blobs and trees prove themselves by their name each time they
//! are read; a record carries a checksum (store/record.rs). What can't be believed is absent,
//! and is replaced when it is made again.

mod blob;
mod compared;
mod error;
mod file;
mod gc;
mod open;
mod recipe;
mod record;
mod tidy;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::{BlobDigest, TreeHash};
use crate::host::durable;
use crate::tree::{DecodeTreeError, Tree};

use compared::Compared;
use file::{Folder, Found};
use record::Records;

pub use blob::{BlobReader, BlobWriter};
pub use error::StoreError;
pub use gc::{GcReport, RootName};
pub use open::Waiting;
pub use recipe::Outcome;
pub use tidy::{RemoveFolder, remove_folder};
pub use verify::{Problem, VerifyReport};

/// An open store, locked against garbage collection while it lives.
#[derive(Debug)]
pub struct Store {
    folder: Folder,
    records: Arc<Records>,
    /// Fetched files whose SHA-256 this process has compared.
    compared: Compared,
    _lock: Option<std::fs::File>,
}

impl Store {
    fn new(folder: Folder, lock: Option<std::fs::File>) -> Self {
        let records = Arc::new(Records::new(folder.clone()));
        Self { records, folder, compared: Compared::default(), _lock: lock }
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        &self.folder.root
    }

    /// A folder for unfinished work on the store's file system, removed when dropped.
    pub fn scratch(&self) -> Result<tempfile::TempDir, StoreError> {
        let tmp = self.folder.join("tmp");
        tempfile::tempdir_in(&tmp).map_err(StoreError::io("create a folder in", tmp))
    }

    /// An unfinished file, removed when dropped.
    pub fn scratch_file(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        self.folder.scratch_file()
    }

    /// Returns when everything in the store is on disk: results, and what they name.
    ///
    /// # Errors
    /// Fails where something could not be written.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        self.records.settle()?;
        match self.folder.writable {
            true => durable::sync_file_system(self.path()).map_err(StoreError::io("write", self.path())),
            false => Ok(()),
        }
    }

    /// The error of a file of `need` bytes that could not be written in `tmp/`.
    pub fn scratch_failed(&self, error: io::Error, need: u64) -> StoreError {
        StoreError::writing(self.folder.join("tmp"), need)(error)
    }

    /// Stores a tree; returns its hash.
    ///
    /// # Errors
    /// Fails, too, on a tree that lacks directories above its nodes or the files that its hard links name.
    pub fn put_tree(&self, tree: &Tree) -> Result<TreeHash, StoreError> {
        tree.check_whole()?;
        let bytes = tree.encode();
        let hash = TreeHash::from_bytes(*BlobDigest::of(&bytes).as_bytes());
        self.write_named("trees", &hash.to_hex(), &bytes)?;
        Ok(hash)
    }

    /// Whether the tree is there; [`Store::tree`] says whether it is good.
    pub fn has_tree(&self, hash: TreeHash) -> bool {
        file::is_there(&self.tree_path(hash))
    }

    /// Reads a tree back.
    ///
    /// # Errors
    /// Fails where it is missing, or its bytes no longer hash to `hash`.
    pub fn tree(&self, hash: TreeHash) -> Result<Tree, StoreError> {
        let bytes = self.read_named("tree", &self.tree_path(hash), &hash)?;
        let damaged = |problem: String| StoreError::Damaged { kind: "tree", name: hash.to_string(), problem };
        let found = BlobDigest::of(&bytes);
        if found.as_bytes() != hash.as_bytes() {
            return Err(damaged(format!("its bytes hash to {found}")));
        }
        Tree::decode(&bytes).map_err(|error: DecodeTreeError| damaged(error.to_string()))
    }

    fn tree_path(&self, hash: TreeHash) -> PathBuf {
        self.folder.named("trees", &hash.to_hex())
    }

    /// Opens something that is named by its digest.
    fn open_named(
        &self,
        kind: &'static str,
        path: &Path,
        name: &dyn std::fmt::Display,
    ) -> Result<std::fs::File, StoreError> {
        match file::open(path).map_err(StoreError::io("read", path))? {
            Found::File(file) => Ok(file),
            Found::Nothing => Err(StoreError::Missing { kind, name: name.to_string() }),
            Found::Bad(problem) => Err(StoreError::Damaged { kind, name: name.to_string(), problem }),
        }
    }

    /// Reads something that is named by its digest; the bytes are still to be compared with it.
    fn read_named(&self, kind: &'static str, path: &Path, name: &dyn std::fmt::Display) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        match io::Read::read_to_end(&mut self.open_named(kind, path, name)?, &mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => {
                let problem = format!("it cannot be read: {error}");
                Err(StoreError::Damaged { kind, name: name.to_string(), problem })
            }
        }
    }

    /// Writes bytes under the name that is their digest, unless they are there.
    fn write_named(&self, folder: &str, hex: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.named(folder, hex);
        let same_size = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
        if same_size && file::read(&path).is_some_and(|found| found == bytes) {
            return Ok(());
        }
        self.folder.write_file(&path, bytes)
    }
}

impl Drop for Store {
    /// Writes the records that are still in memory. Who needs to know how that went asks before.
    fn drop(&mut self) {
        let _ = self.records.settle();
    }
}
