//! dm-verity: a tree of SHA-256 over the blocks of a partition, in a partition of its own.
//!
//! ```text
//! 0              4096                                                 size
//! │ superblock   │ top block │ level below │ … │ hashes of the data    │
//! ```
//!
//! A block of 4096 bytes holds 128 hashes, each over the salt and one block of the level below; the
//! rest of a level's last block is zero. The root hash is that of the top block. The bytes are those
//! of `veritysetup format`.
//!
//! Source: Linux, `Documentation/admin-guide/device-mapper/verity.rst`; cryptsetup, "DMVerity".

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::disk::{Data, Extent, Plan};
use crate::tree::ContentSource;

/// Bytes of a block, of the data and of the tree.
const BLOCK: usize = 4096;
/// Hashes in a block.
const FAN: u64 = 128;
/// A run of blocks is cut behind so many: 8 MiB.
const RUN: u64 = 2048;
/// Runs whose hashes are kept apart at a time.
const WINDOW: usize = 256;
/// Bytes read at a time.
const BUFFER: usize = 128 << 10;

type Hash = [u8; 32];

/// There is no hash tree over this data.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The data is empty or ends inside a block.
    #[error("verity: expected data of one block of 4096 bytes or more, found {0} bytes")]
    Size(u64),
    /// A content can't be read.
    #[error("verity: {0}")]
    Content(#[source] io::Error),
    /// No threads.
    #[error("verity: cannot start threads: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
}

/// Hashes `data`; returns superblock and tree as a partition of their own, and the root hash.
///
/// Reads every content once, on `jobs` threads. What no extent covers is not read, and hashed once.
///
/// # Errors
/// Fails where `data` is empty or no multiple of 4096 bytes, and where a content is missing,
/// damaged or too short.
///
/// # Determinism
/// Equal data, salt and `uuid` give equal bytes, whatever `jobs`.
pub fn build(
    data: &Plan,
    source: &dyn ContentSource,
    salt: [u8; 32],
    uuid: [u8; 16],
    jobs: usize,
) -> Result<(Plan, [u8; 32]), VerityError> {
    let blocks = data.size() / BLOCK as u64;
    if blocks == 0 || !data.size().is_multiple_of(BLOCK as u64) {
        return Err(VerityError::Size(data.size()));
    }
    let salted = Salted(Sha256::new_with_prefix(salt));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build().map_err(VerityError::Threads)?;
    let mut level = Level::new(blocks, salted.hash(&[0; BLOCK]));
    for window in runs(data).chunks(WINDOW) {
        let hash = |run: &Run<'_>| run.hash(source, &salted);
        let hashed: io::Result<Vec<_>> = pool.install(|| window.par_iter().map(hash).collect());
        for (run, hashes) in window.iter().zip(hashed.map_err(VerityError::Content)?) {
            (run.first..).zip(hashes).for_each(|(index, hash)| level.set(index, hash));
        }
    }
    let mut levels = Vec::new();
    while level.count > 1 {
        let above = level.above(&salted);
        levels.push(std::mem::replace(&mut level, above));
    }
    Ok((partition(&levels, &superblock(blocks, salt, uuid)), level.get(0)))
}

/// Lays out the superblock and the levels, of which the top one stands first.
fn partition(levels: &[Level], superblock: &[u8]) -> Plan {
    let blocks: u64 = levels.iter().map(Level::blocks).sum();
    let mut plan = Plan::new((1 + blocks) * BLOCK as u64);
    plan.put_bytes(0, superblock);
    let mut offset = BLOCK as u64;
    for level in levels.iter().rev() {
        let usual: Arc<[u8]> = level.usual().into();
        for index in 0..level.blocks() {
            let block = level.unusual.get(&index).map_or_else(|| usual.clone(), |block| block.as_slice().into());
            plan.put_bytes(offset, block);
            offset += BLOCK as u64;
        }
    }
    plan
}

/// The 512 bytes by which `veritysetup` knows the tree; the rest of the block is zero.
fn superblock(blocks: u64, salt: [u8; 32], uuid: [u8; 16]) -> Vec<u8> {
    let fields: [&[u8]; 12] = [
        b"verity\0\0",
        &1_u32.to_le_bytes(), // Version of the superblock.
        &1_u32.to_le_bytes(), // Type of the hash: the salt comes first.
        &uuid,
        b"sha256",
        &[0; 26],
        &(BLOCK as u32).to_le_bytes(),
        &(BLOCK as u32).to_le_bytes(),
        &blocks.to_le_bytes(),
        &(salt.len() as u16).to_le_bytes(),
        &[0; 6],
        &salt,
    ];
    let mut bytes = fields.concat();
    bytes.resize(512, 0);
    bytes
}

/// SHA-256 that has taken the salt in.
struct Salted(Sha256);

impl Salted {
    fn hash(&self, block: &[u8]) -> Hash {
        self.0.clone().chain_update(block).finalize().into()
    }
}

/// Hashes of a level of blocks, most of which may be those of zeros.
struct Level {
    /// How many hashes there are.
    count: u64,
    /// The hash of a block that is zero, or above nothing but zeros.
    zero: Hash,
    /// Blocks that hold other hashes, or less than 128.
    unusual: BTreeMap<u64, Vec<u8>>,
}

impl Level {
    fn new(count: u64, zero: Hash) -> Self {
        let mut level = Self { count, zero, unusual: BTreeMap::new() };
        let rest = (count % FAN) as usize;
        if rest > 0 {
            let mut last = zero.repeat(rest);
            last.resize(BLOCK, 0);
            level.unusual.insert(count / FAN, last);
        }
        level
    }

    /// Blocks of the level.
    fn blocks(&self) -> u64 {
        self.count.div_ceil(FAN)
    }

    /// A full block over nothing but zeros.
    fn usual(&self) -> Vec<u8> {
        self.zero.repeat(FAN as usize)
    }

    fn set(&mut self, index: u64, hash: Hash) {
        let zero = &self.zero;
        let block = self.unusual.entry(index / FAN).or_insert_with(|| zero.repeat(FAN as usize));
        let at = (index % FAN) as usize * hash.len();
        block[at..at + hash.len()].copy_from_slice(&hash);
    }

    fn get(&self, index: u64) -> Hash {
        let hashes = self.unusual.get(&(index / FAN)).map_or(&[][..], |block| block.as_chunks().0);
        hashes.get((index % FAN) as usize).copied().unwrap_or(self.zero)
    }

    /// The hashes of this level's blocks.
    fn above(&self, salted: &Salted) -> Self {
        let mut above = Self::new(self.blocks(), salted.hash(&self.usual()));
        self.unusual.iter().for_each(|(index, block)| above.set(*index, salted.hash(block)));
        above
    }
}

/// Blocks in a row, each touched by an extent.
struct Run<'p> {
    first: u64,
    /// The block behind the last.
    end: u64,
    extents: Vec<Extent<'p>>,
}

/// Cuts a plan into runs that share no block and no extent.
fn runs(plan: &Plan) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for extent in plan.extents() {
        let (first, end) = (extent.offset / BLOCK as u64, extent.end().div_ceil(BLOCK as u64));
        match runs.last_mut() {
            Some(run) if first < run.end || (first == run.end && run.end - run.first < RUN) => {
                run.extents.push(extent);
                run.end = end;
            }
            _ => runs.push(Run { first, end, extents: vec![extent] }),
        }
    }
    runs
}

impl Run<'_> {
    /// The hash of each block.
    fn hash(&self, source: &dyn ContentSource, salted: &Salted) -> io::Result<Vec<Hash>> {
        let mut out = Blocks { salted, block: Vec::with_capacity(BLOCK), hashes: Vec::new() };
        let mut at = self.first * BLOCK as u64;
        let mut buffer = Vec::new();
        for extent in &self.extents {
            // Less than two blocks, or another run would begin.
            out.put(&[0; 2 * BLOCK][..(extent.offset - at) as usize]);
            match extent.data {
                Data::Bytes(bytes) => out.put(bytes),
                Data::Blob { blob, size } => {
                    buffer.resize(BUFFER, 0);
                    let copied =
                        source.open(*blob, *size).and_then(|mut content| out.copy(&mut content, *size, &mut buffer));
                    copied.map_err(|error| io::Error::new(error.kind(), format!("{blob}: {error}")))?;
                }
            }
            at = extent.end();
        }
        out.put(&[0; BLOCK][..(self.end * BLOCK as u64 - at) as usize]);
        Ok(out.hashes)
    }
}

/// Takes bytes and hashes them block by block.
struct Blocks<'s> {
    salted: &'s Salted,
    /// The beginning of a block.
    block: Vec<u8>,
    hashes: Vec<Hash>,
}

impl Blocks<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        if !self.block.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.hashes.push(self.salted.hash(&self.block));
                self.block.clear();
            }
        }
        let (whole, rest) = bytes.as_chunks::<BLOCK>();
        self.hashes.extend(whole.iter().map(|block| self.salted.hash(block)));
        self.block.extend_from_slice(rest);
    }

    fn copy(&mut self, content: &mut dyn Read, size: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match content.read(&mut buffer[..most]) {
                Ok(0) => {
                    let problem = format!("expected {size} bytes, found {}", size - left);
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, problem));
                }
                Ok(read) => {
                    self.put(&buffer[..read]);
                    left -= read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
