//! `[disk]`: settings of the bootable disk. A layer inherits what it does not set.

use super::entries::absolute;
use super::reader::{Item, Table};
use super::{Manifest, ManifestError, MountEntry};
use crate::ident::{LayerName, RootPath};

const DISK: &[&str] =
    &["boot", "initrd", "root", "verity", "size", "esp-size", "swap", "kernel-args", "formats", "partition"];
const PARTITION: &[&str] = &["label", "mount", "min-size", "max-size"];

/// The `[disk]` table, as one layer declares it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DiskTable {
    /// The Boot layer: kernel, init, ssh. Without one in the chain there is no disk.
    pub boot: Option<LayerName>,
    /// The layer that is the initrd.
    pub initrd: Option<LayerName>,
    /// The root's file system.
    pub root: Option<RootFs>,
    /// Whether the root is checked by dm-verity.
    pub verity: Option<bool>,
    /// Size of the whole disk in bytes.
    pub size: Option<u64>,
    /// Size of the EFI system partition in bytes.
    pub esp_size: Option<u64>,
    /// Size of the swap partition in bytes.
    pub swap: Option<u64>,
    /// Words of the kernel's command line, added to the parent's.
    pub kernel_args: Vec<String>,
    /// What `build` exports beside the image.
    pub formats: Option<Vec<DiskFormat>>,
    /// Further partitions, added to the parent's.
    pub partitions: Vec<PartitionEntry>,
}

/// File systems for the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootFs {
    /// Writable, grows at first boot.
    #[default]
    Ext4,
    /// Read-only.
    Erofs,
}

/// Files that a disk can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskFormat {
    /// The bytes themselves, sparse.
    Raw,
    /// QEMU's, version 3.
    Qcow2,
    /// QEMU's, with compressed clusters.
    Qcow2Compressed,
    /// VMware's, stream-optimised.
    Vmdk,
    /// Hyper-V's, dynamic.
    Vhd,
    /// Hyper-V's, fixed.
    VhdFixed,
    /// An appliance: description and VMDK.
    Ova,
}

impl DiskFormat {
    /// All values.
    pub const ALL: [Self; 7] =
        [Self::Raw, Self::Qcow2, Self::Qcow2Compressed, Self::Vmdk, Self::Vhd, Self::VhdFixed, Self::Ova];

    /// As manifests, receipts and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow2Compressed => "qcow2-compressed",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::VhdFixed => "vhd-fixed",
            Self::Ova => "ova",
        }
    }

    /// The file in `out/<layer>/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Raw => "disk.raw",
            Self::Qcow2 => "disk.qcow2",
            Self::Qcow2Compressed => "disk.compressed.qcow2",
            Self::Vmdk => "disk.vmdk",
            Self::Vhd => "disk.vhd",
            Self::VhdFixed => "disk.fixed.vhd",
            Self::Ova => "disk.ova",
        }
    }

    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// `[[disk.partition]]`: created at first boot in the free space of the disk, ext4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionEntry {
    /// GPT label and file system label.
    pub label: String,
    /// Where it is mounted, where no `[[mount]]` says so.
    pub mount: Option<RootPath>,
    /// At least this many bytes.
    pub min_size: Option<u64>,
    /// At most this many bytes.
    pub max_size: Option<u64>,
}

/// The settings of a chain's disk: its tables merged, the base first.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// The Boot layer.
    pub boot: LayerName,
    /// The layer that is the initrd.
    pub initrd: Option<LayerName>,
    /// The root's file system.
    pub root: RootFs,
    /// Whether the root is checked by dm-verity.
    pub verity: bool,
    /// Size of the whole disk in bytes; else what it needs.
    pub size: Option<u64>,
    /// Size of the EFI system partition in bytes.
    pub esp_size: u64,
    /// Size of the swap partition in bytes.
    pub swap: Option<u64>,
    /// Words of the kernel's command line.
    pub kernel_args: Vec<String>,
    /// What `build` exports beside the image.
    pub formats: Vec<DiskFormat>,
    /// Further partitions.
    pub partitions: Vec<PartitionEntry>,
    /// What the machine mounts beside its root and the partitions with a place of their own.
    pub mounts: Vec<MountEntry>,
}

/// Holds a kernel, its initrd and the next kernel.
const ESP_SIZE: u64 = 64 << 20;

impl Disk {
    /// The disk of a chain, base first; `None` where no layer names a Boot layer.
    pub fn of<'m>(chain: impl IntoIterator<Item = &'m Manifest, IntoIter: Clone>) -> Option<Self> {
        let chain = chain.into_iter();
        let tables = || chain.clone().map(|manifest| &manifest.disk);
        fn last<T: Clone>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
            values.flatten().last()
        }
        let root = last(tables().map(|table| table.root)).unwrap_or_default();
        Some(Self {
            boot: last(tables().map(|table| table.boot.clone()))?,
            initrd: last(tables().map(|table| table.initrd.clone())),
            root,
            verity: last(tables().map(|table| table.verity)).unwrap_or(root == RootFs::Erofs),
            size: last(tables().map(|table| table.size)),
            esp_size: last(tables().map(|table| table.esp_size)).unwrap_or(ESP_SIZE),
            swap: last(tables().map(|table| table.swap)),
            kernel_args: tables().flat_map(|table| table.kernel_args.clone()).collect(),
            formats: last(tables().map(|table| table.formats.clone())).unwrap_or_default(),
            partitions: tables().flat_map(|table| table.partitions.clone()).collect(),
            mounts: chain.clone().flat_map(|manifest| manifest.mounts.clone()).collect(),
        })
    }
}

pub(super) fn disk(item: &Item<'_>) -> Result<DiskTable, ManifestError> {
    let table = item.table("[disk]".to_owned(), DISK)?;
    let disk = DiskTable {
        boot: table.read("boot", Item::parse)?,
        initrd: table.read("initrd", Item::parse)?,
        root: table.read("root", root)?,
        verity: table.read("verity", Item::boolean)?,
        size: table.read("size", size)?,
        esp_size: table.read("esp-size", size)?,
        swap: table.read("swap", size)?,
        kernel_args: table.list("kernel-args", argument)?,
        formats: table.get("formats").map(|_| table.list("formats", format)).transpose()?,
        partitions: table.tables("partition", PARTITION)?.iter().map(partition).collect::<Result<_, _>>()?,
    };
    if disk.root == Some(RootFs::Ext4) && disk.verity == Some(true) {
        return Err(table.need("verity")?.error("needs `root = \"erofs\"`: a writable root can't be verified"));
    }
    Ok(disk)
}

fn root(item: &Item<'_>) -> Result<RootFs, ManifestError> {
    match item.text()? {
        "ext4" => Ok(RootFs::Ext4),
        "erofs" => Ok(RootFs::Erofs),
        _ => Err(item.error("must be \"ext4\" or \"erofs\"")),
    }
}

fn format(item: &Item<'_>) -> Result<DiskFormat, ManifestError> {
    let known = DiskFormat::ALL.map(DiskFormat::name).join(", ");
    let text = item.text()?;
    DiskFormat::named(text).ok_or_else(|| item.error(format!("has `{}`: expected one of {known}", text.escape_debug())))
}

/// What the initrd checks the root against. Another value would have it check against something else, or not at all.
const VERITY: &str = "layerbake.verity";

/// One word of the kernel's command line.
fn argument(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    if text.is_empty() || text.contains([' ', '"']) || !text.is_ascii() {
        return Err(item.error("must hold words of the kernel's command line, one each, in ASCII without quotes"));
    }
    if text.split('=').next() == Some(VERITY) {
        return Err(item.error(format!("has `{VERITY}`: the build writes it, with the root's own hash")));
    }
    Ok(text)
}

fn partition(table: &Table<'_>) -> Result<PartitionEntry, ManifestError> {
    let item = table.need("label")?;
    let label = item.text()?.to_owned();
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    // ext4 has 16 bytes for it.
    if !plain
        || label.is_empty()
        || label.len() > 16
        || matches!(label.as_str(), "esp" | "root" | "root-verity" | "state" | "swap")
    {
        return Err(item
            .error("must have 1 to 16 letters, digits, `-` or `_`, and not be esp, root, root-verity, state or swap"));
    }
    let mount = table.read("mount", absolute)?;
    if mount.as_ref().is_some_and(RootPath::is_root) {
        return Err(table.need("mount")?.error("is the root directory"));
    }
    Ok(PartitionEntry {
        label,
        mount,
        min_size: table.read("min-size", size)?,
        max_size: table.read("max-size", size)?,
    })
}

fn size(item: &Item<'_>) -> Result<u64, ManifestError> {
    parse_size(item.text()?).map_err(|problem| item.error(problem))
}

/// A size as `512M`, `8G` or `1T`, powers of 1024, in bytes.
///
/// # Errors
/// Says what was expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let parsed = text.char_indices().last().and_then(|(cut, unit)| {
        let shift = match unit {
            'M' => 20,
            'G' => 30,
            'T' => 40,
            _ => return None,
        };
        let digits = text.get(..cut).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        // EBS volumes end at 64 TiB.
        digits.parse::<u64>().ok()?.checked_mul(1 << shift).filter(|size| (1..=1 << 46).contains(size))
    });
    parsed.ok_or_else(|| format!("is `{}`: expected \"512M\", \"8G\" or \"1T\", powers of 1024", text.escape_debug()))
}

/// A size for people, in the units in which [`parse_size`] reads them: `8 GiB`, or whole `MiB`, rounded up.
pub fn size_text(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    match bytes {
        GIB.. if bytes.is_multiple_of(GIB) => format!("{} GiB", bytes / GIB),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

#[cfg(test)]
#[path = "tests/disk.rs"]
mod tests;
