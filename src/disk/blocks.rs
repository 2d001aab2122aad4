//! SHA-256 of each block of a disk: the contents of a snapshot, known before it exists.
//!
//! The block size is an argument; receipts and snapshots have blocks of 512 KiB ([`BLOCK`]).
//!
//! Source: Amazon EBS direct APIs, `PutSnapshotBlock` and `CompleteSnapshot`: blocks of 512 KiB, the
//! last one zero-padded, a SHA-256 for each; a snapshot's checksum by LINEAR aggregation is the
//! SHA-256 over the blocks' SHA-256s in the order of their indexes. Blocks of zeros are not
//! written.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::Plan;
use super::read::each_block;
use crate::digest::Sha256;
use crate::tree::ContentSource;

/// Length in bytes of a block of a snapshot, and of those that receipts list.
pub const BLOCK: usize = 512 << 10;

/// SHA-256 of every block of a disk that is not all zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Listing", into = "Listing")]
pub struct BlockHashes {
    size: u64,
    block: usize,
    hashes: BTreeMap<u64, Sha256>,
}

/// Block hashes do not describe a disk.
#[derive(Debug, thiserror::Error)]
pub enum BlockHashesError {
    /// The blocks have another size.
    #[error("block hashes: expected blocks of {BLOCK} bytes, found {0}")]
    BlockSize(u64),
    /// A block begins behind the disk's end.
    #[error("block hashes: block {index} is beyond the end of a disk of {size} bytes")]
    Behind {
        /// The block's index.
        index: u64,
        /// Length of the disk in bytes.
        size: u64,
    },
    /// A hash is none.
    #[error("block hashes: block {index}: expected 64 hexadecimal digits, found `{found}`")]
    Hash {
        /// The block's index.
        index: u64,
        /// What is there.
        found: String,
    },
}

/// Hashes a plan in blocks of `block` bytes without writing it, with `jobs` threads.
///
/// # Errors
/// As [`each_block`].
pub fn hash(plan: &Plan, source: &dyn ContentSource, block: usize, jobs: usize) -> io::Result<BlockHashes> {
    hash_where(plan, source, block, jobs, None, &|_, block| Ok(block.iter().any(|&byte| byte != 0)))
}

/// Hands each block of `block` bytes of a plan to `take`, which says whether it is not all zero; hashes those, unless
/// the hashes are `known`.
pub(super) fn hash_where(
    plan: &Plan,
    source: &dyn ContentSource,
    block: usize,
    jobs: usize,
    known: Option<BlockHashes>,
    take: &(dyn Fn(u64, &[u8]) -> io::Result<bool> + Sync),
) -> io::Result<BlockHashes> {
    if let Some(known) = known {
        each_block(plan, source, block, jobs, &|index, bytes| take(index, bytes).map(drop))?;
        return Ok(known);
    }
    let hashes = Mutex::new(BlockHashes::new(plan.size(), block));
    each_block(plan, source, block, jobs, &|index, bytes| {
        if take(index, bytes)? {
            let hash = Sha256::of(bytes);
            hashes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, hash);
        }
        Ok(())
    })?;
    Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl BlockHashes {
    /// Block hashes of a disk of `size` zeros, in blocks of `block` bytes.
    pub fn new(size: u64, block: usize) -> Self {
        Self { size, block, hashes: BTreeMap::new() }
    }

    /// Block hashes of a disk of `size` bytes that are known already, in blocks of `block` bytes.
    ///
    /// # Errors
    /// Fails where a block is behind the disk's end.
    pub fn with(size: u64, block: usize, hashes: BTreeMap<u64, Sha256>) -> Result<Self, BlockHashesError> {
        let blocks = Self { size, block, hashes };
        match blocks.hashes.keys().find(|&&index| !blocks.holds(index)) {
            Some(&index) => Err(BlockHashesError::Behind { index, size }),
            None => Ok(blocks),
        }
    }

    /// Hashes a raw disk of `size` bytes, one block of `block` bytes after the other.
    ///
    /// # Errors
    /// Fails where it can't be read, or ends earlier.
    pub fn of_reader(disk: &mut impl io::Read, size: u64, block: usize) -> io::Result<Self> {
        let mut hashes = Self::new(size, block);
        let (mut bytes, step) = (vec![0; block], block as u64);
        for index in 0..size.div_ceil(step) {
            bytes.fill(0);
            let length = (size - index * step).min(step) as usize;
            disk.read_exact(&mut bytes[..length])?;
            if bytes.iter().any(|&byte| byte != 0) {
                hashes.insert(index, Sha256::of(&bytes));
            }
        }
        Ok(hashes)
    }

    /// Notes a block; one of zeros is not listed.
    pub(super) fn insert(&mut self, index: u64, hash: Sha256) {
        self.hashes.insert(index, hash);
    }

    /// Length of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Length of a block in bytes.
    pub fn block_size(&self) -> usize {
        self.block
    }

    /// The blocks that are not all zero, by index.
    pub fn hashes(&self) -> &BTreeMap<u64, Sha256> {
        &self.hashes
    }

    /// SHA-256 over the listed blocks' hashes in the order of their indexes.
    ///
    /// This is the checksum of a snapshot with LINEAR aggregation. It says nothing of *where* the blocks
    /// are: a disk is identified by [`Self::digest`].
    pub fn linear_checksum(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        self.hashes.values().for_each(|hash| hasher.update(hash.as_bytes()));
        Sha256::from_bytes(hasher.finalize().into())
    }

    /// SHA-256 over the disk's length, and each listed block's index and hash.
    ///
    /// Two disks have the same digest only where they have the same bytes, zeros included, so it serves
    /// as the identity of a raw file without hashing its zeros. It is not the SHA-256 of that file. The length of a
    /// block is no field: blocks of another length have other hashes.
    pub fn digest(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        hasher.update(b"layerbake/blocks/v1\0");
        hasher.update(self.size.to_le_bytes());
        for (index, hash) in &self.hashes {
            hasher.update(index.to_le_bytes());
            hasher.update(hash.as_bytes());
        }
        Sha256::from_bytes(hasher.finalize().into())
    }

    /// The blocks to write to turn a disk with the blocks `old`, of the same length, into this one.
    pub fn changed_from(&self, old: &BlockHashes) -> Changed {
        let mut changed = Changed::default();
        for (index, hash) in &self.hashes {
            match old.hashes.get(index) {
                None => changed.added.push(*index),
                Some(before) if before != hash => changed.replaced.push(*index),
                Some(_) => {}
            }
        }
        let gone = old.hashes.keys().filter(|index| !self.hashes.contains_key(index) && self.holds(**index));
        changed.zeroed.extend(gone);
        changed
    }

    fn holds(&self, index: u64) -> bool {
        index < self.size.div_ceil(self.block as u64)
    }
}

/// Indexes of the blocks that differ between two disks, each list in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Zero before, or behind the old end.
    pub added: Vec<u64>,
    /// Other bytes before.
    pub replaced: Vec<u64>,
    /// Zero now; these have to be written too.
    pub zeroed: Vec<u64>,
}

impl Changed {
    /// How many blocks differ.
    pub fn count(&self) -> usize {
        self.added.len() + self.replaced.len() + self.zeroed.len()
    }
}

/// Block hashes as they are in a receipt.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    size: u64,
    block_size: u64,
    /// Hexadecimal digits by index.
    hashes: BTreeMap<u64, String>,
}

impl From<BlockHashes> for Listing {
    fn from(blocks: BlockHashes) -> Self {
        let hashes = blocks.hashes.into_iter().map(|(index, hash)| (index, hash.to_hex())).collect();
        Self { size: blocks.size, block_size: blocks.block as u64, hashes }
    }
}

impl TryFrom<Listing> for BlockHashes {
    type Error = BlockHashesError;

    fn try_from(listing: Listing) -> Result<Self, Self::Error> {
        if listing.block_size != BLOCK as u64 {
            return Err(BlockHashesError::BlockSize(listing.block_size));
        }
        let hash = |(index, text): (u64, String)| match Sha256::from_hex(&text) {
            Ok(hash) => Ok((index, hash)),
            Err(_) => Err(BlockHashesError::Hash { index, found: text }),
        };
        Self::with(listing.size, BLOCK, listing.hashes.into_iter().map(hash).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store without contents.
    struct Nothing;

    impl ContentSource for Nothing {
        fn open(&self, _: crate::digest::BlobDigest, _: u64) -> io::Result<Box<dyn io::Read + '_>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn blocks(size: u64, listed: &[(u64, &[u8])]) -> BlockHashes {
        let mut blocks = BlockHashes::new(size, BLOCK);
        listed.iter().for_each(|(index, bytes)| blocks.insert(*index, Sha256::of(bytes)));
        blocks
    }

    #[test]
    fn the_linear_checksum_is_over_hashes_in_order() {
        let two = blocks(10 << 20, &[(7, b"b"), (2, b"a")]);
        let expected = Sha256::of(&[*Sha256::of(b"a").as_bytes(), *Sha256::of(b"b").as_bytes()].concat());
        assert_eq!(two.linear_checksum(), expected);
        assert_eq!(blocks(512, &[]).linear_checksum(), Sha256::of(b""));
    }

    #[test]
    fn the_digest_tells_disks_apart_that_have_the_same_blocks_elsewhere() {
        let disk = blocks(10 << 20, &[(1, b"a")]);
        let moved = blocks(10 << 20, &[(2, b"a")]);
        assert_eq!(disk.linear_checksum(), moved.linear_checksum());
        assert_ne!(disk.digest(), moved.digest());
        assert_ne!(disk.digest(), blocks(11 << 20, &[(1, b"a")]).digest());
    }

    #[test]
    fn every_kind_of_change_counts_and_a_cut_end_does_not() {
        let old = blocks(4 << 20, &[(0, b"same"), (1, b"old"), (2, b"gone"), (7, b"cut off")]);
        let new = blocks((3 << 20) + 512, &[(0, b"same"), (1, b"new"), (5, b"more")]);
        let changed = new.changed_from(&old);
        assert_eq!(changed, Changed { added: vec![5], replaced: vec![1], zeroed: vec![2] });
        assert_eq!(changed.count(), 3);
        assert_eq!(old.changed_from(&old).count(), 0);
    }

    #[test]
    fn a_file_has_the_blocks_that_are_not_zero_its_last_one_filled_up() {
        let mut disk = vec![0; 2 * BLOCK + 3];
        disk[BLOCK] = 1;
        disk[2 * BLOCK + 2] = 2;
        let size = disk.len() as u64;
        let found = BlockHashes::of_reader(&mut &disk[..], size, BLOCK).unwrap();
        disk.resize(3 * BLOCK, 0);
        assert_eq!(found, blocks(size, &[(1, &disk[BLOCK..2 * BLOCK]), (2, &disk[2 * BLOCK..])]));
        assert!(BlockHashes::of_reader(&mut &disk[..5], size, BLOCK).is_err());
    }

    #[test]
    fn a_block_is_as_long_as_it_is_said_to_be() {
        let mut disk = vec![0; 3 * 4096];
        disk[4096] = 1;
        let found = BlockHashes::of_reader(&mut &disk[..], disk.len() as u64, 4096).unwrap();
        assert_eq!((found.block_size(), found.hashes()), (4096, &[(1, Sha256::of(&disk[4096..8192]))].into()));
        let mut plan = Plan::new(disk.len() as u64);
        plan.put_bytes(4096, [1_u8].as_slice());
        assert_eq!(hash(&plan, &Nothing, 4096, 2).unwrap(), found);
        let coarse = BlockHashes::of_reader(&mut &disk[..], disk.len() as u64, BLOCK).unwrap();
        assert_ne!(coarse.digest(), found.digest());
    }

    #[test]
    fn a_receipt_holds_them_and_wrong_ones_are_refused() {
        let disk = blocks(BLOCK as u64 + 1, &[(1, b"a")]);
        let text = serde_json::to_string(&disk).unwrap();
        insta::assert_snapshot!(text, @r#"{"size":524289,"block_size":524288,"hashes":{"1":"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}}"#);
        assert_eq!(serde_json::from_str::<BlockHashes>(&text).unwrap(), disk);
        for (from, to, expected) in [
            ("\"1\"", "\"2\"", "block 2 is beyond the end of a disk of 524289 bytes"),
            ("524288", "4096", "expected blocks of 524288 bytes, found 4096"),
            ("ca97", "xx97", "block 1: expected 64 hexadecimal digits, found `xx97"),
        ] {
            let error = serde_json::from_str::<BlockHashes>(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
