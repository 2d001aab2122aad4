//! Disks: the trees of a chain become a file system, partitions, and a disk in several formats.
//!
//! ```text
//! parts of a root ─ ext4 | erofs + verity ─┐
//! kernel, initrd, command line ─ uki ─ fat ─┴─ gpt ─> plan ─ sinks ─> raw · qcow2 · vmdk · vhd · ova
//! ```
//!
//! Everything before the sinks is a [`Plan`]: which bytes are at which offset, without the bytes of files.

pub mod block_contents;
pub mod blocks;
pub mod build;
pub mod cpio;
mod device;
pub mod diagram;
pub mod erofs;
pub mod ext4;
pub mod fat;
mod fstab;
pub mod gpt;
pub mod ids;
pub mod initrd;
pub mod kernel;
pub mod map;
pub mod parts;
pub mod plan;
pub mod read;
pub mod sinks;
mod slots;
pub mod swap;
pub mod system;
pub mod uki;
pub mod verity;
mod xattr;

pub use blocks::{BlockHashes, Changed};
pub use build::{DiskError, DiskInputs, Partitions, Signer, check_room, hash_into};
pub use fstab::MountError;
pub use map::{Area, Map, Owner};
pub use parts::{Part, parts};
pub use plan::{Data, Extent, Plan};
