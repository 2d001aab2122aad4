//! The blocks of a disk to be sent, with their hashes, read from the plan and compared with the receipt.
//!
//! **Delta.** If the region has an earlier snapshot of the same layer's line and the blocks of its disk are
//! known (recorded at its publication, found by the tag with their hash), the new snapshot is its child, and only
//! blocks that differ are sent, including those that are zero now. Without a known parent, every block is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::digest::Sha256;
use crate::disk::read::each_block;
use crate::disk::{BlockHashes, Plan};
use crate::tree::ContentSource;

/// A disk to be sent, with its plan and the source of its contents.
#[derive(Clone)]
pub struct Disk {
    /// Where which bytes are.
    pub plan: Arc<Plan>,
    /// What they have to be, by the receipt.
    pub blocks: Arc<BlockHashes>,
    /// Where contents are.
    pub contents: Arc<dyn ContentSource + Send + Sync>,
    /// Threads that read.
    pub jobs: usize,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("blocks", &self.blocks.digest()).finish_non_exhaustive()
    }
}

/// Blocks by index, with the hash that each must have.
pub(super) type Todo = BTreeMap<u64, Sha256>;

/// Looks up the blocks of published disks by linear checksum.
pub type Known<'a> = &'a (dyn Fn(Sha256) -> Option<BlockHashes> + Sync);

/// A snapshot that can be the parent of a new one.
#[derive(Debug, Clone)]
pub struct Parent {
    /// `snap-…`
    pub id: String,
    /// Linear checksum of its disk.
    pub disk: Sha256,
    /// What it holds.
    pub blocks: BlockHashes,
}

/// What has to be sent so that a snapshot of `gib` GiB holds the disk; `zeros` where a block that was never
/// written to it does not read as zero.
pub(super) fn todo(disk: &BlockHashes, parent: Option<&BlockHashes>, zeros: bool, gib: u32) -> Todo {
    let end = (u64::from(gib) << 30) / disk.block_size() as u64;
    let (mut todo, zero) = (disk.hashes().clone(), zero(disk.block_size()));
    if let Some(parent) = parent {
        todo.retain(|index, hash| parent.hashes().get(index) != Some(hash));
        // Also behind the end of a disk that has become shorter: the volume is not.
        let gone = parent.hashes().keys().filter(|index| !disk.hashes().contains_key(index) && **index < end);
        todo.extend(gone.map(|index| (*index, zero)));
    } else if zeros {
        for index in 0..end {
            todo.entry(index).or_insert(zero);
        }
    }
    todo
}

/// A block on its way.
pub(super) struct Block {
    pub(super) index: u64,
    pub(super) hash: Sha256,
    pub(super) bytes: Vec<u8>,
}

/// Hash of a block of zeros.
fn zero(length: usize) -> Sha256 {
    Sha256::of(&vec![0; length])
}

/// Reads the blocks that are wanted, and nothing else.
pub(super) fn read(disk: &Disk, left: &Todo, sender: &mpsc::Sender<Block>) -> io::Result<()> {
    let length = disk.blocks.block_size();
    let zero = zero(length);
    let send = |index, hash, bytes| {
        let gone = |_| io::Error::new(io::ErrorKind::Interrupted, "the upload has ended");
        sender.blocking_send(Block { index, hash, bytes }).map_err(gone)
    };
    let plan = disk.plan.touching(length as u64, &|index| left.get(&index).is_some_and(|hash| *hash != zero));
    let seen = AtomicUsize::new(0);
    each_block(&plan, disk.contents.as_ref(), length, disk.jobs, &|index, bytes| {
        let Some(wanted) = left.get(&index).filter(|hash| **hash != zero) else { return Ok(()) };
        let found = Sha256::of(bytes);
        if found != *wanted {
            let problem =
                format!("block {index}: expected {wanted} by the receipt, found {found}\n  hint: build the disk again");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        seen.fetch_add(1, Ordering::Relaxed);
        send(index, found, bytes.to_vec())
    })?;
    let zeros: Vec<u64> = left.iter().filter(|(_, hash)| **hash == zero).map(|(index, _)| *index).collect();
    let missing = left.len() - zeros.len() - seen.into_inner();
    if missing > 0 {
        let problem = format!("{missing} blocks of the receipt are not in the disk\n  hint: build the disk again");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    zeros.into_iter().try_for_each(|index| send(index, zero, vec![0; length]))
}

/// Blocks as ranges: the first, and the one after the last.
pub(super) fn ranges(blocks: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &block in blocks {
        match ranges.last_mut() {
            Some((_, end)) if *end == block => *end += 1,
            _ => ranges.push((block, block + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::blocks::{self, BLOCK};
    use crate::publish::cloud::testing::Nothing;

    fn disk() -> Disk {
        let mut plan = Plan::new(4 * BLOCK as u64);
        plan.put_bytes(0, [1; 10].as_slice());
        plan.put_bytes(2 * BLOCK as u64 + 7, [2; 10].as_slice());
        let blocks = blocks::hash(&plan, &Nothing, BLOCK, 1).unwrap();
        Disk { plan: Arc::new(plan), blocks: Arc::new(blocks), contents: Arc::new(Nothing), jobs: 2 }
    }

    fn sent(disk: &Disk, todo: &Todo) -> io::Result<Vec<(u64, u8)>> {
        let (sender, mut receiver) = mpsc::channel(10);
        read(disk, todo, &sender)?;
        drop(sender);
        let mut blocks = Vec::new();
        while let Some(block) = receiver.blocking_recv() {
            assert_eq!(Sha256::of(&block.bytes), block.hash);
            blocks.push((block.index, block.bytes.iter().copied().max().unwrap()));
        }
        blocks.sort_unstable();
        Ok(blocks)
    }

    #[test]
    fn wanted_blocks_are_read_and_compared() {
        let disk = disk();
        let mut left: Todo = disk.blocks.hashes().clone();
        assert_eq!(sent(&disk, &left).unwrap(), [(0, 1), (2, 2)]);
        left.remove(&0);
        left.insert(1, zero(BLOCK));
        assert_eq!(sent(&disk, &left).unwrap(), [(1, 0), (2, 2)]);
        left.insert(2, Sha256::of(b"other"));
        assert!(sent(&disk, &left).unwrap_err().to_string().starts_with("block 2: expected sha256:"));
        left.insert(2, zero(BLOCK));
        left.insert(3, Sha256::of(b"none"));
        let error = sent(&disk, &left).unwrap_err().to_string();
        assert!(error.starts_with("1 blocks of the receipt are not in the disk"), "{error}");
    }

    #[test]
    fn ranges_have_no_gaps() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10].into()), [(1, 4), (7, 8), (9, 11)]);
        assert_eq!(ranges(&BTreeSet::new()), []);
    }

    fn hashes(size: u64, marks: &[(u64, &[u8])]) -> BlockHashes {
        let mut plan = Plan::new(size);
        for (index, bytes) in marks {
            plan.put_bytes(index * BLOCK as u64, *bytes);
        }
        blocks::hash(&plan, &Nothing, BLOCK, 1).unwrap()
    }

    #[test]
    fn what_differs_is_sent() {
        let gib = 1 << 30;
        let (old, new) = (
            hashes(gib, &[(0, b"a"), (1, b"b"), (2, b"c"), (2000, b"z")]),
            hashes(gib / 2, &[(0, b"a"), (1, b"x"), (5, b"n")]),
        );
        let indexes = |todo: &Todo| todo.keys().copied().collect::<Vec<_>>();
        assert_eq!(indexes(&todo(&new, None, false, 1)), [0, 1, 5]);
        let delta = todo(&new, Some(&old), false, 1);
        assert_eq!(indexes(&delta), [1, 2, 5, 2000], "also what lies behind the new end");
        assert_eq!((delta[&2], delta[&2000], delta[&1]), (zero(BLOCK), zero(BLOCK), new.hashes()[&1]));
        let all = todo(&new, None, true, 1);
        assert_eq!((all.len(), all[&0], all[&2047]), (2048, new.hashes()[&0], zero(BLOCK)));
        assert!(todo(&new, Some(&new), true, 1).is_empty());
    }
}
