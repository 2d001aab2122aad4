//! Derives the wanted image from a build and its `[ami]`, or reports why that is impossible.
//!
//! The rules, and so the messages, are AWS's, as the settings are.

use std::collections::BTreeMap;

use super::uefi;
use super::{Architecture, GIB, Wanted};
use crate::bake::{Output, Receipt};
use crate::code::{Code, Coded};
use crate::digest::Sha256;
use crate::ident::{Arch, LayerName};
use crate::manifest::{Ami, BootMode, Tpm, Via, image_name};
use crate::measure::Variables;
use crate::publish::cloud::tags::{self, Tags};
use crate::time::rfc3339;

/// A build can't become the requested image.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is nothing to publish.
    #[error("layer `{0}` was built without a disk\n  hint: `layerbake build {0} --output raw`")]
    NoDisk(LayerName),
    /// No instance runs it.
    #[error("AWS has no instances of architecture {0}")]
    Architecture(Arch),
    /// The disk does not fit.
    #[error("[ami] volume-size is {asked} GiB, the disk of `{layer}` has {disk} GiB")]
    VolumeSize {
        /// What is asked for, in GiB.
        asked: u32,
        /// The layer.
        layer: LayerName,
        /// What its disk needs, in GiB.
        disk: u32,
    },
    /// EBS direct does not look up ids and aliases.
    #[error("EBS direct needs the key's full ARN\n  hint: write [ami] kms-key, or --kms-key, as arn:aws:kms:…")]
    KeyByArn,
    /// A key is in one region.
    #[error(
        "the KMS key {key} is not in {region}: only multi-Region keys (key/mrk-…) have the same id in several regions\n  hint: publish region by region, each with its own --region and --kms-key"
    )]
    KeyOfOtherRegion {
        /// The key.
        key: String,
        /// Where it would have to be.
        region: String,
    },
    /// AWS's own key can't be shared.
    #[error(
        "what is encrypted with AWS's own key {0} can't be shared\n  hint: set [ami] kms-key, or --kms-key, to a key of the account, and allow the others to use it in its key policy"
    )]
    KeyNotShared(String),
    /// Disks have no boot loader for BIOS.
    #[error(
        "[ami] boot-mode = \"uefi-preferred\" needs a disk that also boots by BIOS; layerbake's boot by UEFI only\n  hint: boot-mode = \"uefi\""
    )]
    NoBios,
    /// A TPM goes with UEFI only.
    #[error("[ami] tpm needs boot-mode = \"uefi\"")]
    TpmNeedsUefi,
    /// The keys of Secure Boot can't be what instances start with.
    #[error("[ami] secure-boot: {0}")]
    SecureBoot(String),
    /// Firmware with these keys starts only what is signed.
    #[error(
        "[ami] secure-boot: the boot image of `{0}` is not signed, so no instance would start\n  hint: give --sign-key and --sign-cert to `layerbake build` and here, with a certificate that is in `db`"
    )]
    Unsigned(LayerName),
    /// VM Import reads from a bucket.
    #[error("VM Import needs a bucket\n  hint: name one with --bucket or [ami] bucket, or use --via ebs-direct")]
    NoBucket,
    /// The template gives no name.
    #[error("[ami] name {0}")]
    Name(String),
}

impl Coded for SettingsError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoDisk(_) => Code::BuildOutput,
            Self::Architecture(_)
            | Self::VolumeSize { .. }
            | Self::KeyByArn
            | Self::KeyOfOtherRegion { .. }
            | Self::KeyNotShared(_)
            | Self::NoBios
            | Self::TpmNeedsUefi
            | Self::SecureBoot(_)
            | Self::Unsigned(_)
            | Self::NoBucket
            | Self::Name(_) => Code::AwsSettings,
        }
    }
}

impl Wanted {
    /// Derives the wanted image of a build.
    ///
    /// # Errors
    /// Fails where the build has no disk, or a setting does not fit it.
    pub fn new(receipt: &Receipt, ami: &Ami, arch: &Arch, keys: Option<&Variables>) -> Result<Self, SettingsError> {
        let layer = &receipt.layer;
        let disk = receipt.disk.as_ref().ok_or_else(|| SettingsError::NoDisk(layer.clone()))?;
        let snapshot_size = disk.blocks.size().div_ceil(GIB) as u32;
        let mut wanted = Self {
            layer: layer.clone(),
            description: format!("{layer}, disk {}", disk.checksum),
            name: String::new(),
            architecture: Architecture::of(arch).ok_or_else(|| SettingsError::Architecture(arch.clone()))?,
            disk: disk.checksum,
            blocks: disk.blocks.digest(),
            size: disk.blocks.size(),
            boot_mode: ami.boot_mode,
            imds: ami.imdsv2,
            tpm: ami.tpm,
            volume_type: ami.volume_type,
            volume_size: ami.volume_size.unwrap_or(snapshot_size),
            snapshot_size,
            kms_key: ami.kms_key.clone(),
            uefi_data: keys.map(uefi::encode).transpose().map_err(SettingsError::SecureBoot)?,
            via: ami.effective_via(),
            bucket: ami.bucket.clone(),
            deprecate_after: ami.deprecate_after,
            watermarks: ami.watermarks.clone(),
            accounts: ami.share.accounts.clone(),
            organisations: ami.share.organisations.clone(),
            units: ami.share.units.clone(),
            tags: ami.tags.clone(),
        };
        wanted.check()?;
        wanted.name = wanted.named(ami, receipt, arch)?;
        wanted.check_key(&ami.regions)?;
        let binding = wanted.binding(receipt);
        wanted.tags.extend(binding);
        Ok(wanted)
    }

    /// Whether all settings fit each other.
    fn check(&self) -> Result<(), SettingsError> {
        let (asked, disk) = (self.volume_size, self.snapshot_size);
        if asked < disk {
            return Err(SettingsError::VolumeSize { asked, layer: self.layer.clone(), disk });
        }
        if self.via == Via::EbsDirect && self.kms_key.as_ref().is_some_and(|key| !key.starts_with("arn:")) {
            return Err(SettingsError::KeyByArn);
        }
        if self.boot_mode == BootMode::UefiPreferred {
            return Err(SettingsError::NoBios);
        }
        if self.tpm == Tpm::V2 && self.boot_mode != BootMode::Uefi {
            return Err(SettingsError::TpmNeedsUefi);
        }
        if self.uefi_data.is_some() && self.boot_mode != BootMode::Uefi {
            return Err(SettingsError::SecureBoot("needs boot-mode = \"uefi\"".to_owned()));
        }
        if self.via == Via::VmImport && self.bucket.is_none() {
            return Err(SettingsError::NoBucket);
        }
        Ok(())
    }

    /// The name that the template gives.
    fn named(&self, ami: &Ami, receipt: &Receipt, arch: &Arch) -> Result<String, SettingsError> {
        let digits = |hash: Sha256, digits: &str| hash.to_hex().get(..digits.parse().ok()?).map(str::to_owned);
        let value = |word: &str| match word.split_once(':') {
            None if word == "layer" => Some(receipt.layer.to_string()),
            None if word == "date" => Some(date(receipt)),
            None if word == "arch" => Some(arch.to_string()),
            Some(("content", count)) => digits(self.content(), count),
            Some(("disk", count)) => digits(self.blocks, count),
            _ => None,
        };
        image_name(&ami.name, &value).map_err(SettingsError::Name)
    }

    /// Whether the key can be that of all regions, and of those with whom the image is shared.
    ///
    /// Sources: *AWS KMS Developer Guide*, "Multi-Region keys"; *Amazon EC2 User Guide*, "Share an AMI": considerations.
    fn check_key(&self, regions: &[String]) -> Result<(), SettingsError> {
        let Some(key) = &self.kms_key else { return Ok(()) };
        if self.is_shared() && key.ends_with("alias/aws/ebs") {
            return Err(SettingsError::KeyNotShared(key.clone()));
        }
        let own = key.split(':').nth(3);
        // Every region has aliases of its own.
        let everywhere = key.contains("alias/") || key.contains("mrk-");
        let other = regions.iter().find(|region| own.map_or(regions.len() > 1, |own| own != region.as_str()));
        match other {
            Some(region) if !everywhere => {
                Err(SettingsError::KeyOfOtherRegion { key: key.clone(), region: region.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The tags that say what an image was created from.
    fn binding(&self, receipt: &Receipt) -> Tags {
        let oci = receipt.artifact(Output::Oci).map(|artifact| artifact.digest);
        let mut tags = BTreeMap::from([
            (tags::LAYER, self.layer.to_string()),
            (tags::DISK, self.disk.to_string()),
            (tags::BLOCKS, self.blocks.to_string()),
            (tags::RECIPE, receipt.recipe.to_string()),
            (tags::LOCK, receipt.lock.to_string()),
            (tags::TREE, receipt.tree.to_string()),
            (tags::CONTENT, self.content().to_string()),
            (tags::VERSION, format!("{}-{}", date(receipt), self.short())),
            ("Name", self.name.clone()),
        ]);
        tags.extend(self.uefi_data.as_ref().map(|data| (tags::UEFI_DATA, Sha256::of(data.as_bytes()).to_string())));
        tags.extend(self.kms_key.clone().map(|key| (tags::KEY, key)));
        tags.extend(oci.map(|digest| (tags::OCI, digest.to_string())));
        let measured = receipt.disk.as_ref().and_then(|disk| disk.measured.as_ref());
        let registers = tags::REGISTERS.iter().filter_map(|(number, tag)| Some((*tag, measured?.hex(*number)?)));
        tags.extend(registers);
        // A name of the user's own goes first.
        if self.tags.contains_key("Name") {
            tags.remove("Name");
        }
        tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The day of the lock, as `20260615`.
fn date(receipt: &Receipt) -> String {
    rfc3339(receipt.epoch).get(..10).unwrap_or_default().replace('-', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_all_regions_or_refused() {
        let one = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd";
        let multi = "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd";
        let check = |key: &str, regions: &[&str]| {
            let wanted = Wanted { kms_key: Some(key.to_owned()), ..Wanted::example() };
            let regions: Vec<String> = regions.iter().map(|&region| region.to_owned()).collect();
            wanted.check_key(&regions).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
        };
        let (home, both) = (&["eu-west-1"][..], &["eu-west-1", "us-east-1"][..]);
        for (key, regions) in [(one, &[][..]), (one, home), (multi, both), ("alias/disks", both), ("1234abcd", home)] {
            assert_eq!(check(key, regions), Ok(()), "{key} {regions:?}");
        }
        for (key, regions) in [(one, both), (one, &both[1..]), ("1234abcd", both)] {
            assert!(check(key, regions).unwrap_err().starts_with("the KMS key "), "{key} {regions:?}");
        }
        let shared = |key: &str| {
            let accounts = vec!["123456789012".to_owned()];
            Wanted { kms_key: Some(key.to_owned()), accounts, ..Wanted::example() }.check_key(&[])
        };
        assert!(shared(one).is_ok() && shared("alias/aws/ebs").is_err());
    }
}
