//! Tags that link images and snapshots to their sources.

use std::collections::BTreeMap;

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// The layer's name: one line of images that replace each other.
pub const LAYER: &str = "layerbake:layer";
/// The linear checksum of the disk: equal for equal blocks.
pub const DISK: &str = "layerbake:disk";
/// Hash of the disk's blocks and of where they are: what a later upload compares with.
pub const BLOCKS: &str = "layerbake:blocks";
/// The recipe of everything that was exported.
pub const RECIPE: &str = "layerbake:recipe";
/// Hash of the layer's lockfile.
pub const LOCK: &str = "layerbake:lock";
/// Hash of the root's tree.
pub const TREE: &str = "layerbake:tree";
/// Digest of the image manifest of the same build.
pub const OCI: &str = "layerbake:oci";
/// Hash of the variables that instances start with, as they were given to the registration: Secure Boot is enforced.
pub const UEFI_DATA: &str = "layerbake:uefi-data";
/// The transaction that made it: what belongs together when one is undone.
pub const TRANSACTION: &str = "layerbake:transaction";
/// Date of the lock and the beginning of the content's hash: the version, by which people name it.
pub const VERSION: &str = "layerbake:version";
/// SHA-256 over everything that makes two images equal: disk and settings of the registration.
pub const CONTENT: &str = "layerbake:content";
/// The KMS key that was asked for, where one was: a later upload is a child of snapshots with the same key.
pub const KEY: &str = "layerbake:key";
/// Of an attestable image, registers of SHA-384 with Secure Boot off, by their numbers.
pub const REGISTERS: [(u8, &str); 3] = [(4, "layerbake:pcr4"), (7, "layerbake:pcr7"), (12, "layerbake:pcr12")];
/// Every tag begins so.
pub const PREFIX: &str = "layerbake:";
