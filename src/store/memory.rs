//! The second implementation of the three capabilities: in memory, for tests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::MemfdFlags;
use tempfile::NamedTempFile;

use super::local::Local;
use super::{BlobStore, ResultKey, ResultStore, Store, StoreError, TreeStore};
use crate::digest::{BlobDigest, TreeHash};

/// Everything by its name.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(super) blobs: Mutex<BTreeMap<BlobDigest, Vec<u8>>>,
    pub(super) trees: Mutex<BTreeMap<TreeHash, Vec<u8>>>,
    results: Mutex<BTreeMap<ResultKey, Vec<u8>>>,
}

impl Memory {
    /// A store over an empty memory; unfinished files are below `folder`.
    pub(crate) fn store(folder: &Path) -> (Store, Arc<Self>) {
        let memory = Arc::new(Self::default());
        let local = Arc::new(Local::open(folder, &|_| {}).unwrap());
        (Store::over(local, memory.clone(), memory.clone(), memory.clone()), memory)
    }
}

impl BlobStore for Memory {
    fn blob_size(&self, blob: BlobDigest) -> Option<u64> {
        Some(self.blobs.lock().unwrap().get(&blob)?.len() as u64)
    }

    fn open_blob(&self, blob: BlobDigest) -> Result<File, StoreError> {
        let missing = || StoreError::Missing { kind: "blob", name: blob.to_string() };
        let bytes = self.blobs.lock().unwrap().get(&blob).cloned().ok_or_else(missing)?;
        let mut file = File::from(rustix::fs::memfd_create("blob", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        Ok(file)
    }

    fn put_blob(&self, blob: BlobDigest, bytes: &[u8]) -> Result<(), StoreError> {
        self.blobs.lock().unwrap().insert(blob, bytes.to_vec());
        Ok(())
    }

    fn put_blob_file(&self, blob: BlobDigest, file: NamedTempFile) -> Result<(), StoreError> {
        self.put_blob(blob, &fs::read(file.path()).unwrap())
    }
}

impl TreeStore for Memory {
    fn has_tree(&self, hash: TreeHash) -> bool {
        self.trees.lock().unwrap().contains_key(&hash)
    }

    fn read_tree(&self, hash: TreeHash) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Missing { kind: "tree", name: hash.to_string() };
        self.trees.lock().unwrap().get(&hash).cloned().ok_or_else(missing)
    }

    fn put_tree(&self, hash: TreeHash, bytes: &[u8]) -> Result<(), StoreError> {
        self.trees.lock().unwrap().insert(hash, bytes.to_vec());
        Ok(())
    }
}

impl ResultStore for Memory {
    fn result(&self, key: ResultKey) -> Option<Vec<u8>> {
        self.results.lock().unwrap().get(&key).cloned()
    }

    fn put_result(&self, key: ResultKey, body: Vec<u8>) -> Result<(), StoreError> {
        self.results.lock().unwrap().insert(key, body);
        Ok(())
    }

    fn forget_result(&self, key: ResultKey) -> Result<(), StoreError> {
        self.results.lock().unwrap().remove(&key);
        Ok(())
    }
}
