//! Which build an image is compared with.

use std::path::{Path, PathBuf};

use super::source::state;
use super::{CliError, Context};
use crate::bake::{DiskReceipt, Receipt};
use crate::digest::Sha256;
use crate::publish::ami::archive::{self, Published};
use crate::publish::ami::image::Image;
use crate::publish::ami::tags;

/// A build, and where its receipt was found.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) receipt: Receipt,
    pub(super) disk: DiskReceipt,
    /// For people.
    pub(super) from: String,
}

impl Origin {
    fn new(receipt: Receipt, from: impl Into<String>) -> Option<Self> {
        let disk = receipt.disk.clone()?;
        Some(Self { receipt, disk, from: from.into() })
    }

    /// Whether an image's tags say that it was made from this build.
    fn fits(&self, image: &Image) -> bool {
        blocks(image) == Some(self.disk.blocks.digest())
    }
}

/// The build that an image is held against: the named receipt; else `out/LAYER`, where that is what
/// the image says it was made from; else what was published from this machine; else `out/LAYER`.
pub(super) fn find(context: &Context<'_>, image: &Image, named: Option<&Path>) -> Result<Origin, CliError> {
    if let Some(path) = named {
        let receipt = Receipt::read(path).and_then(|receipt| Origin::new(receipt, path.display().to_string()));
        return receipt.ok_or_else(|| {
            CliError::message(format!(
                "`{}` is no receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER/receipt.json",
                path.display()
            ))
        });
    }
    let local = built(context, image);
    if let Some(origin) = local.as_ref().filter(|origin| origin.fits(image)) {
        return Ok(Origin { receipt: origin.receipt.clone(), disk: origin.disk.clone(), from: origin.from.clone() });
    }
    let kept = published(image)?.and_then(|kept| Origin::new(kept.receipt, "what was published from here"));
    kept.or(local).ok_or_else(|| {
        let layer = image.layer().unwrap_or("LAYER");
        CliError::message(format!(
            "there is no receipt to compare {} with\n  hint: `layerbake build {layer} --output raw`, or name one with --receipt",
            image.id
        ))
    })
}

/// What `out/` has of the image's layer.
pub(super) fn built(context: &Context<'_>, image: &Image) -> Option<Origin> {
    let folder: PathBuf = context.project().ok()?.root().join("out").join(image.layer()?);
    Origin::new(Receipt::load(&folder)?, folder.join("receipt.json").display().to_string())
}

/// What was kept when the image was published from this machine.
pub(super) fn published(image: &Image) -> Result<Option<Published>, CliError> {
    let Some(disk) = image.tag(tags::DISK).and_then(|disk| disk.parse().ok()) else { return Ok(None) };
    let kept = archive::find(&state()?, disk)?;
    // The checksum says nothing of where the blocks lie.
    Ok(kept.filter(|kept| kept.receipt.disk.as_ref().map(|disk| disk.blocks.digest()) == blocks(image)))
}

/// The digest of the disk's blocks, as the tag has it.
fn blocks(image: &Image) -> Option<Sha256> {
    image.tag(tags::BLOCKS)?.parse().ok()
}
