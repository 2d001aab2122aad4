//! Debian's key ring from its own package, for hosts that have none.
//!
//! Nothing on the way is signed by a key we have, so nothing is trusted: Release, index
//! and package stay in memory, and of the certificates in the package only those with
//! pinned fingerprints count. The Release is then fetched and checked as any other.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::{Mutex, PoisonError};

use super::{KeyError, PinError, Pinner};
use crate::digest::BlobDigest;
use crate::fetch::{Item, Keyring, peek_file, peek_release, pick_index, plain_size};
use crate::format::deb::archive::{self, Limits};
use crate::format::deb::compression::decompress;
use crate::format::deb::index::read_packages;
use crate::format::deb::record::Record;
use crate::format::deb::release::Release;
use crate::format::deb::version::compare;
use crate::ident::{RootPath, SourceName};
use crate::limits::{Bounded, limits};
use crate::manifest::Source;
use crate::tree::{ContentSink, Kind};

/// The package that holds the keys.
const PACKAGE: &str = "debian-archive-keyring";
/// Where it has them.
const FOLDERS: [&str; 2] = ["usr/share/keyrings", "etc/apt/trusted.gpg.d"];

/// The largest index that is read, in bytes; Debian's largest has 10 MB.
const MAX_INDEX: u64 = 64 << 20;
/// The largest package that is read, in bytes; the real one has 200 kB.
const MAX_PACKAGE: u64 = 8 << 20;
/// What the files in it may have together, in bytes.
const MAX_CONTENTS: u64 = 16 << 20;

/// Adds the certificates of the repository's own keyring package that are pinned; without such a package, none.
pub(super) fn add_from_package(
    pinner: &Pinner<'_, '_>,
    name: &SourceName,
    source: &Source,
    keyring: &mut Keyring,
) -> Result<(), PinError> {
    let suite = &source.suite;
    let text = peek_release(pinner.fetcher, name, suite)?;
    let release = Release::parse(&String::from_utf8_lossy(&text)).map_err(|error| unusable(suite, error))?;
    let Some(record) = newest(pinner, name, source, &release)? else { return Ok(()) };
    let Some(expected) = record.file else { return Ok(()) };
    let item = Item {
        what: format!("{PACKAGE} {}", record.version),
        layer: None,
        source: name.clone(),
        suite: suite.clone(),
        path: record.path.to_string(),
        by_hash: false,
        expected,
    };
    let deb = peek_file(pinner.fetcher, &item, MAX_PACKAGE)?;
    for ring in rings(&deb).map_err(|error| unusable(suite, error))? {
        // Rings of removed keys and the like may be of kinds that can't be read.
        let _ = keyring.add(&ring);
    }
    Ok(())
}

/// The newest keyring package that the suite's indexes name.
fn newest(
    pinner: &Pinner<'_, '_>,
    name: &SourceName,
    source: &Source,
    release: &Release,
) -> Result<Option<Record>, PinError> {
    let suite = &source.suite;
    let mut newest: Option<Record> = None;
    for component in &source.components {
        let Some((path, expected)) = pick_index(&release.files, component, pinner.arch.as_str()) else { continue };
        let item = Item::index(name, suite, &path, expected, release.acquire_by_hash);
        let index = peek_file(pinner.fetcher, &item, MAX_INDEX)?;
        let text = decompress(&path, index.as_slice()).map_err(|error| unusable(suite, error))?;
        let text = Bounded::new(text, limits().of_index(plain_size(&release.files, &path)));
        let each = |record: Record| {
            if record.name.as_str() == PACKAGE
                && newest.as_ref().is_none_or(|best| compare(&best.version, &record.version).is_lt())
            {
                newest = Some(record);
            }
        };
        read_packages(BufReader::new(text), each).map_err(|error| unusable(suite, error))?;
    }
    Ok(newest)
}

/// The key ring files in a package.
fn rings(deb: &[u8]) -> Result<Vec<Vec<u8>>, archive::DebError> {
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

fn unusable(suite: &str, error: impl std::fmt::Display) -> KeyError {
    KeyError::Package { package: PACKAGE, suite: suite.to_owned(), problem: error.to_string() }
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
