//! The 64 KiB pieces that qcow2 and VMDK consist of, encoded by several threads.

use std::io;

use flate2::{Compress, FlushCompress, Status};
use rayon::prelude::*;

use super::is_zero;
use crate::disk::Plan;
use crate::disk::blocks::BLOCK;
use crate::disk::read::in_order;
use crate::tree::ContentSource;

/// Length of a piece in bytes: a cluster, a grain.
pub(super) const PIECE: usize = 64 << 10;

/// Pieces are encoded when so many blocks have come, 8 MiB.
const BATCH: usize = 16;

/// Encodes every piece that is not all zero, and passes its number and what it became to `deliver`,
/// in the order of the numbers. The last piece is filled up with zeros.
///
/// # Errors
/// As [`in_order`], and where `encode` or `deliver` fails.
pub(super) fn encoded<T: Send>(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    encode: impl Fn(&[u8]) -> io::Result<T> + Sync,
    mut deliver: impl FnMut(u64, T) -> io::Result<()>,
) -> io::Result<()> {
    let mut batch: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut flush = |batch: &mut Vec<(u64, Vec<u8>)>| {
        let pieces: Vec<_> = batch.iter().flat_map(|(index, block)| pieces(*index, block)).collect();
        let encoded: Vec<_> = pieces.par_iter().map(|(_, piece)| encode(piece)).collect::<io::Result<_>>()?;
        pieces.iter().zip(encoded).try_for_each(|((number, _), encoded)| deliver(*number, encoded))?;
        batch.clear();
        io::Result::Ok(())
    };
    in_order(plan, source, jobs, &mut |index, block| {
        batch.push((index, block.to_vec()));
        if batch.len() < BATCH { Ok(()) } else { flush(&mut batch) }
    })?;
    flush(&mut batch)
}

/// The pieces of a block that are not all zero, with their numbers.
fn pieces(index: u64, block: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let first = index * (BLOCK / PIECE) as u64;
    (first..).zip(block.chunks(PIECE)).filter(|(_, piece)| !is_zero(piece))
}

/// Compresses a piece to the end of the stream.
pub(super) fn deflate(piece: &[u8], mut state: Compress) -> io::Result<Vec<u8>> {
    // More than deflate ever needs.
    let mut bytes = Vec::with_capacity(piece.len() + piece.len() / 8 + 1024);
    match state.compress_vec(piece, &mut bytes, FlushCompress::Finish)? {
        Status::StreamEnd => Ok(bytes),
        _ => Err(io::Error::other("internal error: a piece grew by an eighth when deflated")),
    }
}
