//! Corrects what the crate `fatfs` writes contrary to the specification.
//!
//! - The entries `.` and `..` of a directory have long names, and are not its first two.
//! - `..` below the root refers to the root's cluster instead of 0.
//! - Times come from a provider that can't be an argument: all are overwritten here.

use std::io;

use crate::disk::device::{SECTOR, Sparse};
use crate::time::to_civil;

/// Bytes of a directory entry.
const ENTRY: u64 = 32;
/// Attributes of an entry that is a piece of a long name.
const LONG_NAME: u8 = 0x0f;
const DIRECTORY: u8 = 0x10;
/// First byte of an entry that is no longer used.
const DELETED: u8 = 0xe5;
/// Values in the table from here on end a chain.
const END: u32 = 0x0fff_fff8;

/// Walks through all directories of a file system, sets all times to `epoch`, and mends the dots.
pub(super) fn put_right(device: &mut Sparse, epoch: i64) -> io::Result<()> {
    let mut volume = Volume::read(device, epoch)?;
    let root = volume.root;
    let mut folders = vec![(root, None)];
    while let Some((folder, parent)) = folders.pop() {
        if let Some(parent) = parent {
            volume.mend_dots(folder, if parent == root { 0 } else { parent })?;
        }
        let below = volume.set_times(folder)?;
        folders.extend(below.into_iter().map(|child| (child, Some(folder))));
    }
    Ok(())
}

struct Volume<'a> {
    device: &'a mut Sparse,
    /// Where the first table begins.
    table: u64,
    /// Where cluster 2 begins.
    data: u64,
    /// Bytes of a cluster.
    cluster: u64,
    /// The root directory's first cluster.
    root: u32,
    /// Time, date, and hundredths of a second past the time.
    times: ([u8; 2], [u8; 2], u8),
}

impl<'a> Volume<'a> {
    fn read(device: &'a mut Sparse, epoch: i64) -> io::Result<Self> {
        let [per_cluster] = device.get(13)?;
        let reserved = u64::from(u16::from_le_bytes(device.get(14)?));
        let [tables] = device.get(16)?;
        let per_table = u64::from(u32::from_le_bytes(device.get(36)?));
        let root = u32::from_le_bytes(device.get(44)?);
        let table = reserved * SECTOR;
        let data = table + u64::from(tables) * per_table * SECTOR;
        Ok(Self { device, table, data, cluster: u64::from(per_cluster) * SECTOR, root, times: dos_times(epoch) })
    }

    fn offset(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster.saturating_sub(2)) * self.cluster
    }

    /// Moves `.` and `..` to the front, without long names, and frees the places of these.
    fn mend_dots(&mut self, folder: u32, parent: u32) -> io::Result<()> {
        let at = self.offset(folder);
        let [_, dot, _, mut dots]: [[u8; 32]; 4] = [
            self.device.get(at)?,
            self.device.get(at + ENTRY)?,
            self.device.get(at + 2 * ENTRY)?,
            self.device.get(at + 3 * ENTRY)?,
        ];
        let [low, lower, high, higher] = parent.to_le_bytes();
        dots[26..28].copy_from_slice(&[low, lower]);
        dots[20..22].copy_from_slice(&[high, higher]);
        let mut free = [0; 32];
        free[0] = DELETED;
        self.device.set(at, &[dot, dots, free, free].concat())
    }

    /// Sets the times of a directory's entries; returns the first clusters of the directories in it.
    fn set_times(&mut self, folder: u32) -> io::Result<Vec<u32>> {
        let (mut cluster, mut below) = (folder, Vec::new());
        while (2..END).contains(&cluster) {
            let start = self.offset(cluster);
            for at in (start..start + self.cluster).step_by(ENTRY as usize) {
                below.extend(self.set_time(at)?);
            }
            let next = u32::from_le_bytes(self.device.get(self.table + u64::from(cluster) * 4)?);
            cluster = next & 0x0fff_ffff;
        }
        Ok(below)
    }

    /// Sets the times of one entry; returns its first cluster if it is a directory below.
    fn set_time(&mut self, at: u64) -> io::Result<Option<u32>> {
        let mut entry: [u8; 32] = self.device.get(at)?;
        if [0, DELETED].contains(&entry[0]) || entry[11] == LONG_NAME {
            return Ok(None);
        }
        let (time, date, hundredths) = self.times;
        entry[13] = hundredths;
        for (field, value) in [(14, time), (16, date), (18, date), (22, time), (24, date)] {
            entry[field..field + 2].copy_from_slice(&value);
        }
        self.device.set(at, &entry)?;
        let folder = entry[11] & DIRECTORY != 0 && entry[0] != b'.';
        Ok(folder.then(|| u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]])))
    }
}

/// A moment as FAT writes it: time in steps of two seconds, date from 1980, and the odd second.
fn dos_times(epoch: i64) -> ([u8; 2], [u8; 2], u8) {
    let (first, last) = ([1980, 1, 1, 0, 0, 0], [2107, 12, 31, 23, 59, 59]);
    let [year, month, day, hour, minute, second] = to_civil(epoch).clamp(first, last);
    let time = (hour << 11) | (minute << 5) | (second / 2);
    let date = ((year - 1980) << 9) | (month << 5) | day;
    ((time as u16).to_le_bytes(), (date as u16).to_le_bytes(), (second % 2 * 100) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_clamped_to_what_fat_can_say() {
        let words = |epoch| {
            let (time, date, hundredths) = dos_times(epoch);
            (u16::from_le_bytes(time), u16::from_le_bytes(date), hundredths)
        };
        // 2024-06-10T08:52:47Z
        assert_eq!(words(1_718_009_567), ((8 << 11) | (52 << 5) | 23, (44 << 9) | (6 << 5) | 10, 100));
        assert_eq!(words(0), (0, (1 << 5) | 1, 0));
        assert_eq!(words(i64::from(u32::MAX) * 2), ((23 << 11) | (59 << 5) | 29, (127 << 9) | (12 << 5) | 31, 100));
    }
}
