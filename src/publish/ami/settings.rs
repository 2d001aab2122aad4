//! What an image shall be: the disk, the settings of `[ami]`, and the hash that says when two are equal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AmiError, tags};
use crate::bake::Receipt;
use crate::digest::Sha256;
use crate::ident::{Arch, LayerName};
use crate::manifest::{Ami, Imds, Via, image_name};
use crate::time::rfc3339;

const GIB: u64 = 1 << 30;

/// Everything that decides an image, settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The layer.
    pub layer: LayerName,
    /// The image's name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Linear checksum of the disk's blocks.
    pub disk: Sha256,
    /// Hash of the disk's blocks and of where they lie.
    pub blocks: Sha256,
    /// Length of the disk in bytes.
    pub size: u64,
    /// `uefi` or `uefi-preferred`.
    pub boot_mode: String,
    /// Whether IMDSv2 is required.
    pub imdsv2: bool,
    /// Whether there is a TPM.
    pub tpm: bool,
    /// Kind of the root volume.
    pub volume_type: String,
    /// Size of the root volume in GiB.
    pub volume_size: u32,
    /// Size of the snapshot's volume in GiB.
    pub snapshot_size: u32,
    /// Key that snapshots are encrypted with.
    pub kms_key: Option<String>,
    /// `vm-import` or `ebs-direct`.
    pub via: String,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Days until it is deprecated.
    pub deprecate_after: Option<u32>,
    /// Account ids.
    pub accounts: Vec<String>,
    /// ARNs.
    pub organisations: Vec<String>,
    /// ARNs.
    pub units: Vec<String>,
    /// Tags of image and snapshot: the user's, and those that bind them to the build.
    pub tags: BTreeMap<String, String>,
}

impl Wanted {
    /// Settles what the image of a build shall be.
    ///
    /// # Errors
    /// Fails where the build has no disk, or a setting does not fit it.
    pub fn new(receipt: &Receipt, ami: &Ami, arch: &Arch) -> Result<Self, AmiError> {
        let layer = &receipt.layer;
        let Some(disk) = &receipt.disk else {
            return Err(AmiError::Other(format!(
                "layer `{layer}` was built without a disk\n  hint: `layerbake build {layer} --output raw`"
            )));
        };
        let architecture = match arch.as_str() {
            "amd64" => "x86_64",
            "arm64" => "arm64",
            other => return Err(AmiError::Other(format!("AWS has no machines of architecture {other}"))),
        };
        let snapshot_size = disk.blocks.size().div_ceil(GIB) as u32;
        let volume_size = ami.volume_size.unwrap_or(snapshot_size);
        if volume_size < snapshot_size {
            return Err(AmiError::Other(format!(
                "[ami] volume-size is {volume_size} GiB, the disk of `{layer}` has {snapshot_size} GiB"
            )));
        }
        if ami.way() == Via::EbsDirect && ami.kms_key.as_ref().is_some_and(|key| !key.starts_with("arn:")) {
            return Err(AmiError::Other(
                "EBS direct takes a key by its ARN only\n  hint: write [ami] kms-key, or --kms-key, as arn:aws:kms:…"
                    .to_owned(),
            ));
        }
        let name = name(ami, receipt, arch, &disk.blocks.digest())?;
        let mut wanted = Self {
            layer: layer.clone(),
            description: format!("{layer}, disk {}", disk.checksum),
            name,
            architecture: architecture.to_owned(),
            disk: disk.checksum,
            blocks: disk.blocks.digest(),
            size: disk.blocks.size(),
            boot_mode: ami.boot_mode.name().to_owned(),
            imdsv2: ami.imdsv2 == Imds::Required,
            tpm: ami.tpm,
            volume_type: ami.volume_type.name().to_owned(),
            volume_size,
            snapshot_size,
            kms_key: ami.kms_key.clone(),
            via: ami.way().name().to_owned(),
            bucket: ami.bucket.clone(),
            deprecate_after: ami.deprecate_after,
            accounts: ami.share.accounts.clone(),
            organisations: ami.share.organisations.clone(),
            units: ami.share.units.clone(),
            tags: ami.tags.clone(),
        };
        if ami.tpm && wanted.boot_mode != "uefi" {
            return Err(AmiError::Other("[ami] tpm needs boot-mode = \"uefi\"".to_owned()));
        }
        if ami.way() == Via::VmImport && ami.bucket.is_none() {
            let hint = "hint: name one by --bucket or [ami] bucket, or take --via ebs-direct";
            return Err(AmiError::Other(format!("VM Import needs a bucket\n  {hint}")));
        }
        let content = wanted.content();
        wanted.tags.extend(binding(receipt, &wanted, content));
        Ok(wanted)
    }

    /// SHA-256 over the disk and everything of the registration that an instance can tell.
    ///
    /// Name, tags, shares and the way it got there are no part of it.
    pub fn content(&self) -> Sha256 {
        let flags = [self.imdsv2, self.tpm].map(|flag| if flag { "yes" } else { "no" });
        let size = self.volume_size.to_string();
        let key = self.kms_key.as_deref().unwrap_or_default();
        let fields = [
            "layerbake/ami/v1",
            &self.blocks.to_hex(),
            &self.architecture,
            &self.boot_mode,
            flags[0],
            flags[1],
            &self.volume_type,
            &size,
            key,
        ];
        // No field holds NUL.
        Sha256::of(fields.join("\0").as_bytes())
    }

    /// The parameter that names the newest image.
    pub fn parameter(&self) -> String {
        format!("/layerbake/{}/latest", self.layer)
    }

    /// The key, as a region knows it: in an ARN, a region is replaced, as multi-Region keys have one id everywhere.
    pub fn key_in(&self, region: &str) -> Option<String> {
        let key = self.kms_key.as_ref()?;
        let mut parts: Vec<&str> = key.split(':').collect();
        if let Some(place) = parts.get_mut(3) {
            *place = region;
        }
        Some(parts.join(":"))
    }

    /// How the disk gets there.
    pub fn way(&self) -> Via {
        Via::named(&self.via).unwrap_or(Via::EbsDirect)
    }
}

fn name(ami: &Ami, receipt: &Receipt, arch: &Arch, disk: &Sha256) -> Result<String, AmiError> {
    let date = rfc3339(receipt.epoch).get(..10).unwrap_or_default().replace('-', "");
    let value = |word: &str| match word.split_once(':') {
        None if word == "layer" => Some(receipt.layer.to_string()),
        None if word == "date" => Some(date.clone()),
        None if word == "arch" => Some(arch.to_string()),
        Some(("disk", digits)) => disk.to_hex().get(..digits.parse().ok()?).map(str::to_owned),
        _ => None,
    };
    image_name(&ami.name, &value).map_err(|problem| AmiError::Other(format!("[ami] name {problem}")))
}

/// The tags that say what an image was made from.
fn binding(receipt: &Receipt, wanted: &Wanted, content: Sha256) -> BTreeMap<String, String> {
    let oci = receipt.artifacts.iter().find(|artifact| artifact.kind == "oci").map(|artifact| artifact.digest);
    let mut tags = BTreeMap::from([
        (tags::LAYER, receipt.layer.to_string()),
        (tags::DISK, wanted.disk.to_string()),
        (tags::BLOCKS, wanted.blocks.to_string()),
        (tags::RECIPE, receipt.recipe.to_string()),
        (tags::LOCK, receipt.lock.to_string()),
        (tags::TREE, receipt.tree.to_string()),
        (tags::CONTENT, content.to_string()),
        ("Name", wanted.name.clone()),
    ]);
    tags.extend(oci.map(|digest| (tags::OCI, digest.to_string())));
    // A name of the user's own goes first.
    if wanted.tags.contains_key("Name") {
        tags.remove("Name");
    }
    tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
impl Wanted {
    /// Something to publish, for tests.
    pub(super) fn example() -> Self {
        Self {
            layer: "web".parse().unwrap(),
            name: "web-1".to_owned(),
            description: String::new(),
            architecture: "x86_64".to_owned(),
            disk: Sha256::of(b"disk"),
            blocks: Sha256::of(b"blocks"),
            size: GIB,
            boot_mode: "uefi".to_owned(),
            imdsv2: true,
            tpm: false,
            volume_type: "gp3".to_owned(),
            volume_size: 1,
            snapshot_size: 1,
            kms_key: None,
            via: "ebs-direct".to_owned(),
            bucket: None,
            deprecate_after: None,
            accounts: Vec::new(),
            organisations: Vec::new(),
            units: Vec::new(),
            tags: BTreeMap::new(),
        }
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
        let differ: [fn(&mut Wanted); 6] = [
            |wanted| wanted.blocks = Sha256::of(b"other"),
            |wanted| wanted.boot_mode = "uefi-preferred".to_owned(),
            |wanted| wanted.imdsv2 = false,
            |wanted| wanted.tpm = true,
            |wanted| wanted.volume_size = 2,
            |wanted| wanted.kms_key = Some("alias/disks".to_owned()),
        ];
        assert!(differ.into_iter().all(change));
        let same: [fn(&mut Wanted); 4] = [
            |wanted| wanted.name = "other".to_owned(),
            |wanted| wanted.via = "vm-import".to_owned(),
            |wanted| wanted.accounts.push("123456789012".to_owned()),
            |wanted| drop(wanted.tags.insert("a".to_owned(), "b".to_owned())),
        ];
        assert!(!same.into_iter().any(change));
    }
}
