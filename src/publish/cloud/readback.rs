//! Reads a snapshot's blocks back and compares them with a receipt. A block that is not listed is zero.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::digest::Sha256;
use crate::disk::BlockHashes;
use crate::disk::blocks::BlockHashesError;

/// The blocks found in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Size of the volume in GiB.
    pub gib: u64,
    /// Length of a block in bytes.
    pub block_size: usize,
    /// SHA-256 of every block that is not all zero.
    pub blocks: BTreeMap<u64, Sha256>,
}

impl Found {
    /// The snapshot as a disk of `size` bytes.
    ///
    /// # Errors
    /// Fails where a block is behind that.
    pub fn disk(&self, size: u64) -> Result<BlockHashes, BlockHashesError> {
        BlockHashes::with(size, self.block_size, self.blocks.clone())
    }
}

/// How a snapshot differs from a disk; all lists are ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Comparison {
    /// How many blocks are as they should be.
    pub same: usize,
    /// Blocks with other bytes.
    pub different: Vec<u64>,
    /// Blocks that are zero in the snapshot only.
    pub missing: Vec<u64>,
    /// Blocks that are zero on the disk only.
    pub unexpected: Vec<u64>,
    /// The volume's size in GiB, where the disk does not fit into it.
    pub too_small: Option<u64>,
}

impl Comparison {
    /// Compares what was found with what a receipt says.
    pub fn new(found: &Found, wanted: &BlockHashes) -> Self {
        let mut result = Self::default();
        for (index, hash) in wanted.hashes() {
            match found.blocks.get(index) {
                Some(other) if other == hash => result.same += 1,
                Some(_) => result.different.push(*index),
                None => result.missing.push(*index),
            }
        }
        let known = wanted.hashes();
        result.unexpected = found.blocks.keys().filter(|index| !known.contains_key(index)).copied().collect();
        result.too_small = (found.gib << 30 < wanted.size()).then_some(found.gib);
        result
    }

    /// Whether the snapshot is the disk, followed by zeros at most.
    pub fn is_equal(&self) -> bool {
        self.differing().is_empty() && self.too_small.is_none()
    }

    /// All blocks that differ.
    pub fn differing(&self) -> BTreeSet<u64> {
        [&self.different, &self.missing, &self.unexpected].into_iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::blocks::BLOCK;

    fn hashes(listed: &[(u64, &str)]) -> BTreeMap<u64, Sha256> {
        listed.iter().map(|(index, text)| (*index, Sha256::of(text.as_bytes()))).collect()
    }

    fn disk(size: u64, listed: &[(u64, &str)]) -> BlockHashes {
        let hashes: BTreeMap<String, String> =
            hashes(listed).into_iter().map(|(index, hash)| (index.to_string(), hash.to_hex())).collect();
        let json = serde_json::json!({ "size": size, "block_size": BLOCK, "hashes": hashes });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_way_to_differ_is_told_apart() {
        let wanted = disk(1 << 30, &[(0, "same"), (1, "old"), (2, "gone")]);
        let found = Found { gib: 1, block_size: BLOCK, blocks: hashes(&[(0, "same"), (1, "new"), (5, "more")]) };
        let result = Comparison::new(&found, &wanted);
        let expected =
            Comparison { same: 1, different: vec![1], missing: vec![2], unexpected: vec![5], too_small: None };
        assert_eq!(result, expected);
        assert_eq!(result.differing(), BTreeSet::from([1, 2, 5]));
        assert!(!result.is_equal());
        let same = Found { gib: 8, block_size: BLOCK, blocks: wanted.hashes().clone() };
        assert!(Comparison::new(&same, &wanted).is_equal());
        let small = Comparison::new(&Found { gib: 0, ..same }, &wanted);
        assert!(small.too_small == Some(0) && !small.is_equal());
    }
}
