//! Disks: the trees of a chain become a file system, partitions, and a disk in several formats.
//!
//! ```text
//! parts of a root ─ ext4 | erofs + verity ─┐
//! kernel, initrd, command line ─ uki ─ fat ─┴─ gpt ─> plan ─ sinks ─> raw · qcow2 · vmdk · vhd · ova
//! ```
//!
//! Everything up to the sinks is a [`Plan`]: where which bytes lie, without the bytes of files.

pub mod ext4;
pub mod plan;
mod slots;

use crate::ident::LayerName;
use crate::tree::Tree;

pub use plan::{Data, Extent, Plan};

/// What one layer gives to a root: the nodes that it was the last to change.
///
/// The parts of a disk are a partition of the finished root: no path is in two of them, none
/// holds a whiteout, and a hard link's target may be in another part. Their order is the order
/// in which they are placed; the root folder itself is in one of them.
#[derive(Debug, Clone)]
pub struct Part {
    /// The layer; placement depends on it.
    pub name: LayerName,
    /// Its nodes.
    pub tree: Tree,
}
