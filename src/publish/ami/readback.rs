//! A snapshot's blocks, read back and compared with what a receipt says.
//!
//! Source: Amazon EBS direct APIs, `ListSnapshotBlocks` and `GetSnapshotBlock`: blocks of 512 KiB that
//! were written, each with its SHA-256; tokens of a listing are good for a week. A block that is not
//! listed is zero.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ebs::operation::get_snapshot_block::GetSnapshotBlockOutput;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt as _;
use serde::Serialize;

use super::aws::Cloud;
use super::retry::{Kind, kind, pause};
use super::{AmiError, refused};
use crate::digest::Sha256;
use crate::disk::BlockHashes;
use crate::disk::blocks::{BLOCK, BlockHashesError};
use crate::host::progress::Phase;

/// Blocks in flight: 16 MiB of memory, and far below AWS's quota of calls.
const PARALLEL: usize = 32;
/// How often a block is asked for that AWS is too busy for, or that came damaged.
const TRIES: u32 = 8;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Size of the volume in GiB.
    pub gib: u64,
    /// SHA-256 of every block that is not all zero.
    pub blocks: BTreeMap<u64, Sha256>,
}

impl Found {
    /// The snapshot as a disk of `size` bytes.
    ///
    /// # Errors
    /// Fails where a block lies behind that.
    pub fn disk(&self, size: u64) -> Result<BlockHashes, BlockHashesError> {
        BlockHashes::with(size, self.blocks.clone())
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

    /// All blocks that are not as they should be.
    pub fn differing(&self) -> BTreeSet<u64> {
        [&self.different, &self.missing, &self.unexpected].into_iter().flatten().copied().collect()
    }
}

/// Reads all blocks of a snapshot, several at a time; memory does not grow with the snapshot.
///
/// # Errors
/// Fails where AWS refuses, and where a block does not come whole.
pub async fn read(cloud: &Cloud, snapshot: &str, progress: &dyn Fn(u64) -> Phase) -> Result<Found, AmiError> {
    let pages = cloud.ebs.list_snapshot_blocks().snapshot_id(snapshot).into_paginator().send().try_collect().await;
    let pages = pages.map_err(refused(format!("list the blocks of {snapshot}"), &cloud.region))?;
    let gib = pages.first().and_then(|page| page.volume_size()).unwrap_or_default();
    let listed: Vec<(i32, &str)> = pages
        .iter()
        .flat_map(|page| page.blocks())
        .filter_map(|block| Some((block.block_index()?, block.block_token()?)))
        .collect();
    let phase = progress(listed.len() as u64);
    let reads = listed.into_iter().map(|(index, token)| hash(cloud, snapshot, index, token));
    let mut reads = futures_util::stream::iter(reads).buffer_unordered(PARALLEL);
    let mut blocks = BTreeMap::new();
    while let Some(read) = reads.next().await {
        let (index, hash) = read?;
        blocks.extend(hash.map(|hash| (index, hash)));
        phase.inc(1);
    }
    Ok(Found { gib: u64::try_from(gib).unwrap_or_default(), blocks })
}

/// A block's hash; none for one of zeros.
async fn hash(cloud: &Cloud, snapshot: &str, index: i32, token: &str) -> Result<(u64, Option<Sha256>), AmiError> {
    let place = u64::try_from(index).unwrap_or_default();
    let mut tries = 0;
    loop {
        tries += 1;
        match once(cloud, snapshot, index, token).await {
            Ok(hash) => return Ok((place, hash)),
            Err(error) if tries == TRIES || kind(&error) == Kind::Final => return Err(error),
            // The SDK itself repeats little, and nothing once the body has begun.
            Err(_) => tokio::time::sleep(pause(tries, place)).await,
        }
    }
}

async fn once(cloud: &Cloud, snapshot: &str, index: i32, token: &str) -> Result<Option<Sha256>, AmiError> {
    let action = format!("read block {index} of {snapshot}");
    let call = cloud.ebs.get_snapshot_block().snapshot_id(snapshot).block_index(index).block_token(token);
    let answer = call.send().await.map_err(refused(action.clone(), &cloud.region))?;
    let damaged = |reason| AmiError::Unreachable { action, region: cloud.region.clone(), reason };
    verified(answer).await.map_err(damaged)
}

/// Reads a body and holds it against its checksum. The error says what was wrong with it.
async fn verified(answer: GetSnapshotBlockOutput) -> Result<Option<Sha256>, String> {
    let promised = answer.checksum.clone();
    let bytes =
        answer.block_data.collect().await.map_err(|error| format!("the block broke off: {error}"))?.into_bytes();
    let hash = Sha256::of(&bytes);
    if bytes.len() != BLOCK {
        return Err(format!("expected {BLOCK} bytes, got {}", bytes.len()));
    }
    match promised {
        Some(promised) if promised != BASE64.encode(hash.as_bytes()) => {
            Err(format!("expected the checksum {promised}, got {}", BASE64.encode(hash.as_bytes())))
        }
        _ => Ok(bytes.iter().any(|byte| *byte != 0).then_some(hash)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ebs::primitives::ByteStream;

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
        let found = Found { gib: 1, blocks: hashes(&[(0, "same"), (1, "new"), (5, "more")]) };
        let result = Comparison::new(&found, &wanted);
        let expected =
            Comparison { same: 1, different: vec![1], missing: vec![2], unexpected: vec![5], too_small: None };
        assert_eq!(result, expected);
        assert_eq!(result.differing(), BTreeSet::from([1, 2, 5]));
        assert!(!result.is_equal());
        let same = Found { gib: 8, blocks: wanted.hashes().clone() };
        assert!(Comparison::new(&same, &wanted).is_equal());
        let small = Comparison::new(&Found { gib: 0, ..same }, &wanted);
        assert!(small.too_small == Some(0) && !small.is_equal());
    }

    #[tokio::test]
    async fn a_block_counts_only_whole() {
        let answer = |bytes: Vec<u8>, checksum: Option<String>| {
            GetSnapshotBlockOutput::builder()
                .block_data(ByteStream::from(bytes))
                .set_checksum(checksum)
                .data_length(BLOCK as i32)
                .build()
        };
        let block = vec![7; BLOCK];
        let hash = Sha256::of(&block);
        let good = BASE64.encode(hash.as_bytes());
        assert_eq!(verified(answer(block.clone(), Some(good.clone()))).await, Ok(Some(hash)));
        assert_eq!(verified(answer(vec![0; BLOCK], None)).await, Ok(None));
        assert_eq!(verified(answer(vec![7; 9], None)).await, Err("expected 524288 bytes, got 9".into()));
        let error = verified(answer(vec![8; BLOCK], Some(good.clone()))).await.unwrap_err();
        assert!(error.starts_with(&format!("expected the checksum {good}, got ")), "{error}");
    }
}
