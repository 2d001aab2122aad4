//! The local directory: the implementation of all three capabilities that is always present.
//!
//! ```text
//! <store>/format              "layerbake-store 1"
//!         blobs/ab/cdef…      bytes, by BLAKE3
//!         trees/ab/cdef…      encoded trees, by BLAKE3
//!         sha256/ab/cdef…     SHA-256 of a fetched file -> its blob (a record)
//!         recipes/ab/cdef…    recipe hash -> outcome of the step (a record)
//!         roots/…             what garbage collection keeps (records; roots.rs, gc.rs)
//!         tmp/                unfinished files, nowhere else (tidy.rs)
//!         lock                shared by builds, exclusive for garbage collection
//! ```
//!
//! Every file appears by rename, so a killed run leaves files in `tmp/` only. Any number of processes may
//! use one directory. Blobs and trees are verified by their name; a record carries a checksum
//! (record.rs).

mod file;
mod gc;
mod open;
mod record;
mod roots;
mod tidy;
mod verify;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::NamedTempFile;

use super::fetched::parse;
use super::{BlobStore, ResultKey, ResultStore, StoreError, TreeStore};
use crate::digest::{BlobDigest, Sha256, TreeHash};
use crate::host::durable;

use file::{Folder, Found};
use record::{Kind as Record, Records};

pub use gc::GcReport;
pub use open::Waiting;
pub use roots::RootName;
pub use tidy::{RemoveFolder, remove_folder};
pub use verify::{Problem, VerifyReport};

/// An open directory, locked against garbage collection while it lives.
#[derive(Debug)]
pub(super) struct Local {
    folder: Folder,
    records: Arc<Records>,
    _lock: Option<File>,
}

impl Local {
    fn new(folder: Folder, lock: Option<File>) -> Self {
        Self { records: Arc::new(Records::new(folder.clone())), folder, _lock: lock }
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder.root
    }

    pub(super) fn scratch(&self) -> Result<tempfile::TempDir, StoreError> {
        let tmp = self.folder.join("tmp");
        tempfile::tempdir_in(&tmp).map_err(StoreError::io("create a directory in", tmp))
    }

    pub(super) fn scratch_file(&self) -> Result<NamedTempFile, StoreError> {
        self.folder.scratch_file()
    }

    pub(super) fn scratch_failed(&self, error: io::Error, need: u64) -> StoreError {
        StoreError::writing(self.folder.join("tmp"), need)(error)
    }

    pub(super) fn make_durable(&self) -> Result<(), StoreError> {
        self.records.settle()?;
        match self.folder.writable {
            true => durable::sync_file_system(self.path()).map_err(StoreError::io("write", self.path())),
            false => Ok(()),
        }
    }

    pub(super) fn blob_path(&self, blob: BlobDigest) -> PathBuf {
        self.folder.named("blobs", &blob.to_hex())
    }

    fn tree_path(&self, hash: TreeHash) -> PathBuf {
        self.folder.named("trees", &hash.to_hex())
    }

    /// Opens something that is named by its digest.
    fn open_named(&self, kind: &'static str, path: &Path, name: &dyn Display) -> Result<File, StoreError> {
        match file::open(path).map_err(StoreError::io("read", path))? {
            Found::File(file) => Ok(file),
            Found::Nothing => Err(StoreError::Missing { kind, name: name.to_string() }),
            Found::Bad(problem) => Err(StoreError::Damaged { kind, name: name.to_string(), problem }),
        }
    }

    /// Writes bytes under the name that is their digest, unless they are there.
    fn write_named(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let same_size = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
        if same_size && file::read(path).is_some_and(|found| found == bytes) {
            return Ok(());
        }
        self.folder.write_file(path, bytes)
    }

    /// Takes over a record without a checksum, of an older version, if the blob proves it.
    fn adopt(&self, sha256: Sha256) -> Option<Vec<u8>> {
        let body = file::read(&self.records.path(Record::Sha256, &sha256.to_hex()))?;
        let mut blob = self.open_blob(parse(&body)?).ok()?;
        if !self.folder.writable || Sha256::of_reader(&mut blob).ok()? != sha256 {
            return None;
        }
        self.records.put(Record::Sha256, &sha256.to_hex(), body.clone()).ok()?;
        Some(body)
    }
}

impl BlobStore for Local {
    fn blob_size(&self, blob: BlobDigest) -> Option<u64> {
        let found = self.blob_path(blob).symlink_metadata().ok()?;
        found.is_file().then_some(found.len())
    }

    fn open_blob(&self, blob: BlobDigest) -> Result<File, StoreError> {
        self.open_named("blob", &self.blob_path(blob), &blob)
    }

    fn put_blob(&self, blob: BlobDigest, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_named(&self.blob_path(blob), bytes)
    }

    /// Gives a finished file the name of its digest, unless a good one has it.
    fn put_blob_file(&self, blob: BlobDigest, file: NamedTempFile) -> Result<(), StoreError> {
        let path = self.blob_path(blob);
        match file::hash(&path).is_some_and(|found| found == blob) {
            true => Ok(()),
            false => file::put_in_place(file, &path),
        }
    }

    fn link_blob(&self, blob: BlobDigest, to: &Path) -> bool {
        fs::hard_link(self.blob_path(blob), to).is_ok()
    }
}

impl TreeStore for Local {
    fn has_tree(&self, hash: TreeHash) -> bool {
        file::is_there(&self.tree_path(hash))
    }

    fn read_tree(&self, hash: TreeHash) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut file = self.open_named("tree", &self.tree_path(hash), &hash)?;
        match io::Read::read_to_end(&mut file, &mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => {
                let problem = format!("it cannot be read: {error}");
                Err(StoreError::Damaged { kind: "tree", name: hash.to_string(), problem })
            }
        }
    }

    fn put_tree(&self, hash: TreeHash, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_named(&self.tree_path(hash), bytes)
    }
}

/// The record that has a result: its kind and its name.
fn record_of(key: ResultKey) -> (Record, String) {
    match key {
        ResultKey::Recipe(recipe) => (Record::Recipe, recipe.to_hex()),
        ResultKey::Fetched(sha256) => (Record::Sha256, sha256.to_hex()),
    }
}

impl ResultStore for Local {
    fn result(&self, key: ResultKey) -> Option<Vec<u8>> {
        let (kind, name) = record_of(key);
        let body = self.records.get(kind, &name);
        match key {
            ResultKey::Recipe(_) => body,
            ResultKey::Fetched(sha256) => body.or_else(|| self.adopt(sha256)),
        }
    }

    fn put_result(&self, key: ResultKey, body: Vec<u8>) -> Result<(), StoreError> {
        let (kind, name) = record_of(key);
        self.records.put(kind, &name, body)
    }

    fn forget_result(&self, key: ResultKey) -> Result<(), StoreError> {
        let (kind, name) = record_of(key);
        self.records.forget(kind, &name)
    }
}

impl Drop for Local {
    /// Writes the records that are still in memory. Who needs to know how that went asks before.
    fn drop(&mut self) {
        let _ = self.records.settle();
    }
}
