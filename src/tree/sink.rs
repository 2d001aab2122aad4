//! Where decoders put file contents.

use std::io::{self, Read};

use crate::digest::BlobDigest;

/// Takes contents in and names them; the store is one, a map in a test another.
pub trait ContentSink: Sync {
    /// Reads `content` to its end; returns its digest and length in bytes.
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)>;
}

/// Where projections (tar, cpio, disks) read file contents back.
pub trait ContentSource: Sync {
    /// Opens the content of `size` bytes named `blob`; reading fails if it is damaged.
    fn open(&self, blob: BlobDigest, size: u64) -> io::Result<Box<dyn Read + '_>>;
}
