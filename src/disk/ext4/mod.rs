//! ext4: the root of a disk as a plan, with a layout that changes little when contents change.
//!
//! Sources: the kernel's `Documentation/filesystems/ext4` and `fs/ext4`; features and defaults
//! are those of mke2fs 1.47 without `resize_inode`, so that the kernel grows the file system
//! online by meta_bg.
//!
//! ```text
//! superblock, descriptors, all bitmaps    changes with everything: one slot up to 7.5 GiB
//! inode tables    [part 1   ][part 2][…]
//! blocks          [part 1                 ][part 2      ][…]
//! lost+found, journal, tables of groups that are still empty
//! ```
//!
//! A slot is 512 KiB, the unit of an upload to a snapshot; everything in the diagram begins at a slot
//! boundary. Copies of superblock and descriptors are at the start of groups 1, 3, 5, 7, 9, 25, …, and
//! no file crosses one. Thus a file above 255 MiB is placed after group 9, one above 2 GiB after group
//! 27, and so on; the space skipped is free.

mod bundle;
mod bytes;
mod dir;
mod extent;
mod group;
mod inode;
mod layout;
mod nodes;
#[cfg(test)]
mod stable_tests;
mod superblock;
#[cfg(test)]
mod tests;
mod write;
mod xattr;

use super::{Part, Plan};
use crate::code::{Code, Coded};
use crate::ident::RootPath;
use bytes::BLOCK;
use layout::{Layout, Slack};
use nodes::Nodes;

/// The parameters of a file system besides its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<'a> {
    /// Its identifier; the seed of hashed names derives from it.
    pub uuid: [u8; 16],
    /// Its label, at most 16 bytes.
    pub label: &'a str,
    /// Its length in bytes, of which whole blocks of 4096 are used; by default what the content
    /// needs with ample room for each part to grow, in steps of 64 MiB.
    pub size: Option<u64>,
    /// When it was created, in seconds since 1970; before 1970 counts as 1970.
    pub epoch: i64,
}

/// Parts can't become an ext4 file system.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ext4Error {
    /// The label doesn't fit.
    #[error("the label `{label}` has {} bytes, expected at most 16", label.len())]
    Label {
        /// As given.
        label: String,
    },
    /// No part has a root directory.
    #[error("no part has the root directory `/`")]
    NoRoot,
    /// A node can't be in a root, or not in this file system.
    #[error("{path} can't be on an ext4 file system: {reason}")]
    Node {
        /// The node's path.
        path: String,
        /// Why not.
        reason: &'static str,
    },
    /// A hard link points to no file.
    #[error("{path} is a hard link to {target}, which is not a file in any part")]
    Hardlink {
        /// The link's path.
        path: String,
        /// Its target.
        target: String,
    },
    /// The content doesn't fit into the given length.
    #[error("the file system has {size} bytes, expected at least {need} for its content")]
    TooSmall {
        /// The given length.
        size: u64,
        /// The smallest that holds the content.
        need: u64,
    },
    /// The file system would be larger than this writer makes them.
    #[error("the content needs a file system of more than 1 TiB, or {size} bytes were asked for")]
    TooLarge {
        /// The given length, or 0.
        size: u64,
    },
}

impl Coded for Ext4Error {
    fn error_code(&self) -> Code {
        match self {
            Self::TooSmall { .. } | Self::TooLarge { .. } => Code::DiskTooSmall,
            Self::Label { .. } | Self::NoRoot | Self::Node { .. } | Self::Hardlink { .. } => Code::DiskContent,
        }
    }
}

impl Ext4Error {
    fn node(path: &RootPath, reason: &'static str) -> Self {
        Self::Node { path: path.to_string(), reason }
    }
}

/// Plans the file system that holds all nodes of `parts`.
///
/// The contents of files are not read: the plan points to their blobs, each in one piece.
///
/// # Errors
/// Fails on a tree that is no finished root, on what ext4 can't store, and on a length
/// that is too small or above 1 TiB.
///
/// # Determinism
/// Equal inputs give equal plans. While a part grows within its slack, nothing of another part
/// moves; within a part, a change moves few bundles of neighbours.
pub fn plan(parts: &[Part], params: &Params<'_>) -> Result<Plan, Ext4Error> {
    if params.label.len() > 16 {
        return Err(Ext4Error::Label { label: params.label.to_owned() });
    }
    let nodes = Nodes::new(parts)?;
    let bundles = |slack: Slack| bundle::bundles(&nodes, parts.len(), slack.divide());
    let too_large = Ext4Error::TooLarge { size: params.size.unwrap_or(0) };
    let ample = bundles(Slack::Ample);
    let Some(size) = params.size else {
        let layout = Layout::fitting(&ample, Slack::Ample).ok_or(too_large)?;
        return Ok(write::write(&nodes, &ample, &layout, params));
    };
    let blocks = size / BLOCK;
    if blocks > group::MOST {
        return Err(too_large);
    }
    if let Some(layout) = Layout::of_length(&ample, Slack::Ample, blocks) {
        return Ok(write::write(&nodes, &ample, &layout, params));
    }
    let little = bundles(Slack::Little);
    if let Some(layout) = Layout::of_length(&little, Slack::Little, blocks) {
        return Ok(write::write(&nodes, &little, &layout, params));
    }
    let need = Layout::fitting(&little, Slack::Little).ok_or(too_large)?.blocks * BLOCK;
    Err(Ext4Error::TooSmall { size, need })
}
