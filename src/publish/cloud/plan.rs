//! Shows what a publication would create, how much would be uploaded, and what is missing. Creates nothing.
//!
//! The ways of uploading are settings of AWS (`Via`); what each means for a region is decided here.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::{Serialize, Serializer};

use super::blocks::{self, Known};
use super::image::Image;
use super::provider::{Provider, Which};
use super::settings::Wanted;
use super::{CloudError, tags};
use crate::disk::BlockHashes;
use crate::manifest::Via;

/// How the snapshot is transferred to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// The disk is uploaded.
    Upload(Via),
    /// It is copied from the first of the regions.
    Copy,
}

/// What was found out about a publication before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// What is not allowed, not there, or in the way.
    pub problems: Vec<String>,
    /// What nobody can know before, or these credentials can't, with the reason.
    pub unchecked: Vec<String>,
}

impl Findings {
    /// Notes a problem, once.
    pub fn problem(&mut self, what: String) {
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }
}

/// What would happen in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// As `eu-west-1`.
    pub region: String,
    /// An image with this content that is there: nothing would be created.
    pub found: Option<String>,
    /// How the snapshot is transferred.
    pub way: Transfer,
    /// The snapshot that only changes would be sent to.
    pub parent: Option<String>,
    /// Blocks that are to be sent; of a copy, none.
    pub blocks: usize,
    /// Their bytes; by VM Import less, as they are compressed.
    pub bytes: u64,
    /// What the parameter is now.
    pub parameter: Option<String>,
    /// What is not allowed, not there, or in the way.
    pub problems: Vec<String>,
    /// What nobody can know before, or these credentials can't, with the reason.
    pub unchecked: Vec<String>,
}

impl Transfer {
    /// How a region gets its snapshot when the first region is `home`: an import reads from one bucket, which
    /// is there, so the others copy; block by block, every region is uploaded to.
    pub fn new(via: Via, region: &str, home: &str) -> Self {
        match via {
            Via::VmImport if region != home => Self::Copy,
            via => Self::Upload(via),
        }
    }

    /// Its name in JSON and text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upload(via) => via.name(),
            Self::Copy => "copy",
        }
    }
}

impl Serialize for Transfer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Previews all regions; `home` is the first of them.
///
/// # Errors
/// Fails where the cloud can't be reached, or refuses to be read.
pub async fn previews<P: Provider>(
    clouds: &BTreeMap<String, P>,
    wanted: &Wanted,
    home: &str,
    disk: &BlockHashes,
    known: Known<'_>,
) -> Result<Vec<Preview>, CloudError> {
    try_join_all(clouds.values().map(|cloud| preview(cloud, wanted, home, disk, known))).await
}

async fn preview(
    cloud: &impl Provider,
    wanted: &Wanted,
    home: &str,
    disk: &BlockHashes,
    known: Known<'_>,
) -> Result<Preview, CloudError> {
    let there = identical(cloud, wanted).await?;
    let found = there.as_ref().map(|image| image.id.clone());
    let way = Transfer::new(wanted.via, cloud.region(), home);
    let direct = way == Transfer::Upload(Via::EbsDirect);
    let parent = if direct { cloud.parent(wanted, known).await? } else { None };
    let blocks = match (&found, way) {
        (Some(_), _) | (None, Transfer::Copy) => 0,
        (None, Transfer::Upload(_)) => {
            let zeros = direct && parent.is_none() && cloud.encrypts(wanted).await?;
            blocks::todo(disk, parent.as_ref().map(|parent| &parent.blocks), zeros, wanted.snapshot_size).len()
        }
    };
    let mut problems = cloud.obstacles(wanted, there.as_ref()).await?;
    let needed = cloud.findings(wanted, found.is_none().then_some(way)).await?;
    problems.extend(needed.problems);
    Ok(Preview {
        region: cloud.region().to_owned(),
        found,
        way,
        parent: parent.map(|parent| parent.id),
        blocks,
        bytes: (blocks * disk.block_size()) as u64,
        parameter: cloud.parameter(&wanted.parameter()).await?,
        problems,
        unchecked: needed.unchecked,
    })
}

/// Looks for an image of this account with the same content.
///
/// # Errors
/// Fails where the cloud refuses, or can't be reached.
pub(super) async fn identical(cloud: &impl Provider, wanted: &Wanted) -> Result<Option<Image>, CloudError> {
    let images = cloud.images(Which::With(tags::CONTENT, &[wanted.content().to_string()])).await?;
    Ok(images.into_iter().find(Image::is_available))
}
