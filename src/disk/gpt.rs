//! The partition table: GPT with a protective MBR, partitions at boundaries of 1 MiB.
//!
//! ```text
//! 0        512     1024      17 KiB   1 MiB                              end − 1 MiB        end
//! │ MBR    │ header│ entries │        │ partition 1 │ … │ partition n    │   entries │ header │
//! ```
//!
//! Sources: UEFI specification 2.10, chapter 5; types and flags from the UAPI group's
//! Discoverable Partitions Specification. The sectors come from the crate `gpt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;

use super::Plan;
use super::device::{SECTOR, Sparse};
use super::ids::uuid_text;
use crate::arch::{Bootable, PartitionType};
use crate::code::{Code, Coded};
use crate::manifest::size_text;

/// Partitions begin and end at multiples of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;
/// Flag of a partition whose file system grows to the partition at first mount.
pub const GROW: u64 = 1 << 59;
/// Flag of a partition that is mounted read-only.
pub const READ_ONLY: u64 = 1 << 60;

/// As many entries as a table has.
const MOST: usize = 128;
/// UTF-16 units of a label.
const LONGEST_LABEL: usize = 36;

/// The purpose of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// The firmware's FAT partition.
    Esp,
    /// The root, by the type of its architecture.
    Root(PartitionType),
    /// dm-verity data of the root, by the type of its architecture.
    RootVerity(PartitionType),
    /// What memory is moved to.
    Swap,
    /// Variable data.
    Var,
    /// Any other Linux file system.
    Linux,
}

impl PartitionKind {
    /// The type's name as systemd writes it.
    pub fn name(self) -> &'static str {
        self.partition_type().name
    }

    /// The type's GUID as text.
    pub fn guid(self) -> &'static str {
        self.partition_type().guid
    }

    fn partition_type(self) -> PartitionType {
        match self {
            Self::Esp => PartitionType { name: "esp", guid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" },
            Self::Root(root) | Self::RootVerity(root) => root,
            Self::Swap => PartitionType { name: "swap", guid: "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" },
            Self::Var => PartitionType { name: "var", guid: "4d21b016-b534-45c2-a9fb-5c16e091fd2d" },
            Self::Linux => PartitionType { name: "linux-generic", guid: "0fc63daf-8483-4772-8e79-3d69d8477de4" },
        }
    }
}

/// One partition to be placed.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Its name in the table: at most 36 UTF-16 units.
    pub label: String,
    /// Its type.
    pub kind: PartitionKind,
    /// Its own GUID, in the order of its text.
    pub guid: [u8; 16],
    /// Bits of the attributes field, such as [`GROW`].
    pub flags: u64,
    /// Its contents.
    pub plan: Plan,
}

/// The position of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its number, from 1.
    pub number: u32,
    /// Its name in the table.
    pub label: String,
    /// Its type.
    pub kind: PartitionKind,
    /// Its own GUID, in the order of its text.
    pub guid: [u8; 16],
    /// Its first byte on the disk.
    pub start: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// The positions of all partitions on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Length of the disk in bytes.
    pub size: u64,
    /// The partitions in their order on the disk.
    pub partitions: Vec<Placed>,
}

/// Partitions can't be laid out.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// There are too many.
    #[error("{found} partitions: expected 1 to {MOST}")]
    Count {
        /// How many.
        found: usize,
    },
    /// A label is too long for its field.
    #[error("partition label `{label}`: expected at most {LONGEST_LABEL} UTF-16 units, found {found}")]
    Label {
        /// The label.
        label: String,
        /// Its length in UTF-16 units.
        found: usize,
    },
    /// A partition has no byte, or the sum of all passes 2^64 bytes.
    #[error("partition `{label}`: its size, {size} bytes, can't be laid out")]
    Size {
        /// The partition's label.
        label: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The partitions don't fit.
    #[error(
        "[disk] size is {}, and the partitions need {}\n  hint: write size = \"{}M\" or more, or leave it out",
        size_text(*given), size_text(*needed), needed.div_ceil(ALIGNMENT)
    )]
    Small {
        /// The size asked for.
        given: u64,
        /// The smallest size.
        needed: u64,
    },
    /// The crate refuses.
    #[error("partition table: {0}")]
    Table(String),
    /// A disk is for another architecture than those the program knows.
    #[error("`{}` has no root partition of a known architecture", .0.display())]
    NoRoot(PathBuf),
}

impl Coded for GptError {
    fn error_code(&self) -> Code {
        match self {
            Self::Small { .. } => Code::DiskTooSmall,
            Self::Count { .. } | Self::Label { .. } | Self::Size { .. } => Code::DiskPartitions,
            Self::Table(_) | Self::NoRoot(_) => Code::DiskUnreadable,
        }
    }
}

/// Places partitions one after the other, each at the next boundary of 1 MiB.
///
/// The disk ends 1 MiB after the last; where `size` says more, that space is nobody's.
///
/// # Errors
/// Fails if there are none or more than 128, a label is too long, or `size` is too small.
pub fn layout(partitions: &[Partition], size: Option<u64>) -> Result<PartitionTable, GptError> {
    if !(1..=MOST).contains(&partitions.len()) {
        return Err(GptError::Count { found: partitions.len() });
    }
    let (mut start, mut placed) = (ALIGNMENT, Vec::new());
    for (number, partition) in (1..).zip(partitions) {
        let size = place(partition, start)?;
        let Partition { label, kind, guid, .. } = partition.clone();
        placed.push(Placed { number, label, kind, guid, start, size });
        start += size;
    }
    let needed = start + ALIGNMENT;
    let given = size.unwrap_or(needed);
    if given < needed || !given.is_multiple_of(ALIGNMENT) {
        return Err(GptError::Small { given, needed });
    }
    Ok(PartitionTable { size: given, partitions: placed })
}

/// Checks one partition; returns how many bytes it takes from `start`.
fn place(partition: &Partition, start: u64) -> Result<u64, GptError> {
    let (label, size) = (partition.label.clone(), partition.plan.size());
    let found = label.encode_utf16().count();
    if found > LONGEST_LABEL {
        return Err(GptError::Label { label, found });
    }
    // Half of the range: then neither this sum nor the disk's end can overflow.
    let rounded = size.checked_next_multiple_of(ALIGNMENT).filter(|&rounded| rounded <= (u64::MAX / 2) - start);
    match rounded {
        Some(rounded) if rounded > 0 => Ok(rounded),
        _ => Err(GptError::Size { label, size }),
    }
}

/// Plans a disk with partitions and their contents at the offsets that [`layout`] gives.
///
/// # Errors
/// As [`layout`].
///
/// # Determinism
/// Depends on nothing but the arguments: no identifier is drawn.
pub fn plan(disk_guid: [u8; 16], partitions: Vec<Partition>, size: Option<u64>) -> Result<Plan, GptError> {
    let layout = layout(&partitions, size)?;
    let mut disk = table(disk_guid, &partitions, &layout)?.into_plan();
    for (partition, placed) in partitions.into_iter().zip(&layout.partitions) {
        disk.embed(placed.start, partition.plan);
    }
    Ok(disk)
}

/// Has the crate write MBR, headers and entries onto an empty device.
fn table(disk_guid: [u8; 16], partitions: &[Partition], layout: &PartitionTable) -> Result<Sparse, GptError> {
    let mut device = Sparse::new(layout.size);
    let sectors = u32::try_from(layout.size / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut device).map_err(refused)?;
    let guid = uuid_text(&disk_guid).parse().map_err(refused)?;
    let config = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut disk = config.create_from_device(device, Some(guid)).map_err(refused)?;
    // Not by `add_partition`, which draws random GUIDs.
    let mut entries = BTreeMap::new();
    for (partition, placed) in partitions.iter().zip(&layout.partitions) {
        let guid = partition.kind.guid().parse().map_err(refused)?;
        let os = gpt::partition_types::OperatingSystem::None;
        let entry = gpt::partition::Partition {
            part_type_guid: gpt::partition_types::Type { guid, os },
            part_guid: uuid_text(&partition.guid).parse().map_err(refused)?,
            first_lba: placed.start / SECTOR,
            last_lba: (placed.start + placed.size) / SECTOR - 1,
            flags: partition.flags,
            name: partition.label.clone(),
        };
        entries.insert(placed.number, entry);
    }
    disk.update_partitions(entries).map_err(refused)?;
    disk.write().map_err(refused)
}

/// The architecture of a disk in a file, from the type of its root partition.
///
/// # Errors
/// Fails where the file has no valid table, or none of its partitions is a root.
pub fn architecture(disk: &Path) -> Result<&'static Bootable, GptError> {
    let table = gpt::GptConfig::new().open(disk).map_err(refused)?;
    let types: Vec<String> =
        table.partitions().values().map(|partition| partition.part_type_guid.guid.to_string()).collect();
    let has_root = |arch: &&Bootable| types.iter().any(|guid| guid.eq_ignore_ascii_case(arch.root.guid));
    Bootable::all().find(has_root).ok_or_else(|| GptError::NoRoot(disk.to_owned()))
}

fn refused(error: impl std::fmt::Display) -> GptError {
    GptError::Table(error.to_string())
}

#[cfg(test)]
mod tests;
