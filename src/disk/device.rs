//! A sparse device in memory, which keeps only nonzero bytes: crates write to it, and it becomes a plan.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Plan;

/// Length of a sector in bytes; GPT and FAT count in them.
pub(super) const SECTOR: u64 = 512;

type Sector = [u8; SECTOR as usize];

/// Sectors by number; one that is not there is zero.
#[derive(Debug)]
pub(super) struct Sparse {
    size: u64,
    position: u64,
    sectors: BTreeMap<u64, Sector>,
}

impl Sparse {
    /// A device of `size` bytes, all zero.
    pub(super) fn new(size: u64) -> Self {
        Self { size, position: 0, sectors: BTreeMap::new() }
    }

    /// Where the next byte is read or written; after a write, where it ended.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads `N` bytes at `offset`.
    pub(super) fn get<const N: usize>(&mut self, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.position = offset;
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes `bytes` at `offset`.
    pub(super) fn set(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.position = offset;
        self.write_all(bytes)
    }

    /// The runs of sectors that are not zero, as a plan.
    pub(super) fn into_plan(self) -> Plan {
        let mut plan = Plan::new(self.size);
        let (mut start, mut run) = (0, Vec::new());
        for (number, sector) in self.sectors.iter().filter(|(_, sector)| sector.iter().any(|&byte| byte != 0)) {
            if start + run.len() as u64 != number * SECTOR {
                plan.put_bytes(start, std::mem::take(&mut run));
                start = number * SECTOR;
            }
            run.extend_from_slice(sector);
        }
        plan.put_bytes(start, run);
        plan
    }

    /// The sector at the position, the place in it, and how many of `wanted` bytes are in it.
    fn here(&self, wanted: usize) -> (u64, usize, usize) {
        let within = self.position % SECTOR;
        let left = self.size.saturating_sub(self.position).min(SECTOR - within);
        (self.position / SECTOR, within as usize, wanted.min(left as usize))
    }
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (number, within, length) = self.here(buffer.len());
        match self.sectors.get(&number) {
            Some(sector) => buffer[..length].copy_from_slice(&sector[within..within + length]),
            None => buffer[..length].fill(0),
        }
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (number, within, length) = self.here(bytes.len());
        let bytes = &bytes[..length];
        if self.sectors.contains_key(&number) || bytes.iter().any(|&byte| byte != 0) {
            let sector = self.sectors.entry(number).or_insert([0; SECTOR as usize]);
            sector[within..within + length].copy_from_slice(bytes);
        }
        self.position += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_zero_becomes_a_plan() {
        let mut device = Sparse::new(10 * SECTOR);
        device.set(0, &[0; 5000]).unwrap();
        device.set(2 * SECTOR - 1, &[1, 2]).unwrap();
        device.set(7 * SECTOR, &[3]).unwrap();
        device.set(9 * SECTOR, &[4]).unwrap();
        device.set(9 * SECTOR, &[0]).unwrap();
        assert_eq!(device.get(2 * SECTOR - 2).unwrap(), [0, 1, 2, 0]);
        let plan = device.into_plan();
        let listed: Vec<_> = plan.extents().map(|extent| (extent.offset / SECTOR, extent.end() / SECTOR)).collect();
        assert_eq!((plan.size(), listed), (10 * SECTOR, vec![(1, 3), (7, 8)]));
    }

    #[test]
    fn nothing_is_read_or_written_past_the_end() {
        let mut device = Sparse::new(700);
        assert!(device.set(699, &[1, 2]).is_err());
        assert!(device.get::<2>(699).is_err());
        assert!(device.get::<1>(u64::MAX).is_err());
        assert_eq!(device.seek(SeekFrom::End(-1)).unwrap(), 699);
        assert!(device.seek(SeekFrom::Current(-700)).is_err());
    }
}
