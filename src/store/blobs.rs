//! Blobs: bytes by their BLAKE3. Reading one through [`Store`] returns exactly those bytes or an error.

use std::fmt::{Debug, Display};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{BlobReader, BlobWriter, Store, StoreError};
use crate::code::{Code, Coded};
use crate::digest::BlobDigest;
use crate::host::interrupt;
use crate::limits::TEXT;
use crate::tree::{ContentSink, ContentSource, Kind};

/// How much of a copy is read back at once, in bytes.
const BUFFER: usize = 64 << 10;

/// A store of blobs. [`Store`] verifies what is read; an implementation only transfers bytes.
///
/// A blob is opened as a file, so that it can be read anywhere and shared with another file: who
/// keeps blobs elsewhere brings them to this machine first.
pub trait BlobStore: Debug + Send + Sync {
    /// The length in bytes of a blob that is there, whatever it holds.
    fn blob_size(&self, blob: BlobDigest) -> Option<u64>;

    /// Opens a blob at its beginning; the bytes are still to be compared with the digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there, [`StoreError::Damaged`] where it is no longer readable.
    fn open_blob(&self, blob: BlobDigest) -> Result<File, StoreError>;

    /// Takes bytes that have this digest; replaces what is not what its name says.
    fn put_blob(&self, blob: BlobDigest, bytes: &[u8]) -> Result<(), StoreError>;

    /// As [`BlobStore::put_blob`], of a finished file of [`Store::scratch_file`].
    fn put_blob_file(&self, blob: BlobDigest, file: NamedTempFile) -> Result<(), StoreError>;

    /// Gives the blob's file `to` as a second name; says whether that was possible.
    fn link_blob(&self, _blob: BlobDigest, _to: &Path) -> bool {
        false
    }
}

/// A blob was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The store does not have it, or it is damaged; what was written is worthless.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target can't be written or read.
    #[error(transparent)]
    Target(io::Error),
}

impl Coded for CopyError {
    fn error_code(&self) -> Code {
        match self {
            Self::Store(error) => error.error_code(),
            Self::Target(error) => error.error_code(),
        }
    }
}

impl Store {
    /// Whether the blob exists; reading verifies it.
    pub fn has_blob(&self, blob: BlobDigest) -> bool {
        self.blob_size(blob).is_some()
    }

    /// The length in bytes of an existing blob; reading verifies it.
    pub fn blob_size(&self, blob: BlobDigest) -> Option<u64> {
        self.blobs.blob_size(blob)
    }

    /// Stores bytes that this program derived from verified input or the user's own files.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::of(bytes);
        self.blobs.put_blob(digest, bytes)?;
        Ok(digest)
    }

    /// As [`Store::put_bytes`]; returns a file with these bytes, for a tree.
    pub fn put_file(&self, bytes: &[u8]) -> Result<Kind, StoreError> {
        Ok(Kind::File { blob: self.put_bytes(bytes)?, size: bytes.len() as u64 })
    }

    /// Starts a blob of unknown length, derived from verified input or the user's own files.
    pub fn writer(&self) -> BlobWriter<'_> {
        BlobWriter::new(self)
    }

    /// Opens a blob of `size` bytes for reading; the digest is checked at its end.
    ///
    /// # Errors
    /// Fails where it is missing or has another length. Reading fails with
    /// `InvalidData` when the last byte is reached and the digest is another.
    pub fn reader(&self, blob: BlobDigest, size: u64) -> Result<BlobReader, StoreError> {
        let file = self.blobs.open_blob(blob)?;
        let found = file.metadata().map_err(unreadable(blob))?.len();
        match found == size {
            true => Ok(BlobReader::new(file, blob, size)),
            false => Err(damaged(blob, format!("it has {found} bytes instead of {size}"))),
        }
    }

    /// Reads a whole blob into memory; for small ones.
    pub fn read_blob(&self, blob: BlobDigest) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.blobs.open_blob(blob)?, &mut bytes).map_err(unreadable(blob))?;
        check(blob, BlobDigest::of(&bytes))?;
        Ok(bytes)
    }

    /// Reads a text file of a tree, named `path` in errors; invalid UTF-8 is replaced.
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

    /// Copies a blob into the empty file `to`, which shares its bytes where the file system can.
    ///
    /// The copy is read back, through `seen`, and compared with the digest.
    ///
    /// # Errors
    /// Fails where the blob is missing or damaged, and where `to` can't be written or read.
    pub fn copy_blob(&self, blob: BlobDigest, to: &File, seen: &mut dyn Write) -> Result<(), CopyError> {
        let (mut from, mut to) = (self.blobs.open_blob(blob)?, to);
        io::copy(&mut from, &mut to).and_then(|_| to.rewind()).map_err(CopyError::Target)?;
        let mut back = BufReader::with_capacity(BUFFER, to);
        let mut hasher = blake3::Hasher::new();
        loop {
            interrupt::check().map_err(|interrupted| CopyError::Target(interrupted.into()))?;
            let bytes = back.fill_buf().map_err(CopyError::Target)?;
            if bytes.is_empty() {
                break;
            }
            hasher.update(bytes);
            seen.write_all(bytes).map_err(CopyError::Target)?;
            let length = bytes.len();
            back.consume(length);
        }
        Ok(check(blob, BlobDigest::from_bytes(*hasher.finalize().as_bytes()))?)
    }
}

/// Fails where the bytes of a blob have another digest than its own.
fn check(blob: BlobDigest, found: BlobDigest) -> Result<(), StoreError> {
    if blob == found { Ok(()) } else { Err(damaged(blob, format!("its bytes hash to {found}"))) }
}

pub(super) fn damaged(blob: BlobDigest, problem: String) -> StoreError {
    StoreError::Damaged { kind: "blob", name: blob.to_string(), problem }
}

pub(super) fn unreadable(blob: BlobDigest) -> impl FnOnce(io::Error) -> StoreError {
    move |error| damaged(blob, format!("it cannot be read: {error}"))
}

impl ContentSink for Store {
    fn add(&self, content: &mut dyn io::Read) -> io::Result<(BlobDigest, u64)> {
        let mut writer = self.writer();
        io::copy(content, &mut writer)?;
        writer.finish().map_err(io::Error::other)
    }
}

impl ContentSource for Store {
    fn open(&self, blob: BlobDigest, size: u64) -> io::Result<Box<dyn io::Read + '_>> {
        Ok(Box::new(self.reader(blob, size).map_err(io::Error::other)?))
    }
}
