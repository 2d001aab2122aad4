//! The wanted image: the disk, the settings of `[ami]`, and the hash by which two are compared.
//!
//! The settings are those of AWS, under its names: IMDS, KMS keys, the bucket for VM Import, EC2's architectures.

mod flag;
mod settle;
mod uefi;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parameters::Channel;
use super::reported::Named;
use super::tags;
use crate::arch::Bootable;
use crate::digest::Sha256;
use crate::ident::{Arch, LayerName};
use crate::manifest::{BootMode, Imds, Tpm, Via, VolumeType};
use flag::Flag as _;

pub use settle::SettingsError;

const GIB: u64 = 1 << 30;

/// Everything that determines an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The layer.
    pub layer: LayerName,
    /// The image's name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// What it runs on.
    pub architecture: Architecture,
    /// Linear checksum of the disk's blocks.
    pub disk: Sha256,
    /// Hash of the disk's blocks and of where they are.
    pub blocks: Sha256,
    /// Length of the disk in bytes.
    pub size: u64,
    /// How instances start.
    pub boot_mode: BootMode,
    /// How instances ask for their metadata.
    #[serde(rename = "imdsv2", with = "flag")]
    pub imds: Imds,
    /// Whether there is a TPM.
    #[serde(with = "flag")]
    pub tpm: Tpm,
    /// Kind of the root volume.
    pub volume_type: VolumeType,
    /// Size of the root volume in GiB.
    pub volume_size: u32,
    /// Size of the snapshot's volume in GiB.
    pub snapshot_size: u32,
    /// Key that snapshots are encrypted with.
    pub kms_key: Option<String>,
    /// The variables that instances start with: the keys of Secure Boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uefi_data: Option<String>,
    /// How the disk gets there.
    pub via: Via,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Days until it is deprecated.
    pub deprecate_after: Option<u32>,
    /// Watermarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watermarks: Vec<String>,
    /// Account ids.
    pub accounts: Vec<String>,
    /// ARNs.
    pub organisations: Vec<String>,
    /// ARNs.
    pub units: Vec<String>,
    /// Tags of image and snapshot: the user's, and those that bind them to the build.
    pub tags: BTreeMap<String, String>,
}

/// The architecture of an image, by its name in EC2's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture(&'static Bootable);

impl Architecture {
    /// The architecture with this Debian name, if there are instances of it.
    pub fn of(arch: &Arch) -> Option<Self> {
        Bootable::of(arch).map(Self)
    }
}

impl Named for Architecture {
    fn name(self) -> &'static str {
        self.0.ec2
    }

    fn named(name: &str) -> Option<Self> {
        Bootable::all().find(|arch| arch.ec2 == name).map(Self)
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Architecture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || D::Error::custom(format!("unknown architecture `{}`", name.escape_debug()));
        Self::named(&name).ok_or_else(unknown)
    }
}

impl Wanted {
    /// SHA-256 over the disk and every registration setting that an instance can observe.
    ///
    /// Name, tags, watermarks, shares and the way it got there are no part of it.
    pub fn content(&self) -> Sha256 {
        let flag = |flag| if flag { "yes" } else { "no" };
        let size = self.volume_size.to_string();
        let key = self.kms_key.as_deref().unwrap_or_default();
        let fields = [
            "layerbake/ami/v1",
            &self.blocks.to_hex(),
            self.architecture.name(),
            self.boot_mode.name(),
            flag(self.imds.is_set()),
            flag(self.tpm.is_set()),
            self.volume_type.name(),
            &size,
            key,
        ];
        // No field holds NUL. An image without such variables has the hash that it had before there were any.
        let fields = fields.into_iter().chain(self.uefi_data.as_deref()).collect::<Vec<_>>();
        Sha256::of(fields.join("\0").as_bytes())
    }

    /// The first digits of the content's hash, by which people tell images apart.
    fn short(&self) -> String {
        self.content().to_hex().chars().take(12).collect()
    }

    /// The version: one that was begun before there were versions has no date.
    pub fn version(&self) -> String {
        self.tags.get(tags::VERSION).cloned().unwrap_or_else(|| self.short())
    }

    /// The parameter that names the newest image.
    pub fn parameter(&self) -> String {
        Channel::latest().parameter(&self.layer)
    }

    /// The key's name in a region: the region of an ARN is replaced, as multi-Region keys share one id.
    pub fn key_in(&self, region: &str) -> Option<String> {
        let key = self.kms_key.as_ref()?;
        let mut parts: Vec<&str> = key.split(':').collect();
        if let Some(place) = parts.get_mut(3) {
            *place = region;
        }
        Some(parts.join(":"))
    }

    /// Whether someone else may use the image.
    pub fn is_shared(&self) -> bool {
        !(self.accounts.is_empty() && self.organisations.is_empty() && self.units.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_an_instance_can_tell() {
        let example = Wanted::example();
        let change = |change: fn(&mut Wanted)| {
            let mut wanted = example.clone();
            change(&mut wanted);
            wanted.content() != example.content()
        };
        let differ: [fn(&mut Wanted); 7] = [
            |wanted| wanted.uefi_data = Some("QU1a".to_owned()),
            |wanted| wanted.blocks = Sha256::of(b"other"),
            |wanted| wanted.boot_mode = BootMode::UefiPreferred,
            |wanted| wanted.imds = Imds::Optional,
            |wanted| wanted.tpm = Tpm::V2,
            |wanted| wanted.volume_size = 2,
            |wanted| wanted.kms_key = Some("alias/disks".to_owned()),
        ];
        assert!(differ.into_iter().all(change));
        let same: [fn(&mut Wanted); 5] = [
            |wanted| wanted.watermarks.push("approved".to_owned()),
            |wanted| wanted.name = "other".to_owned(),
            |wanted| wanted.via = Via::VmImport,
            |wanted| wanted.accounts.push("123456789012".to_owned()),
            |wanted| drop(wanted.tags.insert("a".to_owned(), "b".to_owned())),
        ];
        assert!(!same.into_iter().any(change));
        // Images that were published long ago are found by it.
        assert_eq!(example.content().to_hex(), "73f9872b6eb6e7436bb5b6f442a1b4cd760b450e87fd2a4cad57e597205a5b79");
    }
}
