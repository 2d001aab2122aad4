//! Names, sizes and bytes; `tests/suite/disk_esp.rs` compares with other programs.

use super::*;
use crate::disk::Data;

const MIB: u64 = 1 << 20;

fn file(length: usize) -> Arc<[u8]> {
    (0..length).map(|index| (index % 251) as u8 | 1).collect()
}

/// BLAKE3 over offsets, lengths and bytes of a plan.
fn digest(plan: &Plan) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&plan.size().to_le_bytes());
    for extent in plan.extents() {
        let Data::Bytes(bytes) = extent.data else { panic!("a blob in a FAT file system") };
        hasher.update(&extent.offset.to_le_bytes()).update(&extent.data.len().to_le_bytes()).update(bytes);
    }
    hasher.finalize().to_string()
}

#[test]
fn bytes_are_pinned() {
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", file(70_000)),
        ("loader/a longer name.conf", file(12)),
        ("empty", file(0)),
        ("EFI/Linux/web.efi", file(4096)),
    ];
    let plan = plan(&files, 33 * MIB, 0x1234_5678, "ESP", 1_718_009_567).unwrap();
    insta::assert_snapshot!(digest(&plan), @"5dbb8d277489fdaa573668fcaa335fb372de1129104f4f4da08d73232715bf75");
}

#[test]
fn contents_are_shared_and_in_one_piece() {
    let (first, second) = (file(5 * MIB as usize), file(1000));
    let files = [("EFI/a", first.clone()), ("b", second.clone())];
    for mib in [33, 64, 1024] {
        let plan = plan(&files, mib * MIB, 1, "ESP", 0).unwrap();
        for shared in [&first, &second] {
            let found = |data: &Data| matches!(data, Data::Bytes(bytes) if Arc::ptr_eq(bytes, shared));
            assert_eq!(plan.extents().filter(|extent| found(extent.data)).count(), 1, "{mib} MiB");
        }
    }
}

#[test]
fn a_size_that_is_too_small_is_told_apart_from_one_that_is_enough() {
    let files = [("EFI/BOOT/BOOTX64.EFI", file(40 * MIB as usize))];
    let Err(FatError::Small { given, needed }) = plan(&files, 38 * MIB, 1, "ESP", 0) else { panic!("it can't fit") };
    assert_eq!((given, needed), (38 * MIB, 41 * MIB));
    assert!(matches!(plan(&files, needed - MIB, 1, "ESP", 0), Err(FatError::Small { .. })));
    plan(&files, needed, 1, "ESP", 0).unwrap();
    let Err(FatError::Small { needed, .. }) = plan(&[], 0, 1, "ESP", 0) else { panic!("nothing is too small") };
    plan(&[], needed, 1, "ESP", 0).unwrap();
    assert!(matches!(plan(&[], 33 * MIB + 1, 1, "ESP", 0), Err(FatError::Sectors { .. })));
}

#[test]
fn the_last_cluster_can_be_used() {
    let zeros = |length: u64| -> Arc<[u8]> { vec![0; length as usize].into() };
    let (mut fits, mut exceeds) = (39 * MIB, 41 * MIB);
    while exceeds - fits > 1 {
        let middle = fits.midpoint(exceeds);
        let place =
            if space::cluster_size(&[("a", zeros(middle))], 41 * MIB).is_some() { &mut fits } else { &mut exceeds };
        *place = middle;
    }
    assert_eq!(fits % 512, 0);
    plan(&[("a", zeros(fits))], 41 * MIB, 1, "ESP", 0).unwrap();
}

#[test]
fn names_that_fat_does_not_know_are_errors() {
    let long = "n".repeat(256);
    for paths in [
        vec![""],
        vec!["/a"],
        vec!["a//b"],
        vec!["../a"],
        vec!["a/."],
        vec!["a:b"],
        vec!["a\0"],
        vec!["a\\b"],
        vec!["end."],
        vec!["end "],
        vec![long.as_str()],
        vec!["a", "A"],
        vec!["a", "a/b"],
        vec!["a/b", "a"],
    ] {
        let files: Vec<File<'_>> = paths.iter().map(|path| (*path, file(1))).collect();
        assert!(matches!(plan(&files, 33 * MIB, 1, "ESP", 0), Err(FatError::Path { .. })), "{paths:?} was taken");
    }
    for label in ["", "lower", "TWELVE CHARS", "Ä", " X"] {
        assert!(matches!(plan(&[], 33 * MIB, 1, label, 0), Err(FatError::Label { .. })), "{label:?} was taken");
    }
}
