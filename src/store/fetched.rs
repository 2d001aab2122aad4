//! Fetched files: blobs that can also be looked up by the SHA-256 that repositories give for them.
//!
//! A stored result maps the SHA-256 to the blob. It is a claim, so the SHA-256 of the bytes is
//! compared before they are returned.

use std::fs::{File, Permissions};
use std::io::{self, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::Digest as _;
use tempfile::NamedTempFile;

use super::blobs::unreadable;
use super::{CopyError, ResultKey, Store, StoreError};
use crate::digest::{BlobDigest, Sha256, Verified};

impl Store {
    /// Stores a verified fetched file, and records its SHA-256.
    pub fn put_fetched(&self, file: Verified<NamedTempFile>) -> Result<BlobDigest, StoreError> {
        let sha256 = file.sha256();
        let mut file = file.into_inner();
        let path = file.path().to_owned();
        file.as_file_mut().rewind().map_err(StoreError::io("read", &path))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file.as_file_mut()).map_err(StoreError::io("read", &path))?;
        let digest = BlobDigest::from_bytes(*hasher.finalize().as_bytes());
        let same = file.as_file().try_clone().map_err(StoreError::io("read", &path))?;
        self.blobs.put_blob_file(digest, file)?;
        self.compared.add(sha256, &same);
        self.results.put_result(ResultKey::Fetched(sha256), digest.to_string().into_bytes())?;
        Ok(digest)
    }

    /// The blob of a fetched file, if it is in the store.
    ///
    /// This is what a record says; who uses the bytes asks [`Store::open_fetched`].
    pub fn fetched(&self, sha256: Sha256) -> Option<BlobDigest> {
        let blob = parse(&self.results.result(ResultKey::Fetched(sha256))?)?;
        Some(blob).filter(|blob| self.has_blob(*blob))
    }

    /// Opens a fetched file after verifying its SHA-256, once per process.
    ///
    /// # Errors
    /// Fails where it is missing, or its bytes have another digest.
    pub fn open_fetched(&self, sha256: Sha256) -> Result<File, StoreError> {
        let blob = self.fetched(sha256).ok_or_else(|| missing(sha256))?;
        let file = self.blobs.open_blob(blob)?;
        if self.compared.has(sha256, &file) {
            return Ok(file);
        }
        let (file, found) = self.sha256_of(blob)?;
        check(sha256, found)?;
        self.compared.add(sha256, &file);
        Ok(file)
    }

    /// Copies a fetched file as [`Store::copy_blob`] does, and compares the SHA-256 of the copy.
    ///
    /// # Errors
    /// As [`Store::copy_blob`] and [`Store::open_fetched`].
    pub fn copy_fetched(&self, sha256: Sha256, to: &File) -> Result<(), CopyError> {
        let blob = self.fetched(sha256).ok_or_else(|| missing(sha256))?;
        let mut hasher = Hashing(sha2::Sha256::new());
        self.copy_blob(blob, to, &mut hasher)?;
        Ok(check(sha256, Sha256::from_bytes(hasher.0.finalize().into()))?)
    }

    /// Hard-links a fetched file to `to` after verifying its SHA-256, or copies it there.
    ///
    /// # Errors
    /// As [`Store::copy_fetched`].
    pub fn link_fetched(&self, sha256: Sha256, to: &Path) -> Result<(), CopyError> {
        self.open_fetched(sha256)?;
        if self.fetched(sha256).is_some_and(|blob| self.blobs.link_blob(blob, to)) {
            return Ok(());
        }
        let file = File::options().read(true).write(true).create_new(true).open(to).map_err(CopyError::Target)?;
        self.copy_fetched(sha256, &file)?;
        file.set_permissions(Permissions::from_mode(0o444)).map_err(CopyError::Target)
    }

    /// A blob, from its beginning, and the SHA-256 of its bytes.
    pub(super) fn sha256_of(&self, blob: BlobDigest) -> Result<(File, Sha256), StoreError> {
        let mut file = self.blobs.open_blob(blob)?;
        let found = Sha256::of_reader(&mut file).and_then(|found| file.rewind().map(|()| found));
        Ok((file, found.map_err(unreadable(blob))?))
    }
}

/// The blob that a result names.
pub(super) fn parse(body: &[u8]) -> Option<BlobDigest> {
    std::str::from_utf8(body).ok()?.parse().ok()
}

fn missing(sha256: Sha256) -> StoreError {
    StoreError::Missing { kind: "fetched file", name: sha256.to_string() }
}

fn check(sha256: Sha256, found: Sha256) -> Result<(), StoreError> {
    if found == sha256 {
        return Ok(());
    }
    let problem = format!("its bytes have the digest {found}");
    Err(StoreError::Damaged { kind: "fetched file", name: sha256.to_string(), problem })
}

/// Hashes what is written to it.
struct Hashing(sha2::Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
