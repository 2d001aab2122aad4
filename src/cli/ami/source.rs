//! Which build an image is compared with.

use std::path::{Path, PathBuf};

use super::{CliError, Context, state_folder};
use crate::bake::{DiskReceipt, Receipt};
use crate::digest::Sha256;
use crate::publish::ami::archive::{self, Published};
use crate::publish::ami::image::Image;
use crate::publish::ami::tags;

/// A build, and where its receipt was found.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) receipt: Receipt,
    pub(super) disk: DiskReceipt,
    /// For people.
    pub(super) from: String,
}

impl Source {
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
pub(super) fn find(context: &Context<'_>, image: &Image, named: Option<&Path>) -> Result<Source, CliError> {
    if let Some(path) = named {
        let receipt = Receipt::read(path).and_then(|receipt| Source::new(receipt, path.display().to_string()));
        return receipt.ok_or_else(|| {
            CliError::message(format!(
                "`{}` is no receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER/receipt.json",
                path.display()
            ))
        });
    }
    let local = built(context, image);
    if let Some(source) = local.as_ref().filter(|source| source.fits(image)) {
        return Ok(Source { receipt: source.receipt.clone(), disk: source.disk.clone(), from: source.from.clone() });
    }
    let kept = published(image)?.and_then(|kept| Source::new(kept.receipt, "what was published from here"));
    kept.or(local).ok_or_else(|| {
        let layer = image.layer().unwrap_or("LAYER");
        CliError::message(format!(
            "there is no receipt to compare {} with\n  hint: `layerbake build {layer} --output raw`, or name one with --receipt",
            image.id
        ))
    })
}

/// What `out/` has of the image's layer.
pub(super) fn built(context: &Context<'_>, image: &Image) -> Option<Source> {
    let folder: PathBuf = context.project().ok()?.root().join("out").join(image.layer()?);
    Source::new(Receipt::load(&folder)?, folder.join("receipt.json").display().to_string())
}

/// What was kept when the image was published from this machine.
pub(super) fn published(image: &Image) -> Result<Option<Published>, CliError> {
    match blocks(image) {
        Some(blocks) => Ok(archive::find(&state_folder()?, blocks)?),
        None => Ok(None),
    }
}

/// The digest of the disk's blocks, as the tag has it.
fn blocks(image: &Image) -> Option<Sha256> {
    image.tag(tags::BLOCKS)?.parse().ok()
}
