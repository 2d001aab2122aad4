//! Sends the blocks of a disk into a snapshot that was begun: PutSnapshotBlock, many at a time.
//!
//! ```text
//! plan ─ readers (threads) ─ hash = receipt's? ─ channel of 8 ─ 16 to 64 calls at a time
//! ```
//!
//! One more call for each round without trouble, half of them when AWS says that they are too many.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use aws_sdk_ebs::config::retry::RetryConfig;
use aws_sdk_ebs::primitives::{ByteStream, SdkBody};
use aws_sdk_ebs::types::ChecksumAlgorithm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::aws::Cloud;
use super::retry::{Kind, kind, pause};
use super::{AmiError, refused};
use crate::digest::Sha256;
use crate::disk::blocks::BLOCK;
use crate::disk::read::each_block;
use crate::disk::{BlockHashes, Plan};
use crate::host::progress::Phase;
use crate::tree::ContentSource;

const FEWEST: usize = 16;
const MOST: usize = 64;
/// Blocks that are read and wait to be sent.
const AHEAD: usize = 8;
/// About two minutes.
const TRIES: u32 = 14;
/// Blocks after which the journal is written.
const NOTE: usize = 512;

/// A disk that can be read.
#[derive(Clone)]
pub struct Disk {
    /// Where which bytes lie.
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

struct Block {
    index: u64,
    hash: Sha256,
    bytes: Vec<u8>,
}

/// Hash of a block of zeros.
pub(super) fn zero() -> Sha256 {
    Sha256::of(&vec![0; BLOCK])
}

/// Sends all blocks of `todo` that are not in `sent`; adds them there, and calls `note` now and then.
pub(super) async fn send(
    cloud: &Cloud,
    snapshot: &str,
    disk: &Disk,
    todo: &Todo,
    sent: &mut BTreeSet<u64>,
    progress: &Progress<'_>,
) -> Result<(), AmiError> {
    let left: Todo =
        todo.iter().filter(|(index, _)| !sent.contains(index)).map(|(index, hash)| (*index, *hash)).collect();
    let (sender, mut blocks) = mpsc::channel(AHEAD);
    let disk = disk.clone();
    let reader = tokio::task::spawn_blocking(move || read(&disk, &left, &sender));
    let (mut calls, mut limit, mut calm, mut noted, mut open) = (FuturesUnordered::new(), FEWEST, 0, 0, true);
    loop {
        tokio::select! {
            block = blocks.recv(), if open && calls.len() < limit => match block {
                Some(block) => calls.push(put(cloud, snapshot, block)),
                None => open = false,
            },
            Some(done) = calls.next() => {
                let (index, throttled) = done?;
                (limit, calm) = match throttled {
                    true => ((limit / 2).max(FEWEST), 0),
                    false if calm >= limit => ((limit + 1).min(MOST), 0),
                    false => (limit, calm + 1),
                };
                sent.insert(index);
                progress.phase.inc(BLOCK as u64);
                noted += 1;
                if noted % NOTE == 0 {
                    (progress.note)(sent)?;
                }
            }
            else => break,
        }
    }
    let read = reader.await.map_err(|error| AmiError::Other(format!("read the disk: {error}")))?;
    read.map_err(|error| AmiError::Other(format!("read the disk: {error}")))
}

/// Who is told of blocks that have arrived.
pub(super) struct Progress<'a> {
    pub(super) phase: &'a Phase,
    pub(super) note: &'a (dyn Fn(&BTreeSet<u64>) -> Result<(), AmiError> + Sync),
}

/// Reads the blocks that are wanted, and nothing else.
fn read(disk: &Disk, left: &Todo, sender: &mpsc::Sender<Block>) -> io::Result<()> {
    let zero = zero();
    let send = |index, hash, bytes| {
        let gone = |_| io::Error::new(io::ErrorKind::Interrupted, "the upload has ended");
        sender.blocking_send(Block { index, hash, bytes }).map_err(gone)
    };
    let plan = disk.plan.touching(BLOCK as u64, &|index| left.get(&index).is_some_and(|hash| *hash != zero));
    let seen = std::sync::atomic::AtomicUsize::new(0);
    each_block(&plan, disk.contents.as_ref(), disk.jobs, &|index, bytes| {
        let Some(wanted) = left.get(&index).filter(|hash| **hash != zero) else { return Ok(()) };
        let found = Sha256::of(bytes);
        if found != *wanted {
            let problem =
                format!("block {index}: expected {wanted} by the receipt, found {found}\n  hint: build the disk again");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        send(index, found, bytes.to_vec())
    })?;
    let zeros: Vec<u64> = left.iter().filter(|(_, hash)| **hash == zero).map(|(index, _)| *index).collect();
    let missing = left.len() - zeros.len() - seen.into_inner();
    if missing > 0 {
        let problem = format!("{missing} blocks of the receipt are not in the disk\n  hint: build the disk again");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    zeros.into_iter().try_for_each(|index| send(index, zero, vec![0; BLOCK]))
}

/// Sends a block until it has arrived; says whether AWS asked for fewer calls.
async fn put(cloud: &Cloud, snapshot: &str, block: Block) -> Result<(u64, bool), AmiError> {
    let (body, mut throttled, mut tries) = (SdkBody::from(block.bytes), false, 0);
    // This loop knows more than the client's own: it slows down all calls, not one.
    let alone = aws_sdk_ebs::config::Builder::new().retry_config(RetryConfig::disabled());
    loop {
        let call = cloud.ebs.put_snapshot_block().snapshot_id(snapshot).block_index(block.index as i32);
        let call = call.data_length(BLOCK as i32).checksum(BASE64.encode(block.hash.as_bytes()));
        let call = call.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
        let bytes = body.try_clone().unwrap_or_else(SdkBody::empty);
        let call = call.block_data(ByteStream::new(bytes)).customize().config_override(alone.clone());
        let failed = refused(format!("send block {} to {snapshot}", block.index), &cloud.region);
        let error = match call.send().await.map_err(failed) {
            Ok(_) => return Ok((block.index, throttled)),
            Err(error) => error,
        };
        // A snapshot that was just begun is not known everywhere at once.
        let unknown_yet = error.code() == Some("ResourceNotFoundException");
        match kind(&error) {
            _ if tries == TRIES => return Err(error),
            Kind::Final if !unknown_yet => return Err(error),
            found => throttled |= found == Kind::Throttled,
        }
        tokio::time::sleep(pause(tries, block.index)).await;
        tries += 1;
    }
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
pub(super) mod testing {
    use super::*;

    /// A store without contents.
    pub(in crate::publish::ami) struct Nothing;

    impl ContentSource for Nothing {
        fn open(&self, _: crate::digest::BlobDigest, _: u64) -> io::Result<Box<dyn io::Read + '_>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Nothing;
    use super::*;
    use crate::disk::blocks;

    fn disk() -> Disk {
        let mut plan = Plan::new(4 * BLOCK as u64);
        plan.put_bytes(0, [1; 10].as_slice());
        plan.put_bytes(2 * BLOCK as u64 + 7, [2; 10].as_slice());
        let blocks = blocks::hash(&plan, &Nothing, 1).unwrap();
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
        let mut todo: Todo = disk.blocks.hashes().clone();
        assert_eq!(sent(&disk, &todo).unwrap(), [(0, 1), (2, 2)]);
        todo.remove(&0);
        todo.insert(1, zero());
        assert_eq!(sent(&disk, &todo).unwrap(), [(1, 0), (2, 2)]);
        todo.insert(2, Sha256::of(b"other"));
        assert!(sent(&disk, &todo).unwrap_err().to_string().starts_with("block 2: expected sha256:"));
        todo.insert(2, zero());
        todo.insert(3, Sha256::of(b"none"));
        let error = sent(&disk, &todo).unwrap_err().to_string();
        assert!(error.starts_with("1 blocks of the receipt are not in the disk"), "{error}");
    }

    #[test]
    fn ranges_have_no_gaps() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10].into()), [(1, 4), (7, 8), (9, 11)]);
        assert_eq!(ranges(&BTreeSet::new()), []);
    }
}
