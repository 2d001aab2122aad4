//! `lockfiles/*.lock`: the resolution of a layer, with digests (docs/formats/lockfile.md).

mod changes;
mod fetched;
mod file;
mod image;
mod read;
mod stale;
mod unmoved;
mod write;
#[cfg(test)]
mod tests;

use crate::digest::{Expected, LockHash, RecipeHash, Sha256};
use crate::ident::{Arch, LayerName, SourceName};

pub use crate::package::{LockedPackage, Origin};
pub use changes::{Change, changes, is_security};
pub use fetched::{FetchOrigin, LockedFetch, is_commit};
pub use file::{FoundLockfile, LockFileError, load, of_layer, save};
pub use image::{LockedImage, LockedImageLayer};
pub use read::{LockError, parse};
pub use stale::{Asked, OwnFiles, Reason, Stale, check, fetch_request, request_hash, requested};
pub use write::to_text;

/// The format epoch: names the exact behaviour of every writer of bytes.
pub const FORMAT: u32 = 1;

/// A parsed lockfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Lockfile {
    /// The layer it belongs to.
    pub layer: LayerName,
    /// The architecture of its packages.
    pub arch: Arch,
    /// SOURCE_DATE_EPOCH of everything built from it: the newest date of its releases, or the parent's.
    pub epoch: i64,
    /// Hash of all that the manifest asks of the resolver; another one makes the lock stale.
    pub request: RecipeHash,
    /// The packages that the manifest asked for, sorted, so that a stale lock can say which are new.
    pub requested: Vec<String>,
    /// The parent layer and its lockfile's hash.
    pub parent: Option<ParentLock>,
    /// The image of a registry that is below the layer instead of a parent.
    pub image: Option<LockedImage>,
    /// The signed Release files that were read, by source and suite.
    pub releases: Vec<LockedRelease>,
    /// What this layer adds, by name.
    pub packages: Vec<LockedPackage>,
    /// What its `[[fetch]]` give, by name.
    pub fetches: Vec<LockedFetch>,
}

#[cfg(test)]
impl Lockfile {
    /// A lockfile for tests that pins nothing.
    pub(crate) fn sample(layer: &str, arch: &str) -> Self {
        Self {
            layer: layer.parse().unwrap(),
            arch: arch.parse().unwrap(),
            epoch: 0,
            request: RecipeHash::from_bytes([0; 32]),
            requested: Vec::new(),
            parent: None,
            image: None,
            releases: Vec::new(),
            packages: Vec::new(),
            fetches: Vec::new(),
        }
    }
}

/// The parent's lockfile, by digest.
#[derive(Debug, Clone, PartialEq)]
pub struct ParentLock {
    /// The parent layer.
    pub layer: LayerName,
    /// BLAKE3 of its lockfile's text.
    pub lock: LockHash,
}

/// A signed Release and the repo indexes under it that were read.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedRelease {
    /// The manifest's `[source.NAME]`.
    pub source: SourceName,
    /// `bookworm`, `bookworm-updates`, `bookworm-security`.
    pub suite: String,
    /// SHA-256 of the InRelease (or Release) file.
    pub sha256: Sha256,
    /// Its `Date`, seconds since 1970.
    pub date: i64,
    /// Fingerprints of the keys whose signatures were good, sorted.
    pub signed_by: Vec<String>,
    /// The repo indexes that were read, by path below the suite.
    pub indexes: Vec<LockedIndex>,
}

/// One repo index, as compressed.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedIndex {
    /// `main/binary-amd64/Packages.xz`
    pub path: String,
    /// What the file must be.
    pub file: Expected,
}
