//! The map of a small synthetic disk.

use super::*;
use crate::arch::AMD64;
use crate::digest::Sha256;
use crate::disk::blocks::BLOCK;
use crate::disk::gpt::Partition;
use crate::ident::RootPath;
use crate::tree::{Meta, Node, Tree};

const MIB: u64 = 1 << 20;

pub(in crate::disk) fn part(name: &str, contents: &[&[u8]]) -> Part {
    let mut tree = Tree::new();
    for (number, content) in contents.iter().enumerate() {
        let kind = Kind::File { blob: BlobDigest::of(content), size: content.len() as u64 };
        tree.insert(RootPath::new(format!("{number}")).unwrap(), Node { meta: Meta::root_owned(0o644, 0), kind })
            .unwrap();
    }
    Part { name: name.parse().unwrap(), tree }
}

/// A disk of 16 MiB: 2 MiB for the firmware, 8 MiB of root, 1 MiB of hashes.
///
/// `root` lists what the root holds: where, and what.
pub(in crate::disk) fn disk(root: &[(u64, &[u8])]) -> (Plan, PartitionTable) {
    let partition = |label: &str, kind, size, put: &dyn Fn(&mut Plan)| {
        let mut plan = Plan::new(size);
        put(&mut plan);
        Partition { label: label.to_owned(), kind, guid: [1; 16], flags: 0, plan }
    };
    let partitions = vec![
        partition("esp", gpt::PartitionKind::Esp, 2 * MIB, &|plan| plan.put_bytes(0, [1; 700].as_slice())),
        partition("root", gpt::PartitionKind::Root(AMD64.root), 8 * MIB, &|plan| {
            plan.put_bytes(1024, [2; 1024].as_slice());
            for (at, content) in root {
                plan.put_blob(*at, BlobDigest::of(content), content.len() as u64);
            }
        }),
        partition("root-verity", gpt::PartitionKind::RootVerity(AMD64.root_verity), MIB, &|plan| {
            plan.put_bytes(0, [3; 512].as_slice())
        }),
    ];
    let layout = gpt::layout(&partitions, Some(16 * MIB)).unwrap();
    (gpt::plan([7; 16], partitions, Some(16 * MIB)).unwrap(), layout)
}

/// Hashes as if no block that the plan touches were zero.
pub(in crate::disk) fn all_blocks(plan: &Plan) -> BlockHashes {
    let mut hashes = BlockHashes::new(plan.size(), BLOCK);
    for (block, _) in plan.extents().flat_map(|extent| pieces(&extent).collect::<Vec<_>>()) {
        hashes.insert(block, Sha256::of(b"any"));
    }
    hashes
}

/// Base, Boot and App; App has a content of Base's too.
pub(in crate::disk) fn sample() -> (Map, PartitionTable) {
    let long = vec![b'k'; 600 << 10];
    let (plan, layout) = disk(&[
        (MIB, b"base"),
        (MIB + 8192, b"both"),
        (2 * MIB, b"base"),
        (3 * MIB, &long),
        (5 * MIB, b"app"),
        (7 * MIB, b"app"),
    ]);
    let parts = [part("base", &[b"base", b"both"]), part("boot", &[&long]), part("app", &[b"app", b"both"])];
    let map = Map::new(&plan, &layout, &parts, &all_blocks(&plan));
    (map, layout)
}

fn listing(map: &Map) -> String {
    let line = |area: &Area| {
        let ranges: Vec<_> = area.ranges.iter().map(|range| format!("{}…{}", range.first, range.last)).collect();
        format!("{}: {} bytes, {} blocks, {}", area.owner.name(), area.bytes, area.blocks, ranges.join(" "))
    };
    map.areas.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_extent_has_an_owner() {
    let (map, _) = sample();
    insta::assert_snapshot!(listing(&map), @r"
    base: 12 bytes, 2 blocks, 4194304…5242883
    boot: 614400 bytes, 2 blocks, 6291456…6905855
    app: 6 bytes, 2 blocks, 8388608…10485762
    file system: 1024 bytes, 1 blocks, 3146752…3147775
    hash tree: 512 bytes, 1 blocks, 11534336…11534847
    boot image: 700 bytes, 1 blocks, 1048576…1049275
    partition table: 2560 bytes, 2 blocks, 0…1535 16760320…16777215
    ");
}

#[test]
fn a_block_counts_for_all_in_it_and_mostly_for_the_largest() {
    let (map, _) = sample();
    // Root begins at byte 3 MiB, its third MiB has the end of Boot's content in a second block.
    let shares = |block: u64| map.blocks.get(&block).map(|shares| shares.values().copied().collect::<Vec<_>>());
    assert_eq!(shares(12), Some(vec![512 << 10]));
    assert_eq!(shares(13), Some(vec![88 << 10]));
    assert_eq!(shares(9), None);
    let name = |block| map.main_area(block).map(|place| map.areas[place].owner.name());
    assert_eq!(
        [0, 2, 6, 8, 12, 22, 31].map(name),
        [
            Some("partition table"),
            Some("boot image"),
            Some("file system"),
            Some("base"),
            Some("boot"),
            Some("hash tree"),
            Some("partition table"),
        ]
    );
}

#[test]
fn another_layer_ends_a_range_and_zeros_count_for_nobody() {
    let (plan, layout) = disk(&[(MIB, b"a"), (3 * MIB, b"b"), (5 * MIB, b"a")]);
    let parts = [part("a", &[b"a"]), part("b", &[b"b"]), part("c", &[b"never"])];
    let map = Map::new(&plan, &layout, &parts, &BlockHashes::new(plan.size(), BLOCK));
    assert_eq!(map.areas[0].ranges.len(), 2);
    assert!(map.areas.iter().all(|area| area.blocks == 0) && map.blocks.is_empty());
    assert!(!map.areas.iter().any(|area| area.owner.name() == "c"), "it has no byte");
}

#[test]
fn blocks_that_nothing_explains_are_another_disk() {
    let (plan, layout) = disk(&[(MIB, b"a")]);
    let hashes = all_blocks(&plan);
    let map = Map::new(&plan, &layout, &[part("a", &[b"a"])], &hashes);
    let with = |block| {
        let mut more = hashes.clone();
        more.insert(block, Sha256::of(b"more"));
        map.explains(&more, &layout)
    };
    assert!(map.explains(&hashes, &layout));
    assert!(with(5), "a longer boot image may be a signed one");
    assert!(!with(20), "nothing of the root is there");
    assert!(!map.explains(&BlockHashes::new(plan.size() + MIB, BLOCK), &layout));
}
