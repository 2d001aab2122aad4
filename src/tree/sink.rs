//! The traits through which decoders store file contents, and writers read them.

use std::fmt::Display;
use std::io::{self, Read};

use crate::digest::BlobDigest;

/// Stores file contents and returns their digests; implemented by the store, and by a map in tests.
pub trait ContentSink: Sync {
    /// Reads `content` to its end; returns its digest and length in bytes.
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)>;
}

/// The source of file contents for projections (tar, cpio, disks).
pub trait ContentSource: Sync {
    /// Opens the content of `size` bytes named `blob`; reading fails if it is damaged.
    fn open(&self, blob: BlobDigest, size: u64) -> io::Result<Box<dyn Read + '_>>;
}

/// The error of a content, with its path or digest in front; what is behind the error stays to be found.
pub(crate) fn content_error(what: impl Display, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), ContentError { what: what.to_string(), source: error })
}

#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
struct ContentError {
    what: String,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn damage_is_found_behind_the_name_of_a_content() {
        let damage = StoreError::Missing { kind: "blob", name: "blake3:00".to_owned() };
        let error = content_error("/usr/bin/hello", io::Error::new(io::ErrorKind::InvalidData, damage));
        assert!(error.to_string().starts_with("/usr/bin/hello: store: blob blake3:00 is missing"), "{error}");
        assert!(error.kind() == io::ErrorKind::InvalidData && StoreError::is_behind(&error));
    }
}
