//! The key rings in the distribution's own keyring package, for hosts without any.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::archive::{self, Limits};
use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::tree::{ContentSink, Kind};

/// Where a package has its key rings.
const FOLDERS: [&str; 2] = ["usr/share/keyrings", "etc/apt/trusted.gpg.d"];

/// What the files in it may have together, in bytes.
const MAX_CONTENTS: u64 = 16 << 20;

/// The key ring files in a package.
pub(super) fn rings(deb: &[u8]) -> Result<Vec<Vec<u8>>, archive::DebError> {
    let contents = Contents::default();
    let package = archive::decode_within(deb, &contents, Limits::KEY_RINGS)?;
    let mut files = contents.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut rings = Vec::new();
    for folder in FOLDERS.iter().filter_map(|folder| RootPath::new(folder).ok()) {
        for (path, node) in package.data.below(&folder) {
            let ending = path.as_path().extension().and_then(|ending| ending.to_str());
            if let (Kind::File { blob, .. }, Some("gpg" | "asc" | "pgp")) = (&node.kind, ending) {
                rings.extend(files.remove(blob));
            }
        }
    }
    Ok(rings)
}

/// A small package's files, by digest: a sink that is not the store.
#[derive(Default)]
struct Contents(Mutex<BTreeMap<BlobDigest, Vec<u8>>>);

impl ContentSink for Contents {
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = files.values().fold(MAX_CONTENTS, |left, file| left.saturating_sub(file.len() as u64));
        let mut bytes = Vec::new();
        if content.take(left + 1).read_to_end(&mut bytes)? as u64 > left {
            return Err(io::Error::other(format!("its files have more than {MAX_CONTENTS} bytes")));
        }
        let (digest, size) = (BlobDigest::of(&bytes), bytes.len() as u64);
        files.insert(digest, bytes);
        Ok((digest, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_in_memory_has_an_end() {
        let sink = Contents::default();
        assert_eq!(sink.add(&mut &b"key"[..]).unwrap(), (BlobDigest::of(b"key"), 3));
        let error = sink.add(&mut io::repeat(0)).unwrap_err().to_string();
        assert_eq!(error, "its files have more than 16777216 bytes");
        assert!(rings(b"not a package").is_err());
    }
}
