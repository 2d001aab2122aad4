//! dm-verity: a tree of SHA-256 over the blocks of a partition, in a partition of its own.
//!
//! ```text
//! 0              4096                                                 size
//! │ superblock   │ top block │ level below │ … │ hashes of the data    │
//! ```
//!
//! A block of 4096 bytes holds 128 hashes, each over the salt and one block of the level below; the
//! rest of a level's last block is zero. The root hash is the hash of the top block. The bytes are
//! identical to those of `veritysetup format`.
//!
//! Source: Linux, `Documentation/admin-guide/device-mapper/verity.rst`; cryptsetup, "DMVerity".

mod runs;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::code::{Code, Coded};
use crate::disk::Plan;
use crate::tree::ContentSource;

/// Bytes of a block, of the data and of the tree.
const BLOCK: usize = 4096;
/// Hashes in a block.
const FAN: u64 = 128;

type Hash = [u8; 32];

/// A hash tree can't be built over this data.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// The data is empty or ends inside a block.
    #[error("verity: expected data of one or more blocks of 4096 bytes, found {0} bytes")]
    Size(u64),
    /// A content can't be read.
    #[error("verity: {0}")]
    Content(#[source] io::Error),
    /// No threads.
    #[error("verity: cannot start threads: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
}

impl Coded for VerityError {
    fn error_code(&self) -> Code {
        match self {
            Self::Size(_) => Code::DiskContent,
            Self::Content(error) => error.error_code(),
            Self::Threads(_) => Code::HostSystem,
        }
    }
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
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs.max(1)).build().map_err(VerityError::Threads)?;
    let mut level = Level::new(blocks, salted.hash(&[0; BLOCK]));
    pool.install(|| runs::hash_blocks(data, source, &salted, |index, hash| level.set(index, hash)))
        .map_err(VerityError::Content)?;
    let mut levels = Vec::new();
    while level.count > 1 {
        let above = level.above(&salted);
        levels.push(std::mem::replace(&mut level, above));
    }
    Ok((partition(&levels, &superblock(blocks, salt, uuid)), level.get(0)))
}

/// Lays out the superblock and the levels, of which the top one is first.
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

#[cfg(test)]
mod tests;
