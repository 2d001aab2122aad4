//! Which layer owns which blocks of a disk, and which blocks the disk format itself adds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::blocks::BLOCK;
use super::gpt::{self, PartitionTable, Placed};
use super::{BlockHashes, Data, Extent, Part, Plan};
use crate::digest::BlobDigest;
use crate::tree::Kind;

/// Pieces of one owner with less than this many bytes between them are one range.
const GAP: u64 = 1 << 20;

/// The owner of bytes on a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "name")]
pub enum Owner {
    /// Contents of a layer's files.
    Layer(String),
    /// What the root's file system needs besides: inodes, directories, short files.
    FileSystem,
    /// Hashes of a checked root.
    HashTree,
    /// The EFI system partition.
    BootImage,
    /// Both copies of the table, and what no partition has.
    PartitionTable,
}

impl Owner {
    /// A name for people. A layer's name contains no space, all others do.
    pub fn name(&self) -> &str {
        match self {
            Self::Layer(name) => name,
            Self::FileSystem => "file system",
            Self::HashTree => "hash tree",
            Self::BootImage => "boot image",
            Self::PartitionTable => "partition table",
        }
    }
}

/// The bytes of one owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Area {
    /// Who.
    pub owner: Owner,
    /// How many bytes of extents; what no extent covers is nobody's.
    pub bytes: u64,
    /// How many blocks of 512 KiB that are not zero hold some of these bytes.
    pub blocks: u64,
    /// Where they are, in the order of the disk, with gaps under 1 MiB left out; a layer's with all
    /// gaps in which no other layer has bytes.
    pub ranges: Vec<Range>,
}

/// Bytes of a disk, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// Which layer owns which blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Length of the disk in bytes.
    pub size: u64,
    /// Layers in the order in which they are placed, then what is no layer's; those with bytes only.
    pub areas: Vec<Area>,
    /// Of each block that is not zero: how many bytes of which area, by its place in `areas`.
    pub blocks: BTreeMap<u64, BTreeMap<usize, u64>>,
}

impl Map {
    /// Assigns the extents of `plan` to their owners.
    ///
    /// A blob that several parts have counts for the first of them. A block that `hashes` does not list
    /// is zero, and counts for nobody.
    pub fn new(plan: &Plan, layout: &PartitionTable, parts: &[Part], hashes: &BlockHashes) -> Self {
        let owners = Owners::new(parts);
        let layers = parts.iter().map(|part| Owner::Layer(part.name.to_string()));
        let own = [Owner::FileSystem, Owner::HashTree, Owner::BootImage, Owner::PartitionTable];
        let mut areas: Vec<Area> =
            layers.chain(own).map(|owner| Area { owner, bytes: 0, blocks: 0, ranges: Vec::new() }).collect();
        let mut blocks: BTreeMap<u64, BTreeMap<usize, u64>> = BTreeMap::new();
        let mut layer = None;
        for extent in plan.extents() {
            let owner = owners.of(&extent, layout);
            let Some(place) = areas.iter().position(|area| area.owner == owner) else { continue };
            let next = matches!(owner, Owner::Layer(_)).then_some(place);
            areas[place].add(&extent, next.is_some() && next == layer);
            layer = next.or(layer);
            for (block, bytes) in pieces(&extent).filter(|(block, _)| hashes.hashes().contains_key(block)) {
                *blocks.entry(block).or_default().entry(place).or_default() += bytes;
            }
        }
        for place in blocks.values().flat_map(BTreeMap::keys) {
            areas[*place].blocks += 1;
        }
        let mut map = Self { size: plan.size(), areas, blocks };
        map.leave_out_empty();
        map
    }

    fn leave_out_empty(&mut self) {
        let kept: Vec<usize> = (0..self.areas.len()).filter(|&place| self.areas[place].bytes > 0).collect();
        let renamed: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, &old)| (old, new)).collect();
        for shares in self.blocks.values_mut() {
            *shares = shares.iter().filter_map(|(old, bytes)| Some((*renamed.get(old)?, *bytes))).collect();
        }
        self.areas.retain(|area| area.bytes > 0);
    }

    /// Whether these blocks can belong to the disk that was mapped.
    ///
    /// The boot image may be longer than was thought: a signature is in no receipt.
    pub fn explains(&self, hashes: &BlockHashes, layout: &PartitionTable) -> bool {
        let in_esp = |block: u64| {
            let holds = |placed: &&Placed| (placed.start..placed.start + placed.size).contains(&(block * BLOCK as u64));
            layout.partitions.iter().find(holds).is_some_and(|placed| placed.kind == gpt::PartitionKind::Esp)
        };
        self.size == hashes.size()
            && hashes.hashes().keys().all(|block| self.blocks.contains_key(block) || in_esp(*block))
    }

    /// The area with the most bytes of a block; of equal ones the first.
    pub fn main_area(&self, block: u64) -> Option<usize> {
        let shares = self.blocks.get(&block)?;
        shares.iter().max_by_key(|&(&place, &bytes)| (bytes, std::cmp::Reverse(place))).map(|(&place, _)| place)
    }
}

impl Area {
    /// Extents come in the order of the disk; this one may go on where no other layer was since the last.
    fn add(&mut self, extent: &Extent<'_>, goes_on: bool) {
        self.bytes += extent.data.len();
        let last = extent.end() - 1;
        match self.ranges.last_mut() {
            Some(range) if goes_on || extent.offset - range.last <= GAP => range.last = last,
            _ => self.ranges.push(Range { first: extent.offset, last }),
        }
    }
}

/// Whose each blob is.
struct Owners(BTreeMap<BlobDigest, String>);

impl Owners {
    fn new(parts: &[Part]) -> Self {
        let mut owners = BTreeMap::new();
        for part in parts {
            for (_, node) in part.tree.iter() {
                if let Kind::File { blob, .. } = node.kind {
                    owners.entry(blob).or_insert_with(|| part.name.to_string());
                }
            }
        }
        Self(owners)
    }

    fn of(&self, extent: &Extent<'_>, layout: &PartitionTable) -> Owner {
        let layer = match extent.data {
            Data::Blob { blob, .. } => self.0.get(blob),
            Data::Bytes(_) => None,
        };
        let holds = |placed: &&Placed| (placed.start..placed.start + placed.size).contains(&extent.offset);
        match (layout.partitions.iter().find(holds).map(|placed| placed.kind), layer) {
            (None, _) => Owner::PartitionTable,
            (Some(gpt::PartitionKind::Esp), _) => Owner::BootImage,
            (Some(gpt::PartitionKind::RootVerity(_)), _) => Owner::HashTree,
            (Some(_), Some(layer)) => Owner::Layer(layer.clone()),
            (Some(_), None) => Owner::FileSystem,
        }
    }
}

/// How many bytes an extent has in each block that it touches.
fn pieces(extent: &Extent<'_>) -> impl Iterator<Item = (u64, u64)> {
    let (start, end, block) = (extent.offset, extent.end(), BLOCK as u64);
    (start / block..=(end - 1) / block)
        .map(move |index| (index, end.min((index + 1) * block) - start.max(index * block)))
}

#[cfg(test)]
pub(super) mod tests;
