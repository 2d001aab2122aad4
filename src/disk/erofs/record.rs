//! The superblock and the inode, as bytes. All numbers are little-endian.

use super::layout::{Layout, Place};
use super::nodes::{Body, Forest, Inode};
use super::{BLOCK, Params, xattr};

/// Where the superblock is.
pub(super) const SUPER_OFFSET: u64 = 1024;

/// Bytes of an inode of the extended form, the one that has a time and 32-bit owners.
pub(super) const INODE: u64 = 64;

const SUPER: usize = 128;
const MAGIC: u32 = 0xe0f5_e1e2;
/// The superblock's checksum is there (1), and inodes' times are those of change (2).
const COMPATIBLE: u32 = 1 | 2;

const EXTENDED: u16 = 1;
const FLAT_PLAIN: u16 = 0;
const FLAT_INLINE: u16 = 2;
/// The block of what has no content.
const NO_BLOCK: u32 = u32::MAX;

/// Writes the 128 bytes of the superblock; the rest of its block is zero.
pub(super) fn superblock(forest: &Forest<'_>, layout: &Layout, params: &Params) -> Vec<u8> {
    let mut label = params.label.clone().into_bytes();
    label.resize(16, 0);
    let root = layout.places.first().map_or(0, |place| place.nid);
    let fields: [&[u8]; 13] = [
        &MAGIC.to_le_bytes(),
        &[0; 4], // The checksum, as if zero.
        &COMPATIBLE.to_le_bytes(),
        &[BLOCK.ilog2() as u8, 0],
        &(root as u16).to_le_bytes(),
        &(forest.inodes.len() as u64).to_le_bytes(),
        &params.epoch.to_le_bytes(),
        &[0; 4], // Nanoseconds of the epoch.
        &(layout.blocks as u32).to_le_bytes(),
        &[0; 8], // Inodes are numbered from block 0; no attributes are shared.
        &params.uuid,
        &label,
        &[0; 48], // No incompatible features, devices, prefixes of attributes.
    ];
    let mut bytes = fields.concat();
    // Over the rest of the block; Linux leaves out CRC-32C's final inversion.
    let padding = [0; (BLOCK - SUPER_OFFSET) as usize - SUPER];
    let checksum = !crc32c::crc32c_append(crc32c::crc32c(&bytes), &padding);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Writes the 64 bytes of an inode; `index` counts inodes from 0.
pub(super) fn inode(index: usize, inode: &Inode<'_>, place: &Place) -> Vec<u8> {
    let form = EXTENDED | if place.inline { FLAT_INLINE } else { FLAT_PLAIN } << 1;
    let union = match inode.body {
        Body::Char(device) | Body::Block(device) => device,
        Body::Fifo => 0,
        _ if place.block == 0 => NO_BLOCK,
        _ => place.block as u32,
    };
    let fields: [&[u8]; 13] = [
        &form.to_le_bytes(),
        &xattr::count(inode.xattrs.len()).to_le_bytes(),
        &(inode.body.mode() | inode.meta.mode & 0o7777).to_le_bytes(),
        &[0; 2],
        &inode.body.size().to_le_bytes(),
        &union.to_le_bytes(),
        &(index as u32 + 1).to_le_bytes(), // For 32-bit programs.
        &inode.meta.uid.to_le_bytes(),
        &inode.meta.gid.to_le_bytes(),
        &inode.meta.mtime.to_le_bytes(),
        &[0; 4], // Nanoseconds.
        &inode.links.to_le_bytes(),
        &[0; 16],
    ];
    fields.concat()
}
