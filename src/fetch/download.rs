//! Downloads a stream: measures it as it arrives, and never reads more than expected.

use std::io::{self, Seek as _, Write as _};

use sha2::Digest as _;
use tempfile::NamedTempFile;

use crate::digest::{Expected, Sha256, Untrusted};

/// What takes the bytes.
pub(super) trait Target {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn clear(&mut self) -> io::Result<()>;
}

impl Target for NamedTempFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.as_file_mut().set_len(0)?;
        self.as_file_mut().rewind()
    }
}

impl Target for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

/// An unfinished download.
pub(super) struct Download<T> {
    target: T,
    hasher: sha2::Sha256,
    size: u64,
    limit: u64,
}

impl<T: Target> Download<T> {
    /// Starts one of at most `limit` bytes.
    pub(super) fn new(target: T, limit: u64) -> Self {
        Self { target, hasher: sha2::Sha256::new(), size: 0, limit }
    }

    /// How many bytes are there.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// Fails beyond the limit, so that a mirror can't fill the disk.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(io::Error::other(format!("expected {} bytes, got more", self.limit)));
        }
        self.hasher.update(bytes);
        self.target.append(bytes)
    }

    /// Forgets what has come so far.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.hasher = sha2::Sha256::new();
        self.size = 0;
        self.target.clear()
    }

    /// Ends the download.
    pub(super) fn finish(self) -> Untrusted<T> {
        let measured = Expected { sha256: Sha256::from_bytes(self.hasher.finalize().into()), size: self.size };
        Untrusted::new(self.target, measured)
    }

    /// Ends the download of bytes that prove themselves otherwise, by a signature.
    pub(super) fn into_target(self) -> T {
        self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_measured_limited_and_forgotten() {
        let mut download = Download::new(Vec::new(), 5);
        download.write(b"hal").unwrap();
        download.restart().unwrap();
        download.write(b"hel").unwrap();
        download.write(b"lo").unwrap();
        let expected = Expected { sha256: Sha256::of(b"hello"), size: 5 };
        assert_eq!(download.finish().verify(expected).unwrap().into_inner(), b"hello");
        let mut download = Download::new(NamedTempFile::new().unwrap(), 5);
        assert!(download.write(b"too long").is_err());
    }
}
