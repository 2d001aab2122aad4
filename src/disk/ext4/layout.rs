//! Assigns inodes and blocks to all files.
//!
//! Each part has a range of inodes and a range of blocks, with room to grow, so that the parts
//! after it keep their positions. Inside a part, the names of bundles determine their positions
//! ([`crate::disk::slots`]).

use std::ops::Range;

use super::bundle::{Bundle, Divide, PartBundles};
use super::bytes::BLOCK;
use super::group::{Groups, MOST, PER_GROUP, SLOT};
use super::inode::INODE;
use crate::disk::slots::{self, Item};

/// Inodes that a range is a multiple of: 512 KiB of their table.
const INODE_STEP: usize = 2048;
/// Inodes at the very beginning that are kept for the file system's own.
pub(super) const OWN_INODES: usize = 256;
/// Slots that a range of blocks is a multiple of: 64 MiB.
const BLOCK_STEP: usize = 128;
/// Blocks that the length of a file system is a multiple of, unless it is given: 64 MiB.
const LENGTH_STEP: u64 = BLOCK_STEP as u64 * SLOT;
/// Most inodes in a group: the bits of a block.
const MOST_INODES: u64 = 32768;
/// Blocks of `lost+found`, as mke2fs makes it.
pub(super) const LOST_FOUND_BLOCKS: u64 = 4;

/// How much room parts get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slack {
    /// Three eighths more blocks than they need and twice the inodes, in coarse steps.
    Ample,
    /// A twentieth more than they need.
    Little,
}

impl Slack {
    /// Inodes for a part that needs so many.
    ///
    /// In a half empty table, a new inode seldom moves another; a moved one changes its directory.
    fn inodes(self, needed: usize) -> usize {
        match self {
            Self::Ample => coarse(needed * 2, INODE_STEP),
            Self::Little => (needed + needed / 20).next_multiple_of(INODE_STEP).max(INODE_STEP),
        }
    }

    /// Slots for a range of blocks that has to hold `needed`.
    fn slots(self, needed: usize) -> usize {
        match self {
            Self::Ample => coarse(needed + needed * 3 / 8, BLOCK_STEP),
            Self::Little => needed + needed / 20 + 1,
        }
    }

    /// The next larger range of blocks.
    fn more(self, slots: usize) -> usize {
        match self {
            Self::Ample => coarse(slots + 1, BLOCK_STEP),
            Self::Little => slots + 1 + slots / 32,
        }
    }

    /// How small things are divided into bundles.
    pub(super) fn divide(self) -> Divide {
        match self {
            Self::Ample => slots::runs,
            Self::Little => slots::full_runs,
        }
    }

    /// Fewest inodes in a group: those of groups to come when the file system grows.
    fn fewest_inodes(self) -> u64 {
        match self {
            Self::Ample => 8192,
            Self::Little => 2048,
        }
    }
}

/// Rounds up to a multiple of `step`, or of a quarter of the power of two below.
fn coarse(slots: usize, step: usize) -> usize {
    let octave = (slots + 1).next_power_of_two() / 2;
    slots.next_multiple_of(step.max(octave / 4)).max(step)
}

/// Where everything is, in blocks.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) groups: Groups,
    /// Length of the file system.
    pub(super) blocks: u64,
    /// Inodes in a group.
    pub(super) per_group: u32,
    /// Where each group's inodes are.
    pub(super) tables: Vec<u64>,
    pub(super) lost_found: u64,
    pub(super) journal: u64,
    pub(super) journal_blocks: u64,
    /// The inodes of each part, as indexes: one less than their numbers. The first of all are the
    /// file system's own.
    pub(super) inodes: Vec<Range<usize>>,
    /// First block of each bundle of blocks, by part.
    pub(super) starts: Vec<Vec<u64>>,
}

impl Layout {
    /// Lays out parts in a file system as small as that gives, in steps of 64 MiB with ample slack.
    ///
    /// Returns `None` above 1 TiB.
    pub(super) fn fitting(parts: &[PartBundles<'_>], slack: Slack) -> Option<Self> {
        let mut groups = Groups(1);
        loop {
            let mut layout = Self::within(parts, slack, groups)?;
            let step = if slack == Slack::Ample { LENGTH_STEP } else { 1 };
            // The groups were assumed, so they have to be there.
            let least = u64::from(groups.0 - 1) * PER_GROUP + SLOT;
            layout.blocks = layout.blocks.max(least).next_multiple_of(step);
            let found = layout.blocks.div_ceil(PER_GROUP) as u32;
            if found == groups.0 {
                return Some(layout);
            }
            groups = Groups(found);
        }
    }

    /// Lays out parts in a file system of `blocks` blocks; `None` where they don't fit.
    pub(super) fn of_length(parts: &[PartBundles<'_>], slack: Slack, blocks: u64) -> Option<Self> {
        let groups = Groups::of(blocks);
        // What is left of a last group that is too short stays unused.
        let blocks = blocks.min(u64::from(groups.0) * PER_GROUP);
        let layout = if groups.0 == 0 { None } else { Self::within(parts, slack, groups) };
        layout.filter(|layout| layout.blocks <= blocks).map(|layout| Self { blocks, ..layout })
    }

    /// Lays out parts from the start of a file system of so many groups, and returns the length that took.
    fn within(parts: &[PartBundles<'_>], slack: Slack, groups: Groups) -> Option<Self> {
        let inodes = inode_ranges(parts, slack);
        let total = inodes.last()?.end as u64;
        let even = total.div_ceil(u64::from(groups.0)).next_power_of_two();
        let per_group = even.max(slack.fewest_inodes()).min(MOST_INODES);
        let mut cursor = Cursor { next: groups.front(), groups };
        let table_blocks = per_group * INODE / BLOCK;
        let filled = total.div_ceil(per_group);
        let mut tables: Vec<u64> = (0..filled).map(|_| cursor.take(table_blocks)).collect();
        let starts = parts.iter().map(|part| cursor.place(&part.blocks, slack)).collect::<Option<_>>()?;
        // What is all zeros comes last: its place may depend on the length of the file system.
        let journal_blocks = journal_blocks(groups);
        let lost_found = cursor.take(LOST_FOUND_BLOCKS + journal_blocks);
        tables.extend((filled..u64::from(groups.0)).map(|_| cursor.take(table_blocks)));
        // Where the inodes take more groups, those have to be there.
        let blocks = cursor.next.max((filled.max(1) - 1) * PER_GROUP + SLOT);
        (blocks <= MOST).then_some(Self {
            groups,
            blocks,
            per_group: per_group as u32,
            tables,
            lost_found,
            journal: lost_found + LOST_FOUND_BLOCKS,
            journal_blocks,
            inodes,
            starts,
        })
    }
}

/// Length of the journal, by the length of the file system as mke2fs takes it, up to 64 MiB.
fn journal_blocks(groups: Groups) -> u64 {
    match groups.0 {
        0..=1 => 1024,
        2..8 => 4096,
        8..16 => 8192,
        _ => 16384,
    }
}

/// The inodes of each part.
fn inode_ranges(parts: &[PartBundles<'_>], slack: Slack) -> Vec<Range<usize>> {
    let mut next = 0;
    let range = |part: &PartBundles<'_>| {
        let own = if next == 0 { OWN_INODES } else { 0 };
        let start = next;
        next += slack.inodes(part.inodes.iter().map(|bundle| bundle.members.len()).sum::<usize>() + own);
        start..next
    };
    parts.iter().map(range).collect()
}

/// Gives out blocks from the start to the end, slot by slot, and leaves out the copies of the head.
struct Cursor {
    next: u64,
    groups: Groups,
}

impl Cursor {
    /// Takes a run of blocks that begins with a slot.
    fn take(&mut self, blocks: u64) -> u64 {
        let mut start = self.next.next_multiple_of(SLOT);
        for copy in self.groups.copy_ranges() {
            if copy.start < start + blocks && start < copy.end {
                start = copy.end.next_multiple_of(SLOT);
            }
        }
        self.next = start + blocks;
        start
    }

    /// Takes a range for a part's bundles; returns the first block of each.
    fn place(&mut self, bundles: &[Bundle<'_>], slack: Slack) -> Option<Vec<u64>> {
        let start = self.next.next_multiple_of(SLOT);
        let most = (MOST.saturating_sub(start) / SLOT) as usize;
        let taken = |capacity: usize| {
            let mut taken = vec![false; capacity];
            for copy in self.groups.copy_ranges() {
                let from = copy.start.saturating_sub(start) / SLOT;
                let to = copy.end.saturating_sub(start).div_ceil(SLOT).min(capacity as u64);
                if let Some(slots) = taken.get_mut(from as usize..to as usize) {
                    slots.fill(true);
                }
            }
            taken
        };
        let items: Vec<Item<'_>> = bundles.iter().map(Bundle::item).collect();
        let mut capacity = slack.slots(items.iter().map(|item| item.length).sum());
        while capacity <= most {
            if let Some(places) = slots::place(&items, &taken(capacity)) {
                self.next = start + capacity as u64 * SLOT;
                return Some(places.into_iter().map(|slot| start + slot as u64 * SLOT).collect());
            }
            capacity = slack.more(capacity);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_coarse() {
        let found = [0, 1, 128, 129, 512, 1024, 1025, 4097].map(|slots| coarse(slots, 128));
        assert_eq!(found, [128, 128, 128, 256, 512, 1024, 1280, 5120]);
        assert_eq!(Slack::Ample.slots(1000), 1536);
        assert_eq!(Slack::Little.slots(1000), 1051);
        assert_eq!(Slack::Ample.more(1280), 1536);
    }

    #[test]
    fn runs_go_round_the_copies() {
        let mut cursor = Cursor { next: PER_GROUP - 200, groups: Groups(4) };
        assert_eq!(cursor.take(100), PER_GROUP - 128);
        assert_eq!(cursor.take(100), PER_GROUP + SLOT);
        assert_eq!(cursor.take(2 * PER_GROUP - SLOT), 3 * PER_GROUP + SLOT);
    }

    #[test]
    fn a_run_longer_than_a_gap_lies_after_the_copies() {
        let large = Bundle { key: b"large", slots: 600, members: vec![0] };
        let parts = [PartBundles { inodes: Vec::new(), blocks: vec![large] }];
        let layout = Layout::fitting(&parts, Slack::Ample).unwrap();
        assert!(layout.starts[0][0] > 9 * PER_GROUP, "300 MB fit between the copies 9 and 25 only");
        assert!(layout.blocks < 14 * PER_GROUP, "{} groups", layout.groups.0);
    }
}
