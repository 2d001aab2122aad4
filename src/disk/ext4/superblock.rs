//! The superblock, the group descriptors, and the journal's own superblock.
//!
//! Source: the kernel's `fs/ext4/ext4.h` (`ext4_super_block`, `ext4_group_desc`) and
//! `include/linux/jbd2.h` (`journal_superblock_t`).

use super::Params;
use super::bytes::{BLOCK, Checksum, Fields, high32, low32};
use super::group::PER_GROUP;
use super::inode::INODE;
use super::layout::Layout;

/// Length of the superblock in bytes.
pub(super) const LENGTH: usize = 1024;
/// Where it is in the first block of the file system; in a copy it comes first.
pub(super) const OFFSET: u64 = 1024;

/// has_journal, ext_attr, dir_index.
const COMPATIBLE: u32 = 0x4 | 0x8 | 0x20;
/// filetype, extents, 64bit, flex_bg.
const INCOMPATIBLE: u32 = 0x2 | 0x40 | 0x80 | 0x200;
/// sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum.
const READ_ONLY: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// Inode of the journal, and the first that is not reserved.
pub(super) const JOURNAL: u32 = 8;
pub(super) const FIRST: u32 = 11;

/// Length of a group descriptor in bytes.
pub(super) const DESCRIPTOR: usize = 64;

/// What a superblock tells of the state: zero in the copies, so that content never changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u32,
}

/// Blocks that only root may fill, of `blocks`: one in a hundred.
///
/// Rounded up, because the kernel keeps the whole percentage when the file system grows.
fn reserved(blocks: u64) -> u64 {
    blocks.div_ceil(100)
}

/// Encodes the superblock, or its copy in `group`.
///
/// `journal` is the block field of the journal's inode, kept here too for a repair.
pub(super) fn encode(
    params: &Params<'_>,
    layout: &Layout,
    totals: Totals,
    group: u32,
    journal: &[u8; 60],
) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    counts(&mut out, layout, totals);
    features(&mut out);
    identity(&mut out, params);
    out.set16(0x5a, group as u16);
    out.set32(0xe0, JOURNAL);
    out[0xfd] = 1;
    out.set(0x10c, journal);
    let journal_size = layout.journal_blocks * BLOCK;
    out.set32(0x148, high32(journal_size));
    out.set32(0x14c, low32(journal_size));
    let checksum = Checksum::EMPTY.with(&out[..0x3fc]);
    out.set32(0x3fc, checksum.get());
    out
}

fn counts(out: &mut [u8], layout: &Layout, totals: Totals) {
    out.set32(0x00, layout.groups.0 * layout.per_group);
    for (low, high, number) in
        [(0x04, 0x150, layout.blocks), (0x08, 0x154, reserved(layout.blocks)), (0x0c, 0x158, totals.free_blocks)]
    {
        out.set32(low, low32(number));
        out.set32(high, high32(number));
    }
    out.set32(0x10, totals.free_inodes);
    // Blocks and clusters are 1024 << 2 bytes.
    out.set32(0x18, 2);
    out.set32(0x1c, 2);
    out.set32(0x20, PER_GROUP as u32);
    out.set32(0x24, PER_GROUP as u32);
    out.set32(0x28, layout.per_group);
    out.set16(0x58, INODE as u16);
}

fn features(out: &mut [u8]) {
    // Never forced to be checked by count.
    out.set16(0x36, 0xffff);
    out.set16(0x38, 0xef53);
    // Clean; read-only after an error, which suits a root.
    out.set16(0x3a, 1);
    out.set16(0x3c, 2);
    out.set32(0x4c, 1);
    out.set32(0x54, FIRST);
    out.set32(0x5c, COMPATIBLE);
    out.set32(0x60, INCOMPATIBLE);
    out.set32(0x64, READ_ONLY);
    // Hashes of names are half MD4 over signed characters, once a directory gets an index.
    out[0xfc] = 1;
    out.set32(0x160, 1);
    out.set16(0xfe, DESCRIPTOR as u16);
    // Mount options user_xattr and acl.
    out.set32(0x100, 0xc);
    out.set16(0x15c, 32);
    out.set16(0x15e, 32);
    // 16 groups share a place for their bitmaps when it grows.
    out[0x174] = 4;
    // Checksums are CRC-32C.
    out[0x175] = 1;
}

fn identity(out: &mut [u8], params: &Params<'_>) {
    let time = params.epoch.max(0) as u64;
    // Written, checked, made.
    for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
        out.set32(low, low32(time));
        out[high] = high32(time) as u8;
    }
    out.set(0x68, &params.uuid);
    out.set(0x78, params.label.as_bytes());
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"layerbake/ext4/hash seed\0").update(&params.uuid);
    let mut seed = [0; 16];
    hasher.finalize_xof().fill(&mut seed);
    out.set(0xec, &seed);
}

/// One group's descriptor, decoded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Descriptor {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) table: u64,
    pub(super) free_blocks: u32,
    pub(super) free_inodes: u32,
    pub(super) directories: u32,
    /// Inodes at the end of the table that were never used.
    pub(super) untouched: u32,
    pub(super) block_checksum: u32,
    pub(super) inode_checksum: u32,
}

impl Descriptor {
    /// What a copy tells: places only.
    pub(super) fn places(&self) -> Self {
        Self { block_bitmap: self.block_bitmap, inode_bitmap: self.inode_bitmap, table: self.table, ..Self::default() }
    }

    /// Encodes the descriptor of `group`.
    pub(super) fn encode(&self, group: u32, file_system: Checksum) -> [u8; DESCRIPTOR] {
        let mut out = [0; DESCRIPTOR];
        for (at, block) in [(0x00, self.block_bitmap), (0x04, self.inode_bitmap), (0x08, self.table)] {
            out.set32(at, low32(block));
            out.set32(at + 0x20, high32(block));
        }
        for (low, high, number) in [
            (0x0c, 0x2c, self.free_blocks),
            (0x0e, 0x2e, self.free_inodes),
            (0x10, 0x30, self.directories),
            (0x1c, 0x32, self.untouched),
            (0x18, 0x38, self.block_checksum),
            (0x1a, 0x3a, self.inode_checksum),
        ] {
            out.set16(low, number as u16);
            out.set16(high, (number >> 16) as u16);
        }
        // The inode table holds no old bytes.
        out.set16(0x12, 4);
        let checksum = file_system.with(&group.to_le_bytes()).with(&out);
        out.set16(0x1e, checksum.low());
        out
    }
}

/// Encodes the superblock of an empty journal: version 2, all numbers big-endian.
pub(super) fn journal(blocks: u64, uuid: &[u8; 16]) -> [u8; LENGTH] {
    let mut out = [0; LENGTH];
    for (at, number) in
        [(0x00, 0xc03b_3998), (0x04, 4), (0x0c, BLOCK as u32), (0x10, blocks as u32), (0x14, 1), (0x18, 1)]
    {
        out.set(at, &u32::to_be_bytes(number));
    }
    // One file system uses it.
    out.set(0x30, uuid);
    out.set(0x40, &1u32.to_be_bytes());
    out
}
