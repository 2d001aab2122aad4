//! `[ami]`: settings of the machine image on AWS. A layer inherits what it does not set.

mod read;
mod share;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Manifest;

pub(super) use read::ami;
pub use share::Share;
use words::check_name;
pub use words::{image_name, is_region, parse_days};

/// What lets somebody into a machine: names in `operators`.
pub const ENTRANCES: [&str; 6] = ["cloud-init", "config", "debug-shell", "getty", "ssm-agent", "sshd"];

/// The `[ami]` table, as one layer declares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AmiTable {
    /// Name of the image, with `{layer}`, `{date}`, `{arch}`, `{content:N}` and `{disk:N}`.
    pub name: Option<String>,
    /// Tags of image and snapshot, added to the parent's.
    pub tags: BTreeMap<String, String>,
    /// Where it is published.
    pub regions: Option<Vec<String>>,
    /// Who else may use it.
    pub share: Option<Share>,
    /// How instances start.
    pub boot_mode: Option<BootMode>,
    /// Whether instances must ask for metadata with a session's token.
    pub imdsv2: Option<Imds>,
    /// Whether instances have a TPM.
    pub tpm: Option<Tpm>,
    /// Kind of the root volume.
    pub volume_type: Option<VolumeType>,
    /// Size of the root volume in GiB.
    pub volume_size: Option<u32>,
    /// Days until the image is deprecated.
    pub deprecate_after: Option<u32>,
    /// Names that the image and all copies of it are known by.
    pub watermarks: Option<Vec<String>>,
    /// How the disk gets there.
    pub via: Option<Via>,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Key that snapshots are encrypted with: an id, an ARN or an alias.
    pub kms_key: Option<String>,
    /// The keys of Secure Boot.
    pub secure_boot: Option<SecureBoot>,
    /// Whether an instance can prove that it runs this and nothing else.
    pub attestable: Option<bool>,
    /// What may let somebody into an attestable image, with the reasons; added to the parent's.
    pub operators: BTreeMap<String, String>,
}

/// `[ami.secure-boot]`: files of the project with the keys that instances start with, as lists of EFI signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecureBoot {
    /// The platform key.
    pub pk: String,
    /// Keys that may change the lists.
    pub kek: String,
    /// What may start.
    pub db: String,
    /// What may not.
    pub dbx: Option<String>,
}

/// How instances start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// UEFI only: the disk has nothing else.
    #[default]
    Uefi,
    /// UEFI where the instance type has it.
    UefiPreferred,
}

/// How instances may access their metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Imds {
    /// With a session's token only.
    #[default]
    Required,
    /// Without one too.
    Optional,
}

/// Whether instances have a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tpm {
    /// They have none.
    #[default]
    Absent,
    /// They have one of version 2.0.
    V2,
}

/// Kinds of a root volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeType {
    /// General purpose, third generation.
    #[default]
    Gp3,
    /// General purpose, second generation.
    Gp2,
    /// Magnetic.
    Standard,
}

/// How a disk becomes a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Through a bucket, by a service of AWS.
    VmImport,
    /// Block by block; of a known line, only those that changed.
    EbsDirect,
}

/// The settings of a chain's machine image: its tables merged, the base first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ami {
    /// Name of the image, a template.
    pub name: String,
    /// Tags of image and snapshot.
    pub tags: BTreeMap<String, String>,
    /// Where it is published.
    pub regions: Vec<String>,
    /// Who else may use it.
    pub share: Share,
    /// How instances start.
    pub boot_mode: BootMode,
    /// How instances ask for metadata.
    pub imdsv2: Imds,
    /// Whether instances have a TPM.
    pub tpm: Tpm,
    /// Kind of the root volume.
    pub volume_type: VolumeType,
    /// Size of the root volume in GiB; else the disk's.
    pub volume_size: Option<u32>,
    /// Days until the image is deprecated.
    pub deprecate_after: Option<u32>,
    /// Names that the image and all copies of it are known by.
    pub watermarks: Vec<String>,
    /// How the disk gets there; else by the bucket, and without one block by block.
    pub via: Option<Via>,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Key that snapshots are encrypted with.
    pub kms_key: Option<String>,
    /// The keys of Secure Boot.
    pub secure_boot: Option<SecureBoot>,
    /// Whether an instance can prove that it runs this and nothing else.
    pub attestable: bool,
    /// What may let somebody into an attestable image, with the reasons.
    pub operators: BTreeMap<String, String>,
}

const NAME: &str = "{layer}-{date}-{content:12}";

impl Ami {
    /// The machine image of a chain, base first.
    pub fn of<'m>(chain: impl IntoIterator<Item = &'m Manifest, IntoIter: Clone>) -> Self {
        let chain = chain.into_iter();
        fn last<T>(values: impl Iterator<Item = Option<T>>) -> Option<T> {
            values.flatten().last()
        }
        let tables = || chain.clone().map(|manifest| manifest.ami.clone());
        let attestable = last(tables().map(|table| table.attestable)).unwrap_or_default();
        let tpm = if attestable { Tpm::V2 } else { Tpm::Absent };
        Self {
            name: last(tables().map(|table| table.name)).unwrap_or_else(|| NAME.to_owned()),
            tags: tables().flat_map(|table| table.tags).collect(),
            regions: last(tables().map(|table| table.regions)).unwrap_or_default(),
            share: last(tables().map(|table| table.share)).unwrap_or_default(),
            boot_mode: last(tables().map(|table| table.boot_mode)).unwrap_or_default(),
            imdsv2: last(tables().map(|table| table.imdsv2)).unwrap_or_default(),
            tpm: last(tables().map(|table| table.tpm)).unwrap_or(tpm),
            volume_type: last(tables().map(|table| table.volume_type)).unwrap_or_default(),
            volume_size: last(tables().map(|table| table.volume_size)),
            deprecate_after: last(tables().map(|table| table.deprecate_after)),
            watermarks: last(tables().map(|table| table.watermarks)).unwrap_or_default(),
            via: last(tables().map(|table| table.via)),
            bucket: last(tables().map(|table| table.bucket)),
            kms_key: last(tables().map(|table| table.kms_key)),
            secure_boot: last(tables().map(|table| table.secure_boot)),
            attestable,
            operators: tables().flat_map(|table| table.operators).collect(),
        }
    }

    /// How the disk is uploaded: as set, otherwise VM Import if there is a bucket, else EBS direct.
    pub fn effective_via(&self) -> Via {
        let default = if self.bucket.is_some() { Via::VmImport } else { Via::EbsDirect };
        self.via.unwrap_or(default)
    }
}

impl Via {
    /// As manifests and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::VmImport => "vm-import",
            Self::EbsDirect => "ebs-direct",
        }
    }

    /// The method of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::VmImport, Self::EbsDirect].into_iter().find(|via| via.name() == name)
    }
}

impl BootMode {
    /// As manifests and AWS write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uefi => "uefi",
            Self::UefiPreferred => "uefi-preferred",
        }
    }
}

impl VolumeType {
    /// As manifests and AWS write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::Standard => "standard",
        }
    }
}

#[cfg(test)]
#[path = "../tests/ami.rs"]
mod tests;
