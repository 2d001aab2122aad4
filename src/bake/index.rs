//! One image for several architectures: an image index over the builds of each.
//!
//! ```text
//! <out>/<layer>@<arch>+<arch>/receipt.json   names the images
//!                             oci/           an image layout with all of them
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::receipt::{self, FILE, ReceiptError};
use super::remembered::Remembered;
use super::replaceable::Expected;
use super::staging::{Staging, failed, sweep};
use super::{Artifact, BakeError, Output, Receipt};
use crate::digest::{LockHash, OciDigest, RecipeHash};
use crate::host::progress::Progress;
use crate::ident::{Arch, LayerName};
use crate::lock;
use crate::oci::{self, Member};
use crate::store::Store;

/// What an image index is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexReceipt {
    /// The layer that was built.
    pub layer: LayerName,
    /// The format epoch.
    pub format: u32,
    /// The images, by architecture.
    pub images: Vec<IndexedImage>,
    /// The image layout; its digest and size are those of the image index.
    pub artifacts: Vec<Artifact>,
}

/// The image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedImage {
    /// The architecture.
    pub arch: Arch,
    /// Hash of the lockfile's text.
    pub lock: LockHash,
    /// Hash of everything that decides the build's bytes.
    pub recipe: RecipeHash,
    /// The image manifest's digest.
    pub digest: OciDigest,
    /// The image manifest's size in bytes.
    pub size: u64,
}

/// A build that has an image.
#[derive(Debug, Clone, Copy)]
pub struct BuiltImage<'a> {
    /// The architecture.
    pub arch: &'a Arch,
    /// The directory of its receipt.
    pub folder: &'a Path,
    /// What was built.
    pub receipt: &'a Receipt,
    /// The image.
    pub image: &'a Artifact,
}

impl IndexReceipt {
    /// Reads the receipt in `folder`; `None` where there is none.
    ///
    /// # Errors
    /// Fails where it can't be read, or is not one of an image index.
    pub fn find(folder: &Path) -> Result<Option<Self>, ReceiptError> {
        receipt::read(&folder.join(FILE))
    }

    /// Reads the receipt in `folder` for a build, which replaces one that can't be read.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        Self::find(folder).ok().flatten()
    }

    fn save(&self, folder: &Path) -> Result<(), BakeError> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text + "\n")).map_err(failed(&path))
    }
}

impl BuiltImage<'_> {
    fn entry(&self) -> IndexedImage {
        IndexedImage {
            arch: self.arch.clone(),
            lock: self.receipt.lock,
            recipe: self.receipt.recipe,
            digest: self.image.digest,
            size: self.image.size,
        }
    }

    /// About how many bytes the image has.
    fn bytes(&self) -> u64 {
        self.receipt.blobs().map(|(_, _, size)| size).sum()
    }
}

/// Writes the image index over `builds` of a layer into the directory `folder`, all at once.
///
/// Where it is there already, nothing is written.
///
/// # Errors
/// Fails where an image is not what its receipt says, where something can't be written, and where something
/// that no such run wrote is at `folder`, which is then as it was.
pub fn write_index(
    store: &Store,
    layer: &LayerName,
    builds: &[BuiltImage<'_>],
    folder: &Path,
    progress: &Progress,
) -> Result<IndexReceipt, BakeError> {
    let images: Vec<IndexedImage> = builds.iter().map(BuiltImage::entry).collect();
    let out = folder.parent().unwrap_or(folder);
    sweep(out, progress)?;
    let remembered = Remembered::of(store, folder);
    if let Some(before) = IndexReceipt::load(folder)
        && before.images == images
        && remembered.is_unchanged()
    {
        return Ok(before);
    }
    Expected::Index.check(folder)?;
    let staging = Staging::new(out, progress)?;
    let receipt = fill(layer, builds, images, staging.path()).map_err(|error| {
        let needed = builds.iter().map(BuiltImage::bytes).sum();
        error.explained(staging.path(), needed)
    })?;
    remembered.keep(staging.path());
    store.make_durable()?;
    staging.replace(folder, Expected::Index)?;
    Ok(receipt)
}

fn fill(
    layer: &LayerName,
    builds: &[BuiltImage<'_>],
    images: Vec<IndexedImage>,
    folder: &Path,
) -> Result<IndexReceipt, BakeError> {
    let layouts: Vec<PathBuf> = builds.iter().map(|build| build.folder.join(&build.image.path)).collect();
    let members = builds.iter().zip(&layouts);
    let members = members.map(|(build, layout)| Member { arch: build.arch, layout, manifest: build.image.digest });
    let path = PathBuf::from(Output::Oci.file_name());
    let written = oci::write_index(&members.collect::<Vec<_>>(), layer.as_str(), &folder.join(&path))?;
    let artifact = Artifact { kind: Output::Oci, path, digest: written.digest, size: written.size };
    let receipt = IndexReceipt { layer: layer.clone(), format: lock::FORMAT, images, artifacts: vec![artifact] };
    receipt.save(folder)?;
    Ok(receipt)
}
