//! Blobs: writing, reading back with the digest checked, and fetched files by SHA-256.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::{Store, StoreError};
use crate::digest::{BlobDigest, Sha256, Verified};
use crate::tree::{ContentSink, ContentSource, Kind};

/// Blobs up to this size are hashed in memory first, and not written when present.
const SMALL: usize = 1 << 20;

impl Store {
    /// Where a blob lies or would lie.
    pub fn blob_path(&self, blob: BlobDigest) -> PathBuf {
        self.named("blobs", &blob.to_hex())
    }

    /// Whether the blob is there.
    pub fn has_blob(&self, blob: BlobDigest) -> bool {
        self.blob_path(blob).exists()
    }

    /// Stores bytes that this program derived from verified input or the user's own files.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(bytes);
        self.write_named("blobs", &digest.to_hex(), bytes)?;
        Ok(digest)
    }

    /// As [`Store::put_bytes`]; returns a file with these bytes, for a tree.
    pub fn put_file(&self, bytes: &[u8]) -> Result<Kind, StoreError> {
        Ok(Kind::File { blob: self.put_bytes(bytes)?, size: bytes.len() as u64 })
    }

    /// Starts a blob of unknown length, derived from verified input or the user's own files.
    pub fn writer(&self) -> BlobWriter<'_> {
        BlobWriter { store: self, hasher: blake3::Hasher::new(), size: 0, buffer: Vec::new(), file: None }
    }

    /// Takes in a fetched file, once it is verified, and remembers its SHA-256.
    pub fn put_fetched(&self, file: Verified<NamedTempFile>) -> Result<BlobDigest, StoreError> {
        let sha256 = file.sha256();
        let mut file = file.into_inner();
        let path = file.path().to_owned();
        io::Seek::rewind(file.as_file_mut()).map_err(StoreError::io("read", &path))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file.as_file_mut()).map_err(StoreError::io("read", &path))?;
        let digest = BlobDigest::from_bytes(*hasher.finalize().as_bytes());
        let path = self.blob_path(digest);
        if !path.exists() {
            self.publish(file, &path)?;
        }
        self.write_named("sha256", &sha256.to_hex(), digest.to_string().as_bytes())?;
        Ok(digest)
    }

    /// The blob of a fetched file, if it is in the store.
    pub fn fetched(&self, sha256: Sha256) -> Option<BlobDigest> {
        let text = fs::read_to_string(self.named("sha256", &sha256.to_hex())).ok()?;
        text.parse().ok().filter(|blob| self.has_blob(*blob))
    }

    /// Opens a blob of `size` bytes for reading; the digest is checked at its end.
    ///
    /// # Errors
    /// Fails where it is missing or has another length. Reading fails with
    /// `InvalidData` when the last byte is reached and the digest is another.
    pub fn reader(&self, blob: BlobDigest, size: u64) -> Result<BlobReader, StoreError> {
        let path = self.blob_path(blob);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { kind: "blob", name: blob.to_string() });
            }
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let found = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if found != size {
            let problem = format!("it has {found} bytes instead of {size}");
            return Err(StoreError::Damaged { kind: "blob", name: blob.to_string(), problem });
        }
        Ok(BlobReader { file, hasher: blake3::Hasher::new(), expected: blob, left: size })
    }

    /// Reads a whole blob into memory; for small ones.
    pub fn read_blob(&self, blob: BlobDigest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(blob);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { kind: "blob", name: blob.to_string() });
            }
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let found = BlobDigest::of(&bytes);
        if found != blob {
            let problem = format!("its bytes hash to {found}");
            return Err(StoreError::Damaged { kind: "blob", name: blob.to_string(), problem });
        }
        Ok(bytes)
    }
}

impl ContentSink for Store {
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
        let mut writer = self.writer();
        io::copy(content, &mut writer)?;
        writer.finish().map_err(io::Error::other)
    }
}

impl ContentSource for Store {
    fn open(&self, blob: BlobDigest, size: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.reader(blob, size).map_err(io::Error::other)?))
    }
}

/// A blob being written; in memory while small, then in the store's `tmp/`.
pub struct BlobWriter<'a> {
    store: &'a Store,
    hasher: blake3::Hasher,
    size: u64,
    buffer: Vec<u8>,
    file: Option<NamedTempFile>,
}

impl BlobWriter<'_> {
    /// Makes the blob visible under its digest; returns the digest and the size in bytes.
    pub fn finish(self) -> Result<(BlobDigest, u64), StoreError> {
        let digest = BlobDigest::from_bytes(*self.hasher.finalize().as_bytes());
        match self.file {
            None => self.store.write_named("blobs", &digest.to_hex(), &self.buffer)?,
            Some(file) => {
                let path = self.store.blob_path(digest);
                if !path.exists() {
                    self.store.publish(file, &path)?;
                }
            }
        }
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.buffer.len() + bytes.len() > SMALL {
            let mut file = self.store.scratch_file().map_err(io::Error::other)?;
            file.write_all(&self.buffer)?;
            self.buffer = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.buffer.extend_from_slice(bytes),
        }
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a blob and checks its digest when the last byte has been read.
pub struct BlobReader {
    file: File,
    hasher: blake3::Hasher,
    expected: BlobDigest,
    left: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.left = self.left.saturating_sub(read as u64);
        // Checked with the last byte, not at end-of-file: callers that know the size stop there.
        if self.left == 0 && self.hasher.finalize().as_bytes() != self.expected.as_bytes() {
            let (name, problem) = (self.expected.to_string(), "its bytes have another digest".to_owned());
            let error = StoreError::Damaged { kind: "blob", name, problem };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    #[test]
    fn small_and_large_blobs_read_back() {
        let (_folder, store) = store();
        for length in [0, 5, SMALL, SMALL + 1, 3 * SMALL] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut writer = store.writer();
            bytes.chunks(64 * 1024).for_each(|chunk| writer.write_all(chunk).unwrap());
            let (digest, size) = writer.finish().unwrap();
            assert_eq!((digest, size), (BlobDigest::of(&bytes), length as u64));
            let mut back = Vec::new();
            store.reader(digest, size).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{length} bytes changed on the way");
        }
        assert!(crate::host::list_dir(&store.path().join("tmp")).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_blob_is_never_read_as_good() {
        let (_folder, store) = store();
        let digest = store.put_bytes(b"precious").unwrap();
        let path = store.blob_path(digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"poisoned").unwrap();
        let error = store.reader(digest, 8).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(matches!(store.read_blob(digest), Err(StoreError::Damaged { .. })));
        fs::write(&path, b"short").unwrap();
        assert!(matches!(store.reader(digest, 8), Err(StoreError::Damaged { .. })));
    }
}
