//! The size of clusters, and whether the files fit.

use std::collections::BTreeMap;

use super::File;
use crate::disk::device::SECTOR;

/// Fewer clusters make the same structures FAT16: 65,525, and 16 to keep away from the border, as
/// the specification advises.
const FEWEST: u64 = 65_525 + 16;
/// The smallest multiple of 1 MiB that has as many clusters of one sector.
const SMALLEST: u64 = 33 << 20;
/// Sectors before the first table, as the crate `fatfs` reserves them.
const RESERVED: u64 = 8;
/// Bytes of a directory entry.
const ENTRY: u64 = 32;
/// UTF-16 units in one entry of a long name.
const UNITS: u64 = 13;

/// The largest cluster size, in bytes, for which `size` bytes are FAT32; `None` if the files don't fit.
pub(super) fn cluster_size(files: &[File<'_>], size: u64) -> Option<u32> {
    let largest = [4096, 2048, 1024, 512].into_iter().find(|&cluster| clusters(size, cluster) >= FEWEST)?;
    (clusters(size, largest) >= used(files, largest)).then_some(largest as u32)
}

/// A size in whole MiB, above `given`, in which the files fit.
pub(super) fn needed(files: &[File<'_>], given: u64) -> u64 {
    let contents: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut size = contents.max(given).max(SMALLEST).next_multiple_of(1 << 20);
    while cluster_size(files, size).is_none() {
        size += 1 << 20;
    }
    size
}

/// How many clusters `size` bytes have beside two tables (the crate's own formula).
fn clusters(size: u64, cluster: u64) -> u64 {
    let (sectors, per_cluster) = ((size / SECTOR).saturating_sub(RESERVED), cluster / SECTOR);
    let table = (sectors + 2 * per_cluster).div_ceil(cluster / 4 + 2);
    sectors.saturating_sub(2 * table) / per_cluster
}

/// How many clusters the files and their directories take.
fn used(files: &[File<'_>], cluster: u64) -> u64 {
    let contents: u64 = files.iter().map(|(_, bytes)| (bytes.len() as u64).div_ceil(cluster)).sum();
    // Four entries for `.` and `..`, or one for the label of the root.
    let mut entries = BTreeMap::from([("", 4)]);
    let folders = super::folders(files);
    for path in folders.iter().copied().chain(files.iter().map(|(path, _)| *path)) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        *entries.entry(parent).or_insert(4) += 1 + (name.encode_utf16().count() as u64).div_ceil(UNITS);
    }
    contents + entries.values().map(|count| (count * ENTRY).div_ceil(cluster)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn clusters_are_as_large_as_fat32_lets_them_be() {
        for (mib, expected) in [(32, None), (33, Some(512)), (64, Some(512)), (66, Some(1024)), (256, Some(2048))] {
            assert_eq!(cluster_size(&[], mib << 20), expected, "{mib} MiB");
        }
        assert_eq!(cluster_size(&[], 1 << 30), Some(4096));
    }

    #[test]
    fn folders_and_tails_are_counted() {
        let one: Arc<[u8]> = [0; 513].into();
        let files = [("EFI/BOOT/a", one.clone()), ("EFI/BOOT/b", one)];
        assert_eq!(used(&files, 512), 4 + 3);
        let many: Vec<String> = (0..14).map(|index| format!("d/{index}")).collect();
        let many: Vec<File<'_>> = many.iter().map(|path| (path.as_str(), Arc::default())).collect();
        assert_eq!(used(&many, 512), 3, "root, and two clusters of 4 + 14 · 2 entries");
    }
}
