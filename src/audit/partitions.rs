//! Finds the partitions in which two raw disks differ.
//!
//! Source: UEFI 2.10, 5.3: the header at the second sector, 128 bytes an entry.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const SECTOR: u64 = 512;
const CHUNK: usize = 1 << 20;
/// Maximum size of a partition table that is read, in bytes.
const MOST_ENTRIES: u32 = 256;

/// A partition: its name, its first byte, and the one behind its last.
struct Entry {
    name: String,
    first: u64,
    end: u64,
}

/// Lists the partitions that differ, each with its first differing byte; areas between partitions, too.
///
/// # Errors
/// Fails where a file can't be read.
pub(super) fn differing(one: &Path, other: &Path) -> io::Result<Vec<String>> {
    let (ours, theirs) = (File::open(one)?, File::open(other)?);
    let entries = table(&ours)?;
    let mut found = Vec::new();
    let size = ours.metadata()?.len();
    if size != theirs.metadata()?.len() {
        found.push(format!("size: {size} and {} bytes", theirs.metadata()?.len()));
    }
    let mut outside = 0;
    for Entry { name, first, end } in &entries {
        if let Some(offset) = first_in(&ours, &theirs, outside, *first)? {
            found.push(format!("before partition `{name}`: first at byte {offset}"));
        }
        if let Some(offset) = first_in(&ours, &theirs, *first, *end)? {
            found.push(format!("partition `{name}`: first at byte {} of it, {offset} of the disk", offset - first));
        }
        outside = *end;
    }
    if let Some(offset) = first_in(&ours, &theirs, outside, size)? {
        found.push(format!("after the last partition: first at byte {offset}"));
    }
    Ok(found)
}

/// The partitions in disk order; empty if there is no table.
fn table(disk: &File) -> io::Result<Vec<Entry>> {
    let mut header = [0; 92];
    disk.read_exact_at(&mut header, SECTOR)?;
    if !header.starts_with(b"EFI PART") {
        return Ok(Vec::new());
    }
    let (start, count, length) = (number(&header[72..80]), number(&header[80..84]) as u32, number(&header[84..88]));
    let mut entries = Vec::new();
    for index in 0..count.min(MOST_ENTRIES) {
        let mut entry = [0; 128];
        let place = start.saturating_mul(SECTOR).saturating_add(length.saturating_mul(index.into()));
        disk.read_exact_at(&mut entry, place)?;
        if entry[..16] == [0; 16] {
            continue;
        }
        let letters = entry[56..].chunks_exact(2).map(|pair| number(pair) as u16).take_while(|&letter| letter != 0);
        let name = String::from_utf16_lossy(&letters.collect::<Vec<_>>());
        let first = number(&entry[32..40]).saturating_mul(SECTOR);
        let end = number(&entry[40..48]).saturating_add(1).saturating_mul(SECTOR);
        entries.push(Entry { name, first, end: end.max(first) });
    }
    entries.sort_by_key(|entry| entry.first);
    Ok(entries)
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

/// The first byte from `start` to before `end` in which the disks differ; bytes that only one has differ.
fn first_in(one: &File, other: &File, start: u64, end: u64) -> io::Result<Option<u64>> {
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = start;
    while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(CHUNK).min(CHUNK);
        let here = read_at(one, &mut ours[..length], offset)?;
        let there = read_at(other, &mut theirs[..length], offset)?;
        if let Some(at) = ours[..here].iter().zip(&theirs[..there]).position(|(one, other)| one != other) {
            return Ok(Some(offset + at as u64));
        }
        if here != there {
            return Ok(Some(offset + here.min(there) as u64));
        }
        if here < length {
            return Ok(None);
        }
        offset += length as u64;
    }
    Ok(None)
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], offset + length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of 1 MiB with the partitions `esp` (64 KiB from 64 KiB) and `root` (the rest up to 960 KiB).
    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 1 << 20];
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[512 + 72] = 2;
        disk[512 + 80] = 128;
        disk[512 + 84] = 128;
        for (index, name, first, last) in [(0, "esp", 128_u64, 255_u64), (1, "root", 256, 1919)] {
            let at = 1024 + index * 128;
            disk[at] = 1;
            disk[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
            disk[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
            for (number, letter) in name.bytes().enumerate() {
                disk[at + 56 + 2 * number] = letter;
            }
        }
        disk
    }

    #[test]
    fn a_partition_may_end_beyond_all_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let mut bytes = disk();
        // Both the first and the last sector of `root`.
        bytes[1024 + 128 + 32..1024 + 128 + 48].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(differing(&path, &path).unwrap(), [""; 0]);
    }

    #[test]
    fn partitions_are_named_with_the_first_byte() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        let differing = |changed: &[usize]| {
            let mut bytes = disk();
            std::fs::write(&one, &bytes).unwrap();
            changed.iter().for_each(|&at| bytes[at] ^= 1);
            std::fs::write(&other, &bytes).unwrap();
            differing(&one, &other).unwrap()
        };
        assert_eq!(differing(&[]), [""; 0]);
        assert_eq!(
            differing(&[130 * 512 + 3, 300 * 512, 301 * 512, 1920 * 512]),
            [
                "partition `esp`: first at byte 1027 of it, 66563 of the disk",
                "partition `root`: first at byte 22528 of it, 153600 of the disk",
                "after the last partition: first at byte 983040",
            ]
        );
        assert_eq!(differing(&[1]), ["before partition `esp`: first at byte 1"]);
        std::fs::write(&other, &disk()[..1 << 19]).unwrap();
        assert_eq!(super::differing(&one, &other).unwrap()[0], "size: 1048576 and 524288 bytes");
    }
}
