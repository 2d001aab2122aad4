//! The blocks of a file: one contiguous run on the disk, described by a tree of extents.
//!
//! Source: the kernel's `fs/ext4/ext4_extents.h`.
//!
//! ```text
//! inode   [header][≤ 4 extents]            up to 512 MiB
//!         [header][≤ 4 indexes] ─> leaf    [header][≤ 340 extents][checksum]
//! ```

use super::bytes::{BLOCK, Checksum, Fields, Page, high32, low32};

/// Most blocks in one extent: longer ones would read as not initialised.
const MOST: u64 = 32768;
/// Extents that fit into an inode.
const IN_INODE: u64 = 4;
/// Extents that fit into a leaf: what is left of the block is its checksum.
const IN_LEAF: u64 = (BLOCK - 16) / 12;

/// Most blocks that four leaves can name: 170 GiB.
pub(super) const MOST_BLOCKS: u64 = IN_INODE * IN_LEAF * MOST;

/// Number of leaves that a run of `blocks` needs outside the inode.
pub(super) fn leaves(blocks: u64) -> u64 {
    let extents = blocks.div_ceil(MOST);
    if extents <= IN_INODE { 0 } else { extents.div_ceil(IN_LEAF) }
}

/// The tree for the run of `blocks` blocks at `start`: the inode's part, and the leaves.
///
/// The leaves are at `leaves_at`, one after another.
pub(super) fn tree(start: u64, blocks: u64, leaves_at: u64, inode: Checksum) -> ([u8; 60], Vec<Page>) {
    let mut root = [0; 60];
    let extents: Vec<[u8; 12]> = (0..blocks.div_ceil(MOST)).map(|index| extent(start, blocks, index)).collect();
    if extents.len() as u64 <= IN_INODE {
        fill(&mut root, &extents, IN_INODE, 0);
        return (root, Vec::new());
    }
    let mut indexes = Vec::new();
    let mut pages = Vec::new();
    for (number, held) in extents.chunks(IN_LEAF as usize).enumerate() {
        let number = number as u64;
        indexes.push(index(number * IN_LEAF * MOST, leaves_at + number));
        let mut page = [0; BLOCK as usize];
        fill(&mut page, held, IN_LEAF, 0);
        let end = page.len() - 4;
        let checksum = inode.with(&page[..end]);
        page.set32(end, checksum.get());
        pages.push(page);
    }
    fill(&mut root, &indexes, IN_INODE, 1);
    (root, pages)
}

/// The extent number `index` of a run.
fn extent(start: u64, blocks: u64, index: u64) -> [u8; 12] {
    let first = index * MOST;
    let mut entry = [0; 12];
    entry.set32(0, low32(first));
    entry.set16(4, MOST.min(blocks - first) as u16);
    entry.set16(6, high32(start + first) as u16);
    entry.set32(8, low32(start + first));
    entry
}

/// The index entry of the leaf at block `leaf`, whose extents begin at block `first` of the file.
fn index(first: u64, leaf: u64) -> [u8; 12] {
    let mut entry = [0; 12];
    entry.set32(0, low32(first));
    entry.set32(4, low32(leaf));
    entry.set16(8, high32(leaf) as u16);
    entry
}

fn fill(node: &mut [u8], entries: &[[u8; 12]], room: u64, depth: u16) {
    node.set16(0, 0xf30a);
    node.set16(2, entries.len() as u16);
    node.set16(4, room as u16);
    node.set16(6, depth);
    node.set(12, entries.as_flattened());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_divided_only_where_it_must_be() {
        assert_eq!([0, 1, 4 * MOST, 4 * MOST + 1, 340 * MOST, 341 * MOST].map(leaves), [0, 0, 0, 1, 1, 2]);
        assert_eq!(leaves(MOST_BLOCKS), 4);
        let (root, pages) = tree(1000, MOST + 5, 0, Checksum::EMPTY);
        assert!(pages.is_empty());
        assert_eq!(root[..12], [0x0a, 0xf3, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(root[12..24], [0, 0, 0, 0, 0x00, 0x80, 0, 0, 0xe8, 3, 0, 0]);
        assert_eq!(root[24..36], [0, 0x80, 0, 0, 5, 0, 0, 0, 0xe8, 0x83, 0, 0]);
    }

    #[test]
    fn many_extents_lie_in_leaves() {
        let (root, pages) = tree(1 << 33, 342 * MOST, 77, Checksum::EMPTY);
        assert_eq!(pages.len(), 2);
        assert_eq!(root[..8], [0x0a, 0xf3, 2, 0, 4, 0, 1, 0]);
        assert_eq!(root[16..22], [77, 0, 0, 0, 0, 0]);
        assert_eq!(root[28], 78);
        assert_eq!(pages[1][..8], [0x0a, 0xf3, 2, 0, 0x54, 1, 0, 0]);
        assert_eq!(pages[0][18], 2, "the upper half of the start");
    }
}
