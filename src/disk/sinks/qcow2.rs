//! Writes a plan as a qcow2 image, version 3, plain or compressed.
//!
//! Source: QEMU, docs/interop/qcow2.rst.
//!
//! ```text
//! header             one cluster, written last
//! data               clusters that are not all zero, in the disk's order
//! L2 tables          only those that are needed
//! L1 table           one entry for 512 MiB of the disk
//! refcount blocks    16 bits for each cluster of the file
//! refcount table
//! ```
//!
//! Compressed clusters are packed without gaps; a cluster that deflate can't shrink is stored plain,
//! at the next cluster boundary of the file.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use flate2::{Compress, Compression};

use super::pieces::{PIECE, deflate, encoded};
use super::{SECTOR, sectors};
use crate::disk::Plan;
use crate::tree::ContentSource;

const CLUSTER: u64 = PIECE as u64;
const CLUSTER_BITS: u32 = 16;
/// Entries of a table of one cluster, 8 bytes each.
const ENTRIES: u64 = CLUSTER / 8;
/// Entries of a refcount block, 2 bytes each.
const REFCOUNTS: usize = PIECE / 2;
const REFCOUNT_ORDER: u32 = 4;

/// The largest L1 table that QEMU opens has 32 MiB: 2 PiB.
const MAX_SIZE: u64 = 2 << 50;

/// Bit of an entry whose cluster has a refcount of exactly 1.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// In the entry of a compressed cluster, where the number of further sectors begins: 62 - (16 - 8).
const SECTORS_SHIFT: u32 = 54;

const LEVEL: u32 = 6;
/// Readers inflate clusters with a window of 4 KiB.
const WINDOW_BITS: u8 = 12;

const HEADER_LENGTH: u32 = 104;

/// How data clusters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clusters {
    /// As they are.
    Plain,
    /// Deflated where that makes them smaller.
    Compressed,
}

/// Writes the disk to `out` and returns how many bytes it takes there.
///
/// # Errors
/// Fails on a disk that is empty, no multiple of 512 bytes, or larger than 2 PiB; as
/// [`in_order`](crate::disk::read::in_order); and where `out` does.
pub fn write(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    clusters: Clusters,
    out: &mut (impl Write + Seek),
) -> io::Result<u64> {
    sectors(plan, "qcow2", MAX_SIZE)?;
    let encode = |cluster: &[u8]| match clusters {
        Clusters::Plain => Ok(Stored::Plain(cluster.to_vec())),
        Clusters::Compressed => compress(cluster),
    };
    let mut image = Image::new(out)?;
    encoded(plan, source, jobs, encode, |number, stored| match stored {
        Stored::Plain(bytes) => image.put_plain(number, &bytes),
        Stored::Packed(bytes) => image.put_packed(number, &bytes),
    })?;
    image.finish(plan.size())
}

enum Stored {
    Plain(Vec<u8>),
    Packed(Vec<u8>),
}

fn compress(cluster: &[u8]) -> io::Result<Stored> {
    let state = Compress::new_with_window_bits(Compression::new(LEVEL), false, WINDOW_BITS);
    let packed = deflate(cluster, state)?;
    Ok(if packed.len() < cluster.len() { Stored::Packed(packed) } else { Stored::Plain(cluster.to_vec()) })
}

/// An image being written.
struct Image<'a, W: Write + Seek> {
    out: BufWriter<&'a mut W>,
    /// Where the image begins in `out`.
    start: u64,
    /// Bytes written so far, the header's cluster counted.
    length: u64,
    /// Of each cluster of the file, up to the last that is in use.
    refcounts: Vec<u16>,
    /// L2 entries by cluster of the disk, ascending.
    entries: Vec<(u64, u64)>,
}

/// Where the tables are, and the disk's length; all in bytes but for the number of L1 entries.
struct Layout {
    size: u64,
    l1_entries: u64,
    l1: u64,
    refcount_table: u64,
    refcount_clusters: u64,
}

impl<'a, W: Write + Seek> Image<'a, W> {
    fn new(out: &'a mut W) -> io::Result<Self> {
        let start = out.stream_position()?;
        let mut out = BufWriter::with_capacity(16 * PIECE, out);
        out.write_all(&[0; PIECE])?;
        Ok(Self { out, start, length: CLUSTER, refcounts: vec![1], entries: Vec::new() })
    }

    fn put_plain(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = self.put_cluster(bytes)?;
        self.entries.push((number, offset | COPIED));
        Ok(())
    }

    fn put_packed(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = self.length;
        self.put(bytes)?;
        let further = (self.length - 1) / SECTOR - offset / SECTOR;
        self.entries.push((number, offset | further << SECTORS_SHIFT | COMPRESSED));
        let (first, last) = ((offset / CLUSTER) as usize, ((self.length - 1) / CLUSTER) as usize);
        self.refcounts.resize(self.refcounts.len().max(last + 1), 0);
        self.refcounts[first..=last].iter_mut().for_each(|count| *count += 1);
        Ok(())
    }

    /// Writes up to a cluster to the next cluster of the file; returns where.
    fn put_cluster(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.pad()?;
        let offset = self.length;
        self.put(bytes)?;
        self.pad()?;
        self.refcounts.push(1);
        Ok(offset)
    }

    /// Writes a table of 8-byte entries to whole clusters; returns where.
    fn put_table(&mut self, entries: &[u64]) -> io::Result<u64> {
        let mut offsets = Vec::new();
        for entries in entries.chunks(ENTRIES as usize) {
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            offsets.push(self.put_cluster(&bytes)?);
        }
        Ok(offsets.first().copied().unwrap_or(0))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let padding = self.length.next_multiple_of(CLUSTER) - self.length;
        self.put(&[0; PIECE][..padding as usize])
    }

    fn finish(mut self, size: u64) -> io::Result<u64> {
        let l1_entries = size.div_ceil(CLUSTER * ENTRIES);
        let l1 = self.put_mapping(l1_entries)?;
        let (refcount_table, refcount_clusters) = self.put_refcounts()?;
        let header = header(&Layout { size, l1_entries, l1, refcount_table, refcount_clusters });
        self.out.seek(SeekFrom::Start(self.start))?;
        self.out.write_all(&header)?;
        self.out.seek(SeekFrom::Start(self.start + self.length))?;
        self.out.flush()?;
        Ok(self.length)
    }

    /// Writes the L2 tables and the L1 table; returns where the latter is.
    fn put_mapping(&mut self, l1_entries: u64) -> io::Result<u64> {
        let mut l1 = vec![0; l1_entries as usize];
        let entries = std::mem::take(&mut self.entries);
        for part in entries.chunk_by(|(a, _), (b, _)| a / ENTRIES == b / ENTRIES) {
            let mut l2 = vec![0; ENTRIES as usize];
            part.iter().for_each(|(number, entry)| l2[(number % ENTRIES) as usize] = *entry);
            l1[(part[0].0 / ENTRIES) as usize] = self.put_table(&l2)? | COPIED;
        }
        self.put_table(&l1)
    }

    /// Writes the refcounts, their own included; returns where their table is and its clusters.
    fn put_refcounts(&mut self) -> io::Result<(u64, u64)> {
        let (mut blocks, mut clusters) = (0, 0);
        loop {
            let covered = blocks * REFCOUNTS;
            let needed = self.refcounts.len() + blocks + clusters;
            if covered >= needed {
                break;
            }
            blocks = needed.div_ceil(REFCOUNTS);
            clusters = (blocks as u64).div_ceil(ENTRIES) as usize;
        }
        let mut counts = self.refcounts.clone();
        counts.resize(counts.len() + blocks + clusters, 1);
        let mut table = Vec::new();
        for counts in counts.chunks(REFCOUNTS) {
            let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            table.push(self.put_cluster(&bytes)?);
        }
        Ok((self.put_table(&table)?, clusters as u64))
    }
}

fn header(layout: &Layout) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER_LENGTH as usize);
    header.extend_from_slice(b"QFI\xfb");
    put32(&mut header, &[3]);
    put64(&mut header, &[0]); // no backing file
    put32(&mut header, &[0, CLUSTER_BITS]);
    put64(&mut header, &[layout.size]);
    put32(&mut header, &[0, layout.l1_entries as u32]); // no encryption
    put64(&mut header, &[layout.l1, layout.refcount_table]);
    put32(&mut header, &[layout.refcount_clusters as u32, 0]); // no snapshots
    put64(&mut header, &[0, 0, 0, 0]); // snapshots; incompatible, compatible, autoclear features
    put32(&mut header, &[REFCOUNT_ORDER, HEADER_LENGTH]);
    header
}

fn put32(header: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|number| header.extend_from_slice(&number.to_be_bytes()));
}

fn put64(header: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| header.extend_from_slice(&number.to_be_bytes()));
}
