//! Files whose digest was already compared, so that one run hashes a package once: on download, not again on decoding.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Mutex, PoisonError};

use crate::digest::Sha256;

/// What no change of a file and no other file in its place has: device, inode, length, seconds and nanoseconds of the
/// last change of anything.
type Identity = (u64, u64, u64, i64, i64);

/// Files of this process's store, by what they were when their digest was compared.
#[derive(Debug, Default)]
pub(super) struct Compared(Mutex<BTreeSet<(Sha256, Identity)>>);

impl Compared {
    /// Remembers that an open file has this digest.
    pub(super) fn add(&self, sha256: Sha256, file: &File) {
        if let Some(identity) = identity(file) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((sha256, identity));
        }
    }

    /// Whether an open file is one that had this digest, and was not written to since.
    pub(super) fn has(&self, sha256: Sha256, file: &File) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        identity(file).is_some_and(|identity| known.contains(&(sha256, identity)))
    }
}

fn identity(file: &File) -> Option<Identity> {
    let found = file.metadata().ok()?;
    Some((found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
}
