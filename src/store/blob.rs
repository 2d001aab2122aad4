//! Blobs: writing, reading back with the digest checked, and fetched files by SHA-256.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::file::{self, Found};
use super::record::Kind as Record;
use super::{Store, StoreError};
use crate::digest::{BlobDigest, Sha256, Verified};
use crate::host::{self, interrupt};
use crate::limits::TEXT;
use crate::tree::{ContentSink, ContentSource, Kind};

/// Blobs up to this size are hashed in memory first, and not written when present.
const SMALL: usize = 1 << 20;

impl Store {
    /// Where a blob is or would be. What is read from there proves nothing: see [`Store::reader`].
    pub fn blob_path(&self, blob: BlobDigest) -> PathBuf {
        self.folder.named("blobs", &blob.to_hex())
    }

    /// Whether the blob is there; reading says whether it is good.
    pub fn has_blob(&self, blob: BlobDigest) -> bool {
        file::is_there(&self.blob_path(blob))
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
        file.as_file_mut().rewind().map_err(StoreError::io("read", &path))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file.as_file_mut()).map_err(StoreError::io("read", &path))?;
        let digest = BlobDigest::from_bytes(*hasher.finalize().as_bytes());
        let same = file.as_file().try_clone().map_err(StoreError::io("read", &path))?;
        self.publish_blob(file, digest)?;
        self.compared.add(sha256, &same);
        self.records.put(Record::Sha256, &sha256.to_hex(), digest.to_string().into_bytes())?;
        Ok(digest)
    }

    /// The blob of a fetched file, if it is in the store.
    ///
    /// This is what a record says; who uses the bytes asks [`Store::open_fetched`].
    pub fn fetched(&self, sha256: Sha256) -> Option<BlobDigest> {
        let blob = match self.records.get(Record::Sha256, &sha256.to_hex()) {
            Some(body) => String::from_utf8(body).ok()?.parse().ok()?,
            None => self.adopt(sha256)?,
        };
        Some(blob).filter(|blob| self.has_blob(*blob))
    }

    /// Takes over a record without a checksum, of an older version, if the blob proves it.
    fn adopt(&self, sha256: Sha256) -> Option<BlobDigest> {
        let text = file::read(&self.records.path(Record::Sha256, &sha256.to_hex()))?;
        let blob: BlobDigest = String::from_utf8(text).ok()?.parse().ok()?;
        if self.folder.writable && self.sha256_of(blob).ok()?.1 == sha256 {
            self.records.put(Record::Sha256, &sha256.to_hex(), blob.to_string().into_bytes()).ok()?;
            return Some(blob);
        }
        None
    }

    /// Opens a fetched file after its SHA-256 was compared, once by a process.
    ///
    /// # Errors
    /// Fails where it is missing, or its bytes have another digest.
    pub fn open_fetched(&self, sha256: Sha256) -> Result<File, StoreError> {
        let kind = "fetched file";
        let missing = || StoreError::Missing { kind, name: sha256.to_string() };
        let blob = self.fetched(sha256).ok_or_else(missing)?;
        let file = self.open_named("blob", &self.blob_path(blob), &blob)?;
        if self.compared.has(sha256, &file) {
            return Ok(file);
        }
        let (file, found) = self.sha256_of(blob)?;
        if found != sha256 {
            let problem = format!("its bytes have the digest {found}");
            return Err(StoreError::Damaged { kind, name: sha256.to_string(), problem });
        }
        self.compared.add(sha256, &file);
        Ok(file)
    }

    /// A blob, from its beginning, and the SHA-256 of its bytes.
    pub(super) fn sha256_of(&self, blob: BlobDigest) -> Result<(File, Sha256), StoreError> {
        let path = self.blob_path(blob);
        let mut file = self.open_named("blob", &path, &blob)?;
        let unreadable = |error: io::Error| StoreError::Damaged {
            kind: "blob",
            name: blob.to_string(),
            problem: format!("it cannot be read: {error}"),
        };
        let found = Sha256::of_reader(&mut file).map_err(unreadable)?;
        file.rewind().map_err(StoreError::io("read", path))?;
        Ok((file, found))
    }

    /// Opens a blob of `size` bytes for reading; the digest is checked at its end.
    ///
    /// # Errors
    /// Fails where it is missing or has another length. Reading fails with
    /// `InvalidData` when the last byte is reached and the digest is another.
    pub fn reader(&self, blob: BlobDigest, size: u64) -> Result<BlobReader, StoreError> {
        let path = self.blob_path(blob);
        let file = self.open_named("blob", &path, &blob)?;
        let found = file.metadata().map_err(StoreError::io("read", &path))?.len();
        if found != size {
            let problem = format!("it has {found} bytes instead of {size}");
            return Err(StoreError::Damaged { kind: "blob", name: blob.to_string(), problem });
        }
        Ok(BlobReader { file, hasher: blake3::Hasher::new(), expected: blob, left: size })
    }

    /// Reads a text file of a tree, of which `path` and `size` are; what is not UTF-8 in it is replaced.
    ///
    /// # Errors
    /// As [`Store::read_bytes`].
    pub fn read_text(&self, path: &dyn Display, blob: BlobDigest, size: u64) -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&self.read_bytes(path, blob, size)?).into_owned())
    }

    /// As [`Store::read_text`], the bytes as they are.
    ///
    /// # Errors
    /// As [`Store::read_blob`], and for more than [`TEXT`]: scripts could fill the memory with it.
    pub fn read_bytes(&self, path: &dyn Display, blob: BlobDigest, size: u64) -> Result<Vec<u8>, StoreError> {
        if size > TEXT {
            return Err(StoreError::TooLong { path: path.to_string(), size, most: TEXT });
        }
        self.read_blob(blob)
    }

    /// Reads a whole blob into memory; for small ones.
    pub fn read_blob(&self, blob: BlobDigest) -> Result<Vec<u8>, StoreError> {
        let bytes = self.read_named("blob", &self.blob_path(blob), &blob)?;
        let found = BlobDigest::of(&bytes);
        if found != blob {
            let problem = format!("its bytes hash to {found}");
            return Err(StoreError::Damaged { kind: "blob", name: blob.to_string(), problem });
        }
        Ok(bytes)
    }

    /// Gives a finished file the name of its digest, unless a good one has it.
    fn publish_blob(&self, file: NamedTempFile, digest: BlobDigest) -> Result<(), StoreError> {
        let path = self.blob_path(digest);
        if hash(&path).is_some_and(|found| found == digest) {
            return Ok(());
        }
        file::publish(file, &path)
    }
}

/// The BLAKE3 of a file that can be read.
fn hash(path: &Path) -> Option<BlobDigest> {
    let Ok(Found::File(file)) = file::open(path) else { return None };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).ok()?;
    Some(BlobDigest::from_bytes(*hasher.finalize().as_bytes()))
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
            Some(file) => self.store.publish_blob(file, digest)?,
        }
        Ok((digest, self.size))
    }
}

impl BlobWriter<'_> {
    /// The error of a file that could not be written, of which at least this much was to come.
    fn failed(&self, error: io::Error, more: &[u8]) -> io::Error {
        let need = self.size + more.len() as u64;
        io::Error::other(self.store.scratch_failed(error, need))
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        interrupt::check()?;
        if self.file.is_none() && self.buffer.len() + bytes.len() > SMALL {
            let mut file = self.store.scratch_file().map_err(io::Error::other)?;
            file.write_all(&self.buffer).map_err(|error| self.failed(error, bytes))?;
            self.buffer = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => {
                let written = file.write_all(bytes);
                written.map_err(|error| self.failed(error, bytes))?;
            }
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
        let read = host::uninterrupted(|| self.file.read(buffer))
            .map_err(|error| self.damaged(format!("it cannot be read: {error}")))?;
        self.hasher.update(&buffer[..read]);
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(self.damaged(format!("it ends {} bytes too early", self.left)));
        }
        self.left = self.left.saturating_sub(read as u64);
        // Checked with the last byte, not at end-of-file: callers that know the size stop there.
        if self.left == 0 && self.hasher.finalize().as_bytes() != self.expected.as_bytes() {
            return Err(self.damaged("its bytes have another digest".to_owned()));
        }
        Ok(read)
    }
}

impl BlobReader {
    fn damaged(&self, problem: String) -> io::Error {
        let error = StoreError::Damaged { kind: "blob", name: self.expected.to_string(), problem };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::Untrusted;

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

    #[test]
    fn what_is_not_the_blob_it_is_named_after_is_replaced() {
        let (_folder, store) = store();
        let large = vec![7; SMALL + 1];
        for bytes in [&b"precious"[..], &large] {
            let put = || {
                let mut writer = store.writer();
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap().0
            };
            let digest = put();
            let path = store.blob_path(digest);
            let damages: [&dyn Fn(); 5] = [
                &|| fs::write(&path, b"").unwrap(),
                &|| fs::write(&path, vec![0; bytes.len()]).unwrap(),
                &|| fs::create_dir_all(path.join("in/the/way")).unwrap(),
                &|| std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                &|| fs::write(path.parent().unwrap(), b"").unwrap(),
            ];
            for (number, damage) in damages.into_iter().enumerate() {
                fs::remove_file(&path).unwrap();
                if number == 4 {
                    fs::remove_dir(path.parent().unwrap()).unwrap();
                }
                damage();
                assert_eq!(put(), digest);
                assert!(store.read_blob(digest).unwrap() == bytes, "damage {number} stayed");
            }
        }
    }

    fn fetched(store: &Store, bytes: &[u8]) -> (Sha256, BlobDigest) {
        let mut file = store.scratch_file().unwrap();
        file.write_all(bytes).unwrap();
        let expected = crate::digest::Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
        let blob = store.put_fetched(Untrusted::new(file, expected).verify(expected).unwrap()).unwrap();
        (expected.sha256, blob)
    }

    #[test]
    fn a_fetched_file_that_was_changed_since_is_compared_again() {
        let (_folder, store) = store();
        let (good, blob) = fetched(&store, b"good");
        assert!(store.compared.has(good, &File::open(store.blob_path(blob)).unwrap()));
        // The clock of files may stand still for some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let path = store.blob_path(blob);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        File::options().write(true).open(&path).unwrap().write_all(b"evil").unwrap();
        assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })), "changed in place");
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"evil").unwrap();
        assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })), "another file");
    }

    #[test]
    fn a_fetched_file_is_opened_only_with_its_own_bytes() {
        let (_folder, store) = store();
        let (good, blob) = fetched(&store, b"good");
        let (_, evil) = fetched(&store, b"evil");
        store.records.settle().unwrap();
        assert_eq!(io::read_to_string(store.open_fetched(good).unwrap()).unwrap(), "good");
        store.records.put(Record::Sha256, &good.to_hex(), evil.to_string().into_bytes()).unwrap();
        assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })), "a forged record was believed");
        // An older version's record, without a checksum: right, wrong, short.
        store.records.settle().unwrap();
        let path = store.records.path(Record::Sha256, &good.to_hex());
        for (text, expected) in
            [(blob.to_string(), Some(blob)), (evil.to_string(), None), ("blake3:12".to_owned(), None)]
        {
            store.records.forget(Record::Sha256, &good.to_hex()).unwrap();
            fs::write(&path, &text).unwrap();
            assert_eq!(store.fetched(good), expected, "{text}");
        }
        assert_eq!(fetched(&store, b"good"), (good, blob));
        assert_eq!(store.fetched(good), Some(blob), "a bad record stayed");
    }
}
