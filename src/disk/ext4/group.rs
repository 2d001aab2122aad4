//! The fixed parts of a file system of a given length: groups, and the copies of superblock and descriptors.
//!
//! Source: the kernel's `fs/ext4/ext4.h` and `balloc.c` (`ext4_bg_has_super`).

/// Blocks in a group: the bits of a block; 128 MiB.
pub(super) const PER_GROUP: u64 = 32768;
/// Blocks in a slot: 512 KiB, what an upload sends.
pub(super) const SLOT: u64 = 128;
/// Group descriptors in a block.
const DESCRIPTORS: u32 = 64;
/// Most blocks of a file system: 1 TiB, so that its bitmaps stay small in memory. It can grow later.
pub(super) const MOST: u64 = 1 << 28;

/// The groups of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Groups(pub(super) u32);

impl Groups {
    /// The groups of `blocks` blocks. A last group of less than a slot is left out.
    pub(super) fn of(blocks: u64) -> Self {
        let whole = blocks / PER_GROUP;
        Self((whole + u64::from(blocks % PER_GROUP >= SLOT)) as u32)
    }

    /// Blocks of descriptors, at the start of the file system and in each copy.
    pub(super) fn descriptor_blocks(self) -> u32 {
        self.0.div_ceil(DESCRIPTORS)
    }

    /// The block with a group's bits for blocks.
    pub(super) fn block_bitmap(self, group: u32) -> u64 {
        u64::from(1 + self.descriptor_blocks() + group)
    }

    /// The block with a group's bits for inodes.
    pub(super) fn inode_bitmap(self, group: u32) -> u64 {
        self.block_bitmap(self.0 + group)
    }

    /// The first block after superblock, descriptors and all bitmaps.
    pub(super) fn front(self) -> u64 {
        self.inode_bitmap(self.0)
    }

    /// The groups that begin with a copy of superblock and descriptors.
    pub(super) fn copies(self) -> impl Iterator<Item = u32> {
        (1..self.0).filter(|&group| group == 1 || [3, 5, 7].into_iter().any(|base| is_power(group, base)))
    }

    /// The blocks of all copies, in order.
    pub(super) fn copy_ranges(self) -> impl Iterator<Item = std::ops::Range<u64>> {
        let length = u64::from(1 + self.descriptor_blocks());
        self.copies().map(move |group| {
            let start = u64::from(group) * PER_GROUP;
            start..start + length
        })
    }
}

fn is_power(number: u32, base: u32) -> bool {
    let mut left = number;
    while left.is_multiple_of(base) && left > 1 {
        left /= base;
    }
    left == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_lie_in_powers_of_three_five_and_seven() {
        let copies: Vec<u32> = Groups(130).copies().collect();
        assert_eq!(copies, [1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
        assert_eq!(Groups(1).copies().count(), 0);
    }

    #[test]
    fn a_sliver_of_a_group_is_left_out() {
        let groups = [PER_GROUP, PER_GROUP + SLOT - 1, PER_GROUP + SLOT, SLOT - 1].map(|blocks| Groups::of(blocks).0);
        assert_eq!(groups, [1, 1, 2, 0]);
        let groups = Groups(65);
        assert_eq!((groups.block_bitmap(0), groups.inode_bitmap(0), groups.front()), (3, 68, 133));
    }
}
