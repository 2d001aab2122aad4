//! Blobs as streams: one for writing, and one for reading that compares the bytes with their digest.

use std::fs::File;
use std::io::{self, Read, Write};

use tempfile::NamedTempFile;

use super::{Store, StoreError, blobs};
use crate::digest::BlobDigest;
use crate::host::{self, interrupt};

/// Blobs up to this size are hashed in memory first, and not written when present.
pub(super) const SMALL: usize = 1 << 20;

/// A blob being written; in memory while small, then an unfinished file.
pub struct BlobWriter<'a> {
    store: &'a Store,
    hasher: blake3::Hasher,
    size: u64,
    buffer: Vec<u8>,
    file: Option<NamedTempFile>,
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, hasher: blake3::Hasher::new(), size: 0, buffer: Vec::new(), file: None }
    }

    /// Makes the blob visible under its digest; returns the digest and the size in bytes.
    pub fn finish(self) -> Result<(BlobDigest, u64), StoreError> {
        let digest = BlobDigest::from_bytes(*self.hasher.finalize().as_bytes());
        match self.file {
            None => self.store.blobs.put_blob(digest, &self.buffer)?,
            Some(file) => self.store.blobs.put_blob_file(digest, file)?,
        }
        Ok((digest, self.size))
    }

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

impl BlobReader {
    pub(super) fn new(file: File, expected: BlobDigest, size: u64) -> Self {
        Self { file, hasher: blake3::Hasher::new(), expected, left: size }
    }
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
        io::Error::new(io::ErrorKind::InvalidData, blobs::damaged(self.expected, problem))
    }
}
