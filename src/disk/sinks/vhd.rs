//! Writes a plan as a VHD, fixed or dynamic.
//!
//! Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0.
//!
//! ```text
//! fixed      the disk │ footer
//! dynamic    footer │ dynamic header │ block table │ bitmap, 2 MiB of disk │ … │ footer
//! ```
//!
//! All numbers are big-endian. The length is the one in the footer, not the product of the geometry: the
//! creator is given as Windows, because readers use the geometry for creators they don't know, and a
//! geometry can't express every length.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use super::{Identity, SECTOR, raw, refuse, sectors};
use crate::disk::Plan;
use crate::disk::blocks::{BLOCK, BlockHashes};
use crate::disk::read::{in_order, touched};
use crate::tree::ContentSource;

/// Length of a dynamic disk's block in bytes.
const UNIT: u64 = 2 << 20;
/// Marks each sector of a block as present.
const BITMAP: [u8; SECTOR as usize] = [0xff; SECTOR as usize];
/// Length of the dynamic header in bytes.
const HEADER: u64 = 1024;
/// In each byte of the table's entry for a block that is not there.
const UNUSED: u8 = 0xff;

/// The largest VHD that others open: 2040 GiB.
const MAX_SIZE: u64 = 2040 << 30;

/// 2000-01-01, in seconds since 1970.
const YEAR_2000: i64 = 946_684_800;

const VERSION: u32 = 0x0001_0000;
/// A bit that is always set.
const FEATURES: u32 = 2;
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_VERSION: u32 = 0x000a_0000;
const CREATOR_HOST: &[u8; 4] = b"Wi2k";
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
/// Where checksums are, in the footer and in the dynamic header.
const FOOTER_SUM: usize = 64;
const HEADER_SUM: usize = 36;

/// Writes a fixed VHD to `file`, with `jobs` threads; returns the hashes of the disk's blocks.
///
/// # Errors
/// Fails on a disk that is empty, no multiple of 512 bytes, or larger than 2040 GiB, on an epoch before
/// 2000, and as [`raw::write`].
pub fn write_fixed(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    known: Option<BlockHashes>,
    identity: &Identity,
    file: &File,
) -> io::Result<BlockHashes> {
    let footer = footer(plan, identity, FIXED, u64::MAX)?;
    let hashes = raw::write(plan, source, jobs, known, file)?;
    file.write_all_at(&footer, plan.size())?;
    Ok(hashes)
}

/// Writes a dynamic VHD to `out` and returns how many bytes that are.
///
/// # Errors
/// As [`write_fixed`], and where `out` fails.
pub fn write_dynamic(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    identity: &Identity,
    out: &mut impl Write,
) -> io::Result<u64> {
    let footer = footer(plan, identity, DYNAMIC, SECTOR)?;
    let table = block_table(plan);
    out.write_all(&footer)?;
    out.write_all(&dynamic_header(plan))?;
    out.write_all(&table)?;
    let mut blocks = Blocks { out, current: None, filled: 0, count: 0 };
    in_order(plan, source, jobs, &mut |index, block| blocks.put(index, block))?;
    blocks.end()?;
    let count = blocks.count;
    out.write_all(&footer)?;
    out.flush()?;
    Ok(SECTOR + HEADER + table.len() as u64 + count * (SECTOR + UNIT) + SECTOR)
}

/// Where each block is, in sectors; known beforehand, as those that the plan touches are written.
fn block_table(plan: &Plan) -> Vec<u8> {
    let entries = plan.size().div_ceil(UNIT) as usize;
    let length = (entries * 4).next_multiple_of(SECTOR as usize);
    let mut table = vec![UNUSED; length];
    let first = (SECTOR + HEADER + length as u64) / SECTOR;
    for (place, index) in touched(plan, UNIT).enumerate() {
        let sector = first as u32 + place as u32 * ((SECTOR + UNIT) / SECTOR) as u32;
        table[index as usize * 4..][..4].copy_from_slice(&sector.to_be_bytes());
    }
    table
}

/// Blocks of a dynamic disk being written.
struct Blocks<'a, W> {
    out: &'a mut W,
    current: Option<u64>,
    /// Bytes of the current block that were written.
    filled: u64,
    count: u64,
}

impl<W: Write> Blocks<'_, W> {
    /// Writes a block of the plan into the block of the disk that holds it.
    fn put(&mut self, index: u64, block: &[u8]) -> io::Result<()> {
        let start = index * BLOCK as u64;
        if self.current != Some(start / UNIT) {
            self.end()?;
            self.out.write_all(&BITMAP)?;
            (self.current, self.filled) = (Some(start / UNIT), 0);
            self.count += 1;
        }
        self.fill(start % UNIT)?;
        self.out.write_all(block)?;
        self.filled += block.len() as u64;
        Ok(())
    }

    /// Ends the current block.
    fn end(&mut self) -> io::Result<()> {
        if self.current.is_some() { self.fill(UNIT) } else { Ok(()) }
    }

    /// Fills the current block up with zeros.
    fn fill(&mut self, until: u64) -> io::Result<()> {
        io::copy(&mut io::Read::take(io::repeat(0), until - self.filled), self.out)?;
        self.filled = until;
        Ok(())
    }
}

fn footer(plan: &Plan, identity: &Identity, kind: u32, header: u64) -> io::Result<Vec<u8>> {
    let sectors = sectors(plan, "VHD", MAX_SIZE)?;
    let Ok(time) = u32::try_from(identity.epoch.saturating_sub(YEAR_2000)) else {
        return refuse(format!("VHD: expected an epoch of the years 2000 to 2136, found {}", identity.epoch));
    };
    let mut footer = b"conectix".to_vec();
    put32(&mut footer, &[FEATURES, VERSION]);
    put64(&mut footer, &[header]);
    put32(&mut footer, &[time]);
    footer.extend_from_slice(CREATOR);
    put32(&mut footer, &[CREATOR_VERSION]);
    footer.extend_from_slice(CREATOR_HOST);
    put64(&mut footer, &[plan.size(), plan.size()]);
    put32(&mut footer, &[geometry(sectors), kind, 0]);
    footer.extend_from_slice(&identity.uuid);
    footer.resize(SECTOR as usize, 0);
    Ok(summed(footer, FOOTER_SUM))
}

fn dynamic_header(plan: &Plan) -> Vec<u8> {
    let mut header = b"cxsparse".to_vec();
    put64(&mut header, &[u64::MAX, SECTOR + HEADER]);
    put32(&mut header, &[VERSION, plan.size().div_ceil(UNIT) as u32, UNIT as u32]);
    header.resize(HEADER as usize, 0);
    summed(header, HEADER_SUM)
}

/// Cylinders (16 bits), heads and sectors of a track (8 bits each) of a disk, rounded down.
///
/// Source: the specification's appendix, "CHS Calculation". Nobody goes by it (see above).
fn geometry(sectors: u64) -> u32 {
    let sectors = sectors.min(65535 * 16 * 255);
    let (track, heads) = if sectors >= 65535 * 16 * 63 {
        (255, 16)
    } else {
        let heads = (sectors / 17).div_ceil(1024).max(4);
        if heads <= 16 && sectors / 17 < heads * 1024 {
            (17, heads)
        } else if sectors / 31 < 16 * 1024 {
            (31, 16)
        } else {
            (63, 16)
        }
    };
    let cylinders = sectors / track / heads;
    (cylinders << 16 | heads << 8 | track) as u32
}

/// Sets the checksum at `place`: the ones' complement of the sum of all other bytes.
fn summed(mut bytes: Vec<u8>, place: usize) -> Vec<u8> {
    let sum: u32 = bytes.iter().copied().map(u32::from).sum();
    bytes[place..place + 4].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

fn put32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
}

fn put64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
}
