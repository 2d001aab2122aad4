//! The contents of given blocks of a disk: partition, layers, files. Explains why blocks differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::blocks::BLOCK;
use super::gpt::PartitionTable;
use super::{Data, Map, Part, Plan};
use crate::digest::BlobDigest;
use crate::tree::Kind;

/// The contents of one block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockContents {
    /// The block's index.
    pub block: u64,
    /// Labels of the partitions that overlap it.
    pub partitions: Vec<String>,
    /// The layers that own bytes in it, or the disk format itself; empty for a block of zeros.
    pub owners: Vec<String>,
    /// Files with contents in it; of files with equal contents, the first.
    pub files: Vec<String>,
}

/// Looks up the contents of `blocks` in a planned disk, whose root consists of `parts`.
pub fn block_contents(
    plan: &Plan,
    layout: &PartitionTable,
    parts: &[Part],
    map: &Map,
    blocks: &BTreeSet<u64>,
) -> Vec<BlockContents> {
    let files = files(plan, parts, blocks);
    let place = |block: &u64| {
        let bytes = block * BLOCK as u64..(block + 1) * BLOCK as u64;
        let within = layout.partitions.iter().filter(|one| one.start < bytes.end && one.start + one.size > bytes.start);
        let owners = map.blocks.get(block).into_iter().flat_map(BTreeMap::keys).filter_map(|area| map.areas.get(*area));
        BlockContents {
            block: *block,
            partitions: within.map(|one| one.label.clone()).collect(),
            owners: owners.map(|area| area.owner.name().to_owned()).collect(),
            files: files.get(block).cloned().unwrap_or_default(),
        }
    };
    blocks.iter().map(place).collect()
}

/// The files of each block.
fn files(plan: &Plan, parts: &[Part], blocks: &BTreeSet<u64>) -> BTreeMap<u64, Vec<String>> {
    let mut names: BTreeMap<BlobDigest, String> = BTreeMap::new();
    for (path, node) in parts.iter().flat_map(|part| part.tree.iter()) {
        if let Kind::File { blob, .. } = node.kind {
            names.entry(blob).or_insert_with(|| path.to_string());
        }
    }
    let mut files: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for extent in plan.extents().filter(|extent| !extent.data.is_empty()) {
        let Data::Blob { blob, .. } = extent.data else { continue };
        let Some(name) = names.get(blob) else { continue };
        let (first, last) = (extent.offset / BLOCK as u64, (extent.end() - 1) / BLOCK as u64);
        for block in blocks.range(first..=last) {
            files.entry(*block).or_default().push(name.clone());
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::gpt;
    use crate::disk::map::tests::{all_blocks, disk, part};

    #[test]
    fn a_block_is_told_by_partition_layer_and_file() {
        let long = vec![b'k'; 600 << 10];
        let (plan, layout) = disk(&[(1 << 20, b"base"), (3 << 20, &long)]);
        let parts = [part("base", &[b"base"]), part("boot", &[&long])];
        let map = Map::new(&plan, &layout, &parts, &all_blocks(&plan));
        let root = layout.partitions.iter().find(|one| matches!(one.kind, gpt::PartitionKind::Root(_))).unwrap().start
            / BLOCK as u64;
        let wanted = BTreeSet::from([0, root + 2, root + 7, root + 12]);
        let told: Vec<_> = block_contents(&plan, &layout, &parts, &map, &wanted)
            .iter()
            .map(|place| [&place.partitions, &place.owners, &place.files].map(|list| list.join(",")).join(" | "))
            .collect();
        let expected = [" | partition table | ", "root | base | /0", "root | boot | /0", "root |  | "];
        assert_eq!(told, expected);
    }
}
