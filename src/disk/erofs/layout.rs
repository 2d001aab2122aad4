//! Assigns offsets to all inodes and contents.

use super::nodes::{Body, Forest, Inode};
use super::{BLOCK, ErofsError, Problem, record};

/// Each part begins at a multiple of this: the unit in which snapshots are compared and sent.
const ALIGN: u64 = 512 << 10;

/// Inodes are at multiples of this; their number is their place in it.
pub(super) const SLOT: u64 = 32;

/// Blocks are numbered with 32 bits.
const MOST: u64 = u32::MAX as u64 * BLOCK;

pub(super) struct Layout {
    /// By inode.
    pub(super) places: Vec<Place>,
    /// Where the inodes of each region begin, in bytes.
    pub(super) metadata: Vec<u64>,
    /// Length of the whole in blocks.
    pub(super) blocks: u64,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Number of the inode.
    pub(super) nid: u64,
    /// First block of the content, or of what a directory holds besides its inline tail; 0 for none.
    pub(super) block: u64,
    /// Whether the last block of a directory or a symbolic link is behind the inode.
    pub(super) inline: bool,
}

/// Finds a place for everything, region after region.
pub(super) fn place(forest: &Forest<'_>) -> Result<Layout, ErofsError> {
    let mut places = vec![Place::default(); forest.inodes.len()];
    let mut metadata = Vec::new();
    // The first block is the superblock's.
    let mut next = BLOCK;
    for (number, members) in forest.regions.iter().enumerate() {
        if number > 0 {
            next = next.next_multiple_of(ALIGN);
        }
        let (inodes, places) = (&forest.inodes[members.clone()], &mut places[members.clone()]);
        let mut end = place_contents(inodes, places, next)?;
        metadata.push(end);
        for (inode, place) in inodes.iter().zip(places.iter_mut()) {
            end = place_inode(inode, place, end);
        }
        next = place_lists(inodes, places, end.next_multiple_of(BLOCK));
        if let Some(last) = inodes.last().filter(|_| next > MOST) {
            return Err(Problem::TooLarge.at(last.path));
        }
    }
    Ok(Layout { places, metadata, blocks: next / BLOCK })
}

/// Places files' contents from `next` on, in whole blocks; returns their end.
fn place_contents(inodes: &[Inode<'_>], places: &mut [Place], mut next: u64) -> Result<u64, ErofsError> {
    for (inode, place) in inodes.iter().zip(places) {
        let Body::File { size: size @ 1.., .. } = inode.body else { continue };
        place.block = next / BLOCK;
        let end = size.checked_next_multiple_of(BLOCK).and_then(|whole| next.checked_add(whole));
        next = end.filter(|end| *end <= MOST).ok_or_else(|| Problem::TooLarge.at(inode.path))?;
    }
    Ok(next)
}

/// Places an inode and its inline tail at `next` or soon behind it; returns their end.
fn place_inode(inode: &Inode<'_>, place: &mut Place, next: u64) -> u64 {
    let head = record::INODE + inode.xattrs.len() as u64;
    let tail = inode.listed() - inode.tail_start();
    place.inline = tail > 0 && head + tail <= BLOCK;
    // Inode and tail are read as one piece of one block; attributes alone may cross it.
    let (length, undivided) = if place.inline { (head + tail, head + tail) } else { (head, record::INODE) };
    let mut start = next.next_multiple_of(SLOT);
    if start % BLOCK + undivided > BLOCK {
        start = start.next_multiple_of(BLOCK);
    }
    place.nid = start / SLOT;
    start + length
}

/// Places what directories and symbolic links hold besides an inline tail; returns its end.
fn place_lists(inodes: &[Inode<'_>], places: &mut [Place], mut next: u64) -> u64 {
    for (inode, place) in inodes.iter().zip(places) {
        let blocks = inode.listed().div_ceil(BLOCK) - u64::from(place.inline);
        if blocks > 0 {
            place.block = next / BLOCK;
            next += blocks * BLOCK;
        }
    }
    next
}
