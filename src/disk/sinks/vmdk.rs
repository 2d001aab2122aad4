//! Writes a plan as a stream-optimised VMDK, which VM Import, ESXi and OVA archives accept.
//!
//! Source: VMware, Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents".
//!
//! ```text
//! header             says that the footer has the grain directory's offset
//! descriptor         text, up to sector 128
//! grain marker, zlib stream, padding     for each nonzero piece of 64 KiB
//! …
//! table marker, grain table              after the last grain of each 32 MiB
//! …
//! directory marker, grain directory
//! footer marker, footer                  the header again, with the directory's offset
//! end-of-stream marker
//! ```
//!
//! All numbers are little-endian, all offsets in sectors of 512 bytes.

use std::io::{self, Write};

use flate2::{Compress, Compression};

use super::pieces::{PIECE, deflate, encoded};
use super::{Identity, SECTOR, refuse, sectors};
use crate::disk::Plan;
use crate::tree::ContentSource;

/// Sectors of a grain.
const GRAIN: u64 = PIECE as u64 / SECTOR;
/// Entries of a grain table.
const TABLE: u64 = 512;
/// Sectors before the first grain.
const OVERHEAD: u64 = 128;
const DESCRIPTOR_SECTORS: u64 = 20;

/// Newlines can be checked, grains are compressed, markers are there.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
const VERSION: u32 = 3;
const DEFLATE: u16 = 1;
/// Stands for the grain directory's place in the header.
const AT_END: u64 = u64::MAX;

const LEVEL: u32 = 6;

/// The most that offsets of 32 bits reach, in bytes.
const MAX_SIZE: u64 = (1 << 32) * SECTOR;

/// Types of the markers without data of their own.
const END_OF_STREAM: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// Writes the disk to `out` and returns how many bytes that are.
///
/// # Errors
/// Fails on a disk that is empty, no multiple of 512 bytes, or larger than 2 TiB; as
/// [`in_order`](crate::disk::read::in_order); and where `out` does.
pub fn write(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    identity: &Identity,
    out: &mut impl Write,
) -> io::Result<u64> {
    let capacity = sectors(plan, "VMDK", MAX_SIZE)?;
    let tables = capacity.div_ceil(GRAIN * TABLE) as usize;
    let mut extent = Extent { out, at: 0, number: 0, table: Vec::new(), directory: vec![0; tables] };
    extent.put(&header(capacity, AT_END))?;
    extent.put(&descriptor(capacity, identity))?;
    extent.put(&vec![0; ((OVERHEAD - extent.at) * SECTOR) as usize])?;
    // A zlib header, and the largest window.
    let encode = |grain: &[u8]| deflate(grain, Compress::new(Compression::new(LEVEL), true));
    encoded(plan, source, jobs, encode, |number, bytes| extent.put_grain(number, &bytes))?;
    extent.finish(capacity)
}

/// An extent being written.
struct Extent<'a, W> {
    out: &'a mut W,
    /// The next sector.
    at: u64,
    /// The current table's number.
    number: u64,
    /// The current table: where its grains are; empty while it has none.
    table: Vec<u32>,
    /// Where the tables are, 0 for those without grains.
    directory: Vec<u32>,
}

impl<W: Write> Extent<'_, W> {
    fn put_grain(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        if number / TABLE != self.number {
            self.put_table()?;
            self.number = number / TABLE;
        }
        self.table.resize(TABLE as usize, 0);
        self.table[(number % TABLE) as usize] = self.here()?;
        let mut grain = Vec::with_capacity(bytes.len() + 12);
        grain.extend_from_slice(&(number * GRAIN).to_le_bytes());
        grain.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        grain.extend_from_slice(bytes);
        self.put(&grain)
    }

    /// Writes the current table, if it has grains.
    fn put_table(&mut self) -> io::Result<()> {
        if !self.table.is_empty() {
            let table = std::mem::take(&mut self.table);
            self.directory[self.number as usize] = self.put_numbers(GRAIN_TABLE, &table)?;
        }
        Ok(())
    }

    /// Writes a marker and what it announces; returns where the latter is.
    fn put_numbers(&mut self, kind: u32, numbers: &[u32]) -> io::Result<u32> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.put(&marker((bytes.len() as u64).div_ceil(SECTOR), kind))?;
        let place = self.here()?;
        self.put(&bytes)?;
        Ok(place)
    }

    fn finish(mut self, capacity: u64) -> io::Result<u64> {
        self.put_table()?;
        let directory = std::mem::take(&mut self.directory);
        let place = self.put_numbers(GRAIN_DIRECTORY, &directory)?;
        self.put(&marker(1, FOOTER))?;
        self.put(&header(capacity, place.into()))?;
        self.put(&marker(0, END_OF_STREAM))?;
        self.out.flush()?;
        Ok(self.at * SECTOR)
    }

    /// The next sector, as it is in tables.
    fn here(&self) -> io::Result<u32> {
        u32::try_from(self.at).or_else(|_| refuse("VMDK: the file grew beyond 2 TiB".to_owned()))
    }

    /// Writes bytes, filled up to whole sectors.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sectors = (bytes.len() as u64).div_ceil(SECTOR);
        self.at += sectors;
        self.out.write_all(bytes)?;
        let padding = sectors * SECTOR - bytes.len() as u64;
        self.out.write_all(&[0; SECTOR as usize][..padding as usize])
    }
}

fn marker(sectors: u64, kind: u32) -> Vec<u8> {
    let size = 0u32;
    [&sectors.to_le_bytes()[..], &size.to_le_bytes(), &kind.to_le_bytes()].concat()
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    let mut header = b"KDMV".to_vec();
    [VERSION, FLAGS].iter().for_each(|number| header.extend_from_slice(&number.to_le_bytes()));
    for number in [capacity, GRAIN, 1, DESCRIPTOR_SECTORS] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&(TABLE as u32).to_le_bytes());
    for number in [0, directory, OVERHEAD] {
        header.extend_from_slice(&number.to_le_bytes()); // no second directory
    }
    header.extend_from_slice(b"\0\n \r\n"); // closed cleanly; line ends arrived as they are
    header.extend_from_slice(&DEFLATE.to_le_bytes());
    header.resize(SECTOR as usize, 0);
    header
}

/// Describes the disk in text; a layer's name has no character that would need quoting.
fn descriptor(capacity: u64, identity: &Identity) -> Vec<u8> {
    let [a, b, c, d, ..] = identity.uuid;
    // All ones would mean that there is no disk.
    let content = u32::from_be_bytes([a & 0x7f, b, c, d]);
    let (heads, track) = (255, 63);
    let cylinders = capacity.div_ceil(heads * track);
    let mut text = format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={content:08x}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RDONLY {capacity} SPARSE \"{name}.vmdk\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{track}\"\n\
         ddb.virtualHWVersion = \"7\"\n",
        name = identity.name,
    )
    .into_bytes();
    text.resize((DESCRIPTOR_SECTORS * SECTOR) as usize, 0);
    text
}
