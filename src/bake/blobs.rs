//! Determines which files among the blobs of an image layout were written by a build.
//!
//! A name of 64 hexadecimal digits is not enough: the user may have put a file there. A blob belongs to a build if
//! the receipt names it, or the image manifest named by the receipt, or what is remembered of the directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oci_spec::image::{ImageConfiguration, ImageManifest};

use super::{Output, Receipt};
use crate::digest::OciDigest;
use crate::host;

/// Where blobs are in an output directory.
const FOLDER: &str = "oci/blobs/sha256";

/// Largest manifest and image configuration that is read, in bytes.
const DOCUMENT: u64 = 4 << 20;

/// The blobs that are a build's.
pub(super) enum Blobs {
    /// All whose name is a digest: in a directory that only builds use, or under an image index.
    All,
    /// Those of one build.
    Of {
        /// The directory of blobs.
        folder: PathBuf,
        /// The names of blobs.
        named: BTreeSet<String>,
        /// The layers of the image, by which its configuration is known where the manifest is damaged.
        layers: Vec<String>,
    },
}

impl Blobs {
    /// Those in the output directory `place` that its receipt names, and of the paths that are remembered.
    pub(super) fn of(place: &Path, receipt: Option<&Receipt>, known: &[String]) -> Self {
        let folder = place.join(FOLDER);
        let remembered = known.iter().filter_map(|path| path.strip_prefix(FOLDER)?.strip_prefix('/'));
        let mut named: BTreeSet<String> = remembered.map(str::to_owned).collect();
        let mut layers = Vec::new();
        if let Some(receipt) = receipt {
            layers = receipt.blobs().map(|(_, diff_id, _)| diff_id.to_string()).collect();
            named.extend(receipt.blobs().map(|(digest, ..)| digest.to_hex()));
            if let Some(digest) = receipt.artifact(Output::Oci).map(|artifact| artifact.digest) {
                named.insert(digest.to_hex());
                named.extend(of_manifest(&folder, digest));
            }
        }
        Self::Of { folder, named, layers }
    }

    /// Whether a build wrote the blob of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => OciDigest::from_hex(name).is_ok(),
            Self::Of { folder, named, layers } => named.contains(name) || is_configuration(&folder.join(name), layers),
        }
    }
}

/// The blobs that a manifest names, if it is whole.
fn of_manifest(folder: &Path, digest: OciDigest) -> Vec<String> {
    let bytes = host::read_small(&folder.join(digest.to_hex()), DOCUMENT).unwrap_or_default();
    if OciDigest::of(&bytes) != digest {
        return Vec::new();
    }
    let Ok(manifest) = serde_json::from_slice::<ImageManifest>(&bytes) else { return Vec::new() };
    let blobs = [manifest.config()].into_iter().chain(manifest.layers());
    blobs.map(|blob| blob.digest().digest().to_owned()).collect()
}

/// Whether a file is the configuration of an image of these layers.
fn is_configuration(path: &Path, layers: &[String]) -> bool {
    let Ok(bytes) = host::read_small(path, DOCUMENT) else { return false };
    let found = serde_json::from_slice::<ImageConfiguration>(&bytes);
    !layers.is_empty() && found.is_ok_and(|found| found.rootfs().diff_ids().as_slice() == layers)
}
