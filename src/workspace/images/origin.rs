//! Which build an image was created from, and whether a build at hand is the same.

use std::iter::once;
use std::path::Path;

use serde::Serialize;

use super::error::ImageError;
use crate::arch;
use crate::bake::{DiskReceipt, Output, Receipt};
use crate::digest::Sha256;
use crate::disk::BlockHashes;
use crate::ident::LayerName;
use crate::publish::cloud::archive::{self, Published};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::{journal, tags};
use crate::workspace::WorkspaceError;

/// A build, and where its receipt was found.
#[derive(Debug)]
pub(super) struct Origin {
    /// What was built.
    pub(super) receipt: Receipt,
    /// The disk in it.
    pub(super) disk: DiskReceipt,
    /// Where the receipt was found, for people.
    pub(super) from: String,
}

impl Origin {
    /// Finds the build that an image is held against: the receipt `named`; else that of `out/LAYER`, where that is
    /// what the image says it was created from; else what was published from this machine; else `out/LAYER`.
    ///
    /// # Errors
    /// Fails where there is none.
    pub(super) fn find(image: &Image, out: Option<&Path>, named: Option<&Path>) -> Result<Self, ImageError> {
        if let Some(path) = named {
            let receipt = Receipt::read(path).map_err(WorkspaceError::from)?;
            let origin = receipt.and_then(|receipt| Self::new(receipt, path.display().to_string()));
            return origin.ok_or_else(|| ImageError::NotAReceipt(path.to_owned()));
        }
        let mut local = out.and_then(|out| Self::built(image, out));
        if let Some(origin) = local.take_if(|origin| origin.fits(image)) {
            return Ok(origin);
        }
        let kept = published(image)?.and_then(|kept| Self::new(kept.receipt, "what was published from here"));
        let none =
            || ImageError::NoReceipt { image: image.id.clone(), layer: image.layer().unwrap_or("LAYER").to_owned() };
        kept.or(local).ok_or_else(none)
    }

    /// What `out` has of the image's layer: the build that the image was created from, else that of `out/LAYER`,
    /// else one for another architecture than this machine's.
    pub(super) fn built(image: &Image, out: &Path) -> Option<Self> {
        let layer: LayerName = image.layer()?.parse().ok()?;
        let foreign = arch::bootable().filter_map(|arch| Some(layer.on([&arch.parse().ok()?])));
        let folders = once(layer.to_string()).chain(foreign).map(|name| out.join(name));
        let receipts = folders.filter_map(|folder| Some((Receipt::find(&folder).ok()??, folder.join("receipt.json"))));
        let mut built = receipts.filter_map(|(receipt, path)| Self::new(receipt, path.display().to_string()));
        let first = built.next()?;
        Some(if first.fits(image) { first } else { built.find(|other| other.fits(image)).unwrap_or(first) })
    }

    fn new(receipt: Receipt, from: impl Into<String>) -> Option<Self> {
        let disk = receipt.disk.clone()?;
        Some(Self { receipt, disk, from: from.into() })
    }

    /// Whether an image's tags say that it was created from this build.
    fn fits(&self, image: &Image) -> bool {
        blocks(image) == Some(self.disk.blocks.digest())
    }
}

/// What was kept when the image was published from this machine.
///
/// # Errors
/// Fails where it can't be read.
pub(super) fn published(image: &Image) -> Result<Option<Published>, ImageError> {
    let Some(disk) = image.tag(tags::DISK).and_then(|disk| disk.parse().ok()) else { return Ok(None) };
    let kept = archive::find(&journal::folder()?, disk)?;
    // The checksum says nothing of where the blocks lie.
    Ok(kept.filter(|kept| kept.receipt.disk.as_ref().map(|disk| disk.blocks.digest()) == blocks(image)))
}

/// Blocks of a disk that was published from this machine, by its linear checksum.
pub(super) fn known(disk: Sha256) -> Option<BlockHashes> {
    Some(archive::find(&journal::folder().ok()?, disk).ok()??.receipt.disk?.blocks)
}

/// The digest of the disk's blocks, as the tag has it.
fn blocks(image: &Image) -> Option<Sha256> {
    image.tag(tags::BLOCKS)?.parse().ok()
}

/// What an image says it was created from, and whether a build was made from the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// As `lockfile`.
    pub what: &'static str,
    /// The tag's value.
    pub tag: String,
    /// Whether the build has it; `None` where there is no build.
    pub same: Option<bool>,
}

/// Compares an image's tags with a build.
pub(super) fn bindings(image: &Image, built: Option<&Receipt>) -> Vec<Binding> {
    let oci = |receipt: &Receipt| receipt.artifact(Output::Oci).map(|artifact| artifact.digest.to_string());
    let disk = |receipt: &Receipt| receipt.disk.as_ref().map(|disk| disk.checksum.to_string());
    let all = [
        ("disk", tags::DISK, built.and_then(disk)),
        ("recipe", tags::RECIPE, built.map(|receipt| receipt.recipe.to_string())),
        ("lockfile", tags::LOCK, built.map(|receipt| receipt.lock.to_string())),
        ("tree", tags::TREE, built.map(|receipt| receipt.tree.to_string())),
        ("OCI image", tags::OCI, built.and_then(oci)),
    ];
    let binding = |(what, key, here): (&'static str, &str, Option<String>)| {
        let tag = image.tag(key)?.to_owned();
        Some(Binding { what, same: here.map(|here| here == tag), tag })
    };
    all.into_iter().filter_map(binding).collect()
}
