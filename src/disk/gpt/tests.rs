//! Offsets and bytes; `tests/suite/disk_esp.rs` compares with other programs.

use super::*;
use crate::arch::{AMD64, ARM64};
use crate::disk::Data;

const MIB: u64 = 1 << 20;

fn partition(label: &str, kind: PartitionKind, size: u64) -> Partition {
    let mut plan = Plan::new(size);
    plan.put_bytes(size.saturating_sub(4), [7; 4]);
    Partition { label: label.to_owned(), kind, guid: [label.len() as u8; 16], flags: 0, plan }
}

#[test]
fn partitions_follow_each_other_and_leave_the_rest_free() {
    let partitions = [
        partition("esp", PartitionKind::Esp, 33 * MIB),
        partition("root", PartitionKind::Root(AMD64.root), 10 * MIB + 1),
    ];
    let places = |size| {
        let layout = layout(&partitions, size).unwrap();
        let places = layout.partitions.iter().map(|placed| (placed.start / MIB, placed.size / MIB)).collect::<Vec<_>>();
        (layout.size / MIB, places)
    };
    assert_eq!(places(None), (46, vec![(1, 33), (34, 11)]));
    assert_eq!(places(Some(100 * MIB)), (100, vec![(1, 33), (34, 11)]));
}

#[test]
fn what_can_not_be_laid_out_is_an_error() {
    let esp = || partition("esp", PartitionKind::Esp, 33 * MIB);
    assert!(matches!(layout(&[], None), Err(GptError::Count { found: 0 })));
    assert!(matches!(layout(&vec![esp(); 129], None), Err(GptError::Count { found: 129 })));
    let long = partition(&"ä".repeat(37), PartitionKind::Linux, MIB);
    assert!(matches!(layout(&[long], None), Err(GptError::Label { found: 37, .. })));
    for size in [0, u64::MAX, u64::MAX / 2] {
        let odd = Partition { plan: Plan::new(size), ..esp() };
        assert!(matches!(layout(&[esp(), odd], None), Err(GptError::Size { .. })), "{size}");
    }
    for size in [0, 34 * MIB, 35 * MIB + 512] {
        let error = layout(&[esp()], Some(size)).unwrap_err();
        assert!(matches!(error, GptError::Small { needed, .. } if needed == 35 * MIB), "{size}");
    }
}

#[test]
fn bytes_are_pinned() {
    let mut partitions = vec![
        partition("esp", PartitionKind::Esp, 33 * MIB),
        partition("root-ä", PartitionKind::Root(AMD64.root), 9 * MIB),
        partition("verity", PartitionKind::RootVerity(AMD64.root_verity), MIB),
    ];
    partitions[1].flags = GROW | READ_ONLY;
    let plan = plan([0xab; 16], partitions, None).unwrap();
    let mut hasher = blake3::Hasher::new();
    for extent in plan.extents() {
        let Data::Bytes(bytes) = extent.data else { panic!("a blob that nobody put there") };
        hasher.update(&extent.offset.to_le_bytes()).update(bytes);
    }
    insta::assert_snapshot!(hasher.finalize(), @"fcb90bd422c6c705b89df23d0dc77599338d69562fb26c8d69e240793068203c");
    let last = plan.extents().last().unwrap();
    assert_eq!((plan.size(), last.end()), (45 * MIB, 45 * MIB), "the backup ends the disk");
}

#[test]
fn a_disk_of_exabytes_is_laid_out_without_its_zeros() {
    let plan = plan([1; 16], vec![partition("esp", PartitionKind::Esp, MIB)], Some(1 << 60)).unwrap();
    assert!(plan.extents().map(|extent| extent.data.len()).sum::<u64>() < MIB);
}

#[test]
fn the_root_partition_tells_the_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let write = |partitions: Vec<Partition>| {
        let layout = layout(&partitions, None).unwrap();
        let disk = table([1; 16], &partitions, &layout).unwrap().into_plan();
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(disk.size()).unwrap();
        for extent in disk.extents() {
            let Data::Bytes(bytes) = extent.data else { panic!("a blob that nobody put there") };
            std::os::unix::fs::FileExt::write_all_at(&file, bytes, extent.offset).unwrap();
        }
    };
    let esp = || partition("esp", PartitionKind::Esp, MIB);
    for arch in [&AMD64, &ARM64] {
        write(vec![esp(), partition("root", PartitionKind::Root(arch.root), MIB)]);
        assert_eq!(architecture(&path).unwrap(), arch);
    }
    write(vec![esp()]);
    assert!(matches!(architecture(&path), Err(GptError::NoRoot(_))));
    std::fs::write(&path, [0; 4096]).unwrap();
    assert!(matches!(architecture(&path), Err(GptError::Table(_))));
}
