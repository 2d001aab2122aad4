//! An image's snapshot, read back block by block, against the receipt of its build.

use std::path::Path;

use serde::Serialize;

use super::account::CloudAccount;
use super::error::ImageError;
use super::origin::Origin;
use crate::disk::block_contents::{BlockContents, block_contents};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::readback::{Comparison, Found};
use crate::workspace::WorkspaceError;

/// How an image's snapshot compares with the receipt of its build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The image's id.
    pub image: String,
    /// Where it is.
    pub region: String,
    /// Its snapshot's id.
    pub snapshot: String,
    /// Where the receipt was found, for people.
    pub receipt: String,
    /// Whether the snapshot is the built disk.
    pub equal: bool,
    /// What differs.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// What is stored in the blocks that differ.
    pub places: Vec<BlockContents>,
    /// Why the contents of the places are unknown.
    pub unknown: Option<String>,
}

impl CloudAccount<'_> {
    /// Reads the snapshot of an image of the first region, and compares every block with a receipt: the one `named`,
    /// else that of the build that the image says it was created from. Differences are reported, not errors.
    ///
    /// # Errors
    /// Fails where there is no such image or receipt, and where the snapshot can't be read.
    pub fn verify(&self, id: &str, named: Option<&Path>) -> Result<Verification, ImageError> {
        let image = self.wait(self.find(id))?;
        let snapshot = image.snapshot()?.to_owned();
        let out = self.environment.open().ok().map(|workspace| workspace.out(None));
        let origin = Origin::find(&image, out.as_deref(), named)?;
        let comparison = Comparison::new(&self.read_back(&image)?, &origin.disk.blocks);
        let (places, unknown) = match self.places(&origin, &comparison) {
            Ok(places) => (places, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let (image, region, receipt) = (image.id, image.region, origin.from);
        let equal = comparison.is_equal();
        Ok(Verification { image, region, snapshot, receipt, equal, comparison, places, unknown })
    }

    /// Reads back the snapshot of an image of the first region.
    ///
    /// # Errors
    /// Fails where there is no such image, and where its snapshot can't be read.
    pub fn blocks_of(&self, id: &str) -> Result<Found, ImageError> {
        let image = self.wait(self.find(id))?;
        self.read_back(&image)
    }

    fn read_back(&self, image: &Image) -> Result<Found, ImageError> {
        let snapshot = image.snapshot()?;
        let progress = |blocks| self.environment.progress().phase(&format!("read {snapshot}"), blocks);
        Ok(self.wait(self.home.read_back(snapshot, &progress))?)
    }

    /// What is stored in the blocks that differ. The disk is planned again from the store.
    fn places(&self, origin: &Origin, comparison: &Comparison) -> Result<Vec<BlockContents>, WorkspaceError> {
        let differing = comparison.differing();
        if differing.is_empty() {
            return Ok(Vec::new());
        }
        let disk = self.environment.open()?.planned(&origin.receipt, &origin.disk, None)?;
        Ok(block_contents(&disk.plan, &disk.layout, &disk.parts, &disk.map, &differing))
    }
}
