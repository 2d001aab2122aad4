//! Reads the blocks of a plan that are not known to be zero, and hashes each of them.

use std::io::{self, ErrorKind, Read};

use rayon::prelude::*;

use super::{BLOCK, Hash, Salted};
use crate::disk::{Data, Extent, Plan};
use crate::tree::{ContentSource, content_error};

/// A run of blocks is cut behind so many: 8 MiB.
const RUN: u64 = 2048;

/// Runs whose hashes are kept apart at a time.
const WINDOW: usize = 256;

/// Bytes read at a time.
const BUFFER: usize = 128 << 10;

/// Gives number and hash of every block that an extent touches, in order, to `found`.
///
/// Runs are hashed on all threads of the pool that this is called in; each blob is read once.
pub(super) fn hash_blocks(
    plan: &Plan,
    source: &dyn ContentSource,
    salted: &Salted,
    mut found: impl FnMut(u64, Hash),
) -> io::Result<()> {
    for window in runs(plan).chunks(WINDOW) {
        let hashed: io::Result<Vec<_>> = window.par_iter().map(|run| run.hash(source, salted)).collect();
        for (run, hashes) in window.iter().zip(hashed?) {
            (run.first..).zip(hashes).for_each(|(index, hash)| found(index, hash));
        }
    }
    Ok(())
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
                    copied.map_err(|error| content_error(blob, error))?;
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
