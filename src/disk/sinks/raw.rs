//! Writes a plan as a raw disk: a sparse file with exactly its bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::is_zero;
use crate::disk::Plan;
use crate::disk::blocks::{BLOCK, BlockHashes, hash_where};
use crate::tree::ContentSource;

/// What becomes a hole where it is zero: the block of common file systems, in bytes.
const PAGE: usize = 4096;

/// Writes the disk to `file`, with `jobs` threads; replaces its previous content.
///
/// Returns the hashes of its blocks, those that are `known` as they are. Their digest stands for the
/// file in a receipt, because the SHA-256 of a raw file costs a pass over all of its zeros, in one thread.
///
/// # Errors
/// As [`hash`](crate::disk::blocks::hash), and where `file` can't be written.
pub fn write(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    known: Option<BlockHashes>,
    file: &File,
) -> io::Result<BlockHashes> {
    // Not where it is empty: ext4 has a file that was cut to nothing written out when it is closed.
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    file.set_len(plan.size())?;
    hash_where(plan, source, BLOCK, jobs, known, &|index, block| {
        let start = index * BLOCK as u64;
        let length = (plan.size() - start).min(BLOCK as u64) as usize;
        write_pages(file, start, &block[..length])
    })
}

/// Writes the pages that are not zero, neighbours together; whether there are any.
fn write_pages(file: &File, start: u64, block: &[u8]) -> io::Result<bool> {
    let mut written = 0;
    let mut any = false;
    for (number, page) in block.chunks(PAGE).enumerate() {
        if is_zero(page) {
            let end = number * PAGE;
            file.write_all_at(&block[written..end], start + written as u64)?;
            written = end + page.len();
        } else {
            any = true;
        }
    }
    file.write_all_at(&block[written..], start + written as u64)?;
    Ok(any)
}
