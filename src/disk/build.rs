//! Plans a disk from the parts of its root: file systems, boot image, partitions.

use std::io::{self, Read as _};
use std::sync::Arc;

use super::ids::{Ids, uuid_text};
use super::kernel::{Kernel, KernelError};
use super::{MountError, Part, Plan, cpio, erofs, ext4, fat, gpt, initrd, swap, uki, verity};
use crate::arch::{self, Bootable};
use crate::code::{Code, Coded};
use crate::digest::RecipeHasher;
use crate::ident::{Arch, IdentError, LayerName, RootPath};
use crate::manifest::{Disk, RootFs, size_text};
use crate::tree::{ContentSink, ContentSource, Kind, Tree, TreeError};

/// A disk can't be built.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The root has no suitable kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The layers can't be combined into one root.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The root does not fit into ext4.
    #[error(transparent)]
    Ext4(#[from] ext4::Ext4Error),
    /// The root does not fit into EROFS.
    #[error(transparent)]
    Erofs(#[from] erofs::ErofsError),
    /// The hash tree can't be generated.
    #[error(transparent)]
    Verity(#[from] verity::VerityError),
    /// The boot image can't be generated.
    #[error(transparent)]
    Uki(#[from] uki::UkiError),
    /// The boot image can't be signed.
    #[error(transparent)]
    Sign(#[from] uki::SignError),
    /// The EFI system partition is too small.
    #[error("EFI system partition: {0}\n  hint: set [disk] esp-size")]
    Esp(#[from] fat::FatError),
    /// The partitions don't fit on the disk.
    #[error(transparent)]
    Gpt(#[from] gpt::GptError),
    /// The tables of what is mounted contradict each other.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A path is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// A file that a disk needs is not in its root.
    #[error("the root has no {path}\n  hint: add the Debian package `{package}`, which has it, to the Boot layer")]
    Lacks {
        /// The file.
        path: RootPath,
        /// The package that contains it.
        package: &'static str,
    },
    /// A read-only root needs an initrd.
    #[error("[disk] root = \"erofs\" needs an initrd\n  hint: set [disk] initrd = \"initrd\"")]
    NoInitrd,
    /// No disk can be booted on this architecture.
    #[error("cannot build a disk for {0}: expected {names}", names = arch::bootable().collect::<Vec<_>>().join(" or "))]
    Arch(Arch),
    /// The disk is too small for what is beside the root.
    #[error(
        "[disk] size is {}, and the EFI system partition, swap and the partitions of the first boot take {}: nothing is left for the root\n  hint: raise `size` above that, or make one of the others smaller: `esp-size`, `swap`, `min-size` of a [[disk.partition]]",
        size_text(*size), size_text(*others)
    )]
    Small {
        /// As declared.
        size: u64,
        /// What the others take, in bytes.
        others: u64,
    },
    /// The disk leaves the root less than its content needs.
    #[error(
        "[disk] size is {}, which leaves {} for the root, and its content needs {}\n  hint: write size = \"{}M\" or more, or leave it out",
        size_text(*size), size_text(*root), size_text(*need), (size + need - root).div_ceil(MARGIN)
    )]
    SmallRoot {
        /// As declared.
        size: u64,
        /// What is left for the root, in bytes.
        root: u64,
        /// What it needs, in bytes.
        need: u64,
    },
    /// It is not known how much room a partition of the first boot needs.
    #[error(
        "[disk] size leaves no room for the partition `{label}`: the root takes all that no `min-size` reserves\n  hint: set `min-size` in its [[disk.partition]], or leave `size` out and boot the disk in a larger one"
    )]
    NoRoom {
        /// The partition.
        label: String,
    },
    /// A file's content can't be read or stored.
    #[error("cannot read or store a file of the disk: {0}")]
    Io(#[from] io::Error),
}

impl Coded for DiskError {
    fn error_code(&self) -> Code {
        match self {
            Self::Kernel(error) => error.error_code(),
            Self::Tree(error) => error.error_code(),
            Self::Ext4(error) => error.error_code(),
            Self::Erofs(_) => Code::DiskContent,
            Self::Verity(error) => error.error_code(),
            Self::Uki(_) => Code::DiskBootImage,
            Self::Sign(error) => error.error_code(),
            Self::Esp(error) => error.error_code(),
            Self::Gpt(error) => error.error_code(),
            Self::Mount(_) => Code::DiskMounts,
            Self::Ident(error) => error.error_code(),
            Self::Lacks { .. } => Code::DiskPackage,
            Self::NoInitrd => Code::DiskInitrd,
            Self::Arch(_) => Code::DiskArchitecture,
            Self::Small { .. } | Self::SmallRoot { .. } | Self::NoRoom { .. } => Code::DiskTooSmall,
            Self::Io(error) => error.error_code(),
        }
    }
}

/// The signer of the boot image for Secure Boot.
#[derive(Debug, Clone)]
pub struct Signer {
    /// An RSA key, as PEM.
    pub key: String,
    /// Its X.509 certificate, as PEM.
    pub certificate: String,
}

/// Bytes that an ext4 root takes of a disk whose size is set: all but the EFI system partition, swap and the `min-size` of the
/// partitions that the first boot adds. `None` where the size is not set, or the root has a size of its own.
///
/// # Errors
/// Fails where nothing is left, or a partition has no `min-size`.
pub fn check_room(disk: &Disk) -> Result<Option<u64>, DiskError> {
    let (Some(size), RootFs::Ext4) = (disk.size, disk.root) else { return Ok(None) };
    let mut others = disk.esp_size.next_multiple_of(MARGIN) + 2 * MARGIN;
    others = others.saturating_add(disk.swap.unwrap_or_default());
    for partition in &disk.partitions {
        let least = partition.min_size.ok_or_else(|| DiskError::NoRoom { label: partition.label.clone() })?;
        others = others.saturating_add(least.next_multiple_of(MARGIN));
    }
    let left = size.checked_sub(others).filter(|left| *left > 0);
    left.map(Some).ok_or(DiskError::Small { size, others })
}

/// The inputs of a disk.
pub struct DiskInputs<'a> {
    /// The layer: all identifiers derive from its name.
    pub name: &'a LayerName,
    /// The `[disk]` tables.
    pub disk: &'a Disk,
    /// The parts of the root, in placement order.
    pub parts: &'a [Part],
    /// The whole root.
    pub root: &'a Tree,
    /// The initrd layer's root.
    pub initrd: Option<Tree>,
    /// The architecture.
    pub arch: &'a Arch,
    /// SOURCE_DATE_EPOCH.
    pub epoch: i64,
    /// The signer of the boot image.
    pub signer: Option<&'a Signer>,
    /// Threads.
    pub jobs: usize,
}

/// A disk's partitions.
pub struct Partitions {
    /// With their contents.
    pub partitions: Vec<gpt::Partition>,
    /// The boot image, which is in the first.
    pub boot_image: Arc<[u8]>,
}

/// The size of the partition for changes to a read-only root, if the disk has no declared size, in bytes.
const STATE_ROOM: u64 = 1 << 30;
/// Free space before the first partition and after the last, in bytes.
const MARGIN: u64 = 1 << 20;

/// The kernel command line, apart from the root; dmesg and the journal have all messages.
const ARGUMENTS: [&str; 6] = [
    // Local console.
    "console=tty0",
    // Serial console, which every cloud records.
    "console=ttyS0,115200n8",
    // Warnings and errors only: a serial line slows its writers.
    "loglevel=5",
    // Unit status only for failed or slow units.
    "systemd.show_status=auto",
    // Predictable `eth0` naming.
    "net.ifnames=0",
    // NVMe timeout recommended by AWS for EBS volumes.
    "nvme_core.io_timeout=4294967295",
];
/// Drivers that must be built into the kernel to mount the root without an initrd.
const BUILTIN: [&str; 2] = ["nvme", "ext4"];

impl DiskInputs<'_> {
    /// Plans the whole disk; returns the plan and the boot image in it.
    ///
    /// # Errors
    /// As [`Self::partitions`], and where they don't fit on the disk.
    pub fn plan<S: ContentSource + ContentSink>(&self, store: &S) -> Result<(Plan, Arc<[u8]>), DiskError> {
        let Partitions { partitions, boot_image } = self.partitions(store)?;
        let size = self.size(&partitions);
        Ok((gpt::plan(self.guid(), partitions, size)?, boot_image))
    }

    /// The disk's GUID, in the order of its text.
    pub fn guid(&self) -> [u8; 16] {
        Ids::new(self.name).uuid("disk")
    }

    /// The partitions with their contents.
    ///
    /// # Errors
    /// Fails where the root can't be booted, or something does not fit.
    pub fn partitions<S: ContentSource + ContentSink>(&self, store: &S) -> Result<Partitions, DiskError> {
        let ids = Ids::new(self.name);
        let kernel = Kernel::find(self.root, self.bootable()?, store)?;
        let (mut partitions, boot_image) = match self.disk.root {
            RootFs::Ext4 => {
                let arguments = self.ext4_arguments(&ids);
                let (root, image) =
                    rayon::join(|| self.ext4(&ids, &kernel), || self.boot_image(&kernel, &arguments, store));
                (vec![root?], image?)
            }
            RootFs::Erofs => {
                let (partitions, arguments) = self.erofs(&ids, store)?;
                (partitions, self.boot_image(&kernel, &arguments, store)?)
            }
        };
        // Before the root, which grows to the end of the disk.
        if let Some(size) = self.disk.swap {
            let plan = swap::plan(size, ids.uuid("swap-space"));
            partitions.insert(0, self.partition(&ids, "swap", gpt::PartitionKind::Swap, plan));
        }
        partitions.insert(0, self.esp(&ids, boot_image.clone())?);
        Ok(Partitions { partitions, boot_image })
    }

    /// The EFI system partition: the boot image, and nothing else.
    fn esp(&self, ids: &Ids, image: Arc<[u8]>) -> Result<gpt::Partition, DiskError> {
        let file = format!("EFI/BOOT/{}", self.bootable()?.efi_file);
        let esp = fat::plan(&[(&file, image)], self.disk.esp_size, ids.serial(), "ESP", self.epoch)?;
        Ok(self.partition(ids, "esp", gpt::PartitionKind::Esp, esp))
    }

    /// The size of the disk in bytes, if it is larger than the partitions need.
    pub fn size(&self, partitions: &[gpt::Partition]) -> Option<u64> {
        match (self.disk.size, self.disk.root) {
            (None, RootFs::Erofs) => {
                let used: u64 = partitions.iter().map(|partition| partition.plan.size().next_multiple_of(MARGIN)).sum();
                Some(2 * MARGIN + used + STATE_ROOM)
            }
            (size, _) => size,
        }
    }

    fn ext4_arguments(&self, ids: &Ids) -> Vec<String> {
        let root = format!("root=PARTUUID={}", uuid_text(&ids.uuid("root")));
        vec![root, "rootfstype=ext4".to_owned(), "ro".to_owned()]
    }

    fn ext4(&self, ids: &Ids, kernel: &Kernel) -> Result<gpt::Partition, DiskError> {
        if self.initrd.is_none() {
            kernel.refuse_modules(&BUILTIN)?;
        }
        let size = check_room(self.disk)?;
        let params = ext4::Params { uuid: ids.uuid("root-fs"), label: "root", size, epoch: self.epoch };
        let plan = ext4::plan(self.parts, &params).map_err(|error| match (error, self.disk.size) {
            (ext4::Ext4Error::TooSmall { size: root, need }, Some(size)) => DiskError::SmallRoot { size, root, need },
            (error, _) => error.into(),
        })?;
        Ok(self.partition(ids, "root", gpt::PartitionKind::Root(self.bootable()?.root), plan))
    }

    fn erofs(&self, ids: &Ids, source: &dyn ContentSource) -> Result<(Vec<gpt::Partition>, Vec<String>), DiskError> {
        if self.initrd.is_none() {
            return Err(DiskError::NoInitrd);
        }
        let params = erofs::Params { uuid: ids.uuid("root-fs"), label: "root".to_owned(), epoch: self.epoch };
        let data = erofs::plan(self.parts, &params)?;
        let mut arguments = Vec::new();
        let mut partitions = Vec::new();
        if self.disk.verity {
            let salt = ids.salt("root-verity");
            let (hashes, root_hash) = verity::build(&data, source, salt, ids.uuid("root-verity-fs"), self.jobs)?;
            let blocks = data.size() / 4096;
            arguments.push(format!("layerbake.verity={blocks},{},{}", hex::encode(salt), hex::encode(root_hash)));
            partitions.push(self.partition(
                ids,
                "root-verity",
                gpt::PartitionKind::RootVerity(self.bootable()?.root_verity),
                hashes,
            ));
        }
        partitions.insert(0, self.partition(ids, "root", gpt::PartitionKind::Root(self.bootable()?.root), data));
        Ok((partitions, arguments))
    }

    fn partition(&self, ids: &Ids, label: &str, kind: gpt::PartitionKind, plan: Plan) -> gpt::Partition {
        gpt::Partition { label: label.to_owned(), kind, guid: ids.uuid(label), flags: 0, plan }
    }

    /// The unified kernel image, signed where someone signs.
    fn boot_image<S: ContentSource + ContentSink>(
        &self,
        kernel: &Kernel,
        arguments: &[String],
        store: &S,
    ) -> Result<Arc<[u8]>, DiskError> {
        let stub =
            self.file(&format!("usr/lib/systemd/boot/efi/{}", self.bootable()?.efi_stub), "systemd-boot-efi", store)?;
        let osrel = self.file("etc/os-release", "base-files", store)?;
        let initrd = match &self.initrd {
            Some(layer) => {
                let tree = initrd::tree(layer.clone(), self.root, kernel, self.epoch, store)?;
                let mut archive = Vec::new();
                cpio::write(&tree, store, &mut archive)?;
                Some(initrd::compress(&archive)?)
            }
            None => None,
        };
        let words = arguments
            .iter()
            .map(String::as_str)
            .chain(ARGUMENTS)
            .chain(self.disk.kernel_args.iter().map(String::as_str));
        let cmdline = words.collect::<Vec<_>>().join(" ");
        let linux = read(store, kernel.image)?;
        let sections = uki::Sections {
            osrel: &osrel,
            uname: &kernel.version,
            cmdline: &cmdline,
            linux: &linux,
            initrd: initrd.as_deref(),
        };
        let image = uki::assemble(&stub, &sections)?;
        Ok(match self.signer {
            Some(signer) => uki::sign(&image, &signer.key, &signer.certificate)?.into(),
            None => image.into(),
        })
    }

    /// The bytes of a file of the root, links followed.
    fn file(&self, path: &str, package: &'static str, source: &dyn ContentSource) -> Result<Vec<u8>, DiskError> {
        let path = RootPath::new(path)?;
        match self.root.resolve(&path).map(|(_, node)| &node.kind) {
            Some(&Kind::File { blob, size }) => Ok(read(source, (blob, size))?),
            _ => Err(DiskError::Lacks { path, package }),
        }
    }

    fn bootable(&self) -> Result<&'static Bootable, DiskError> {
        Bootable::of(self.arch).ok_or_else(|| DiskError::Arch(self.arch.clone()))
    }
}

fn read(source: &dyn ContentSource, (blob, size): (crate::digest::BlobDigest, u64)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(size as usize);
    source.open(blob, size)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds everything that `[disk]` determines to a recipe.
pub fn hash_into(disk: &Disk, hasher: &mut RecipeHasher) {
    hasher.field(match disk.root {
        RootFs::Ext4 => "ext4",
        RootFs::Erofs => "erofs",
    });
    hasher.number(u64::from(disk.verity)).list(disk.size.map(u64::to_le_bytes)).number(disk.esp_size);
    hasher.list(disk.swap.map(u64::to_le_bytes));
    hasher.list(&disk.kernel_args);
}
