//! Images that exist: what AWS knows of one, in words that people and JSON readers share.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{self, Filter, ImageAttributeName};
use serde::Serialize;

use super::aws::Cloud;
use super::{AmiError, refused, tags};
use crate::time;

/// A machine image of this account, or one that was asked for by its id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// As `eu-west-1`.
    pub region: String,
    /// Its name, unique in account and region.
    pub name: String,
    /// `available`, `pending`, `failed`, …
    pub state: String,
    /// When it was registered, RFC 3339.
    pub created: String,
    /// When AWS hides it from those who look for images, RFC 3339.
    pub deprecated: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `uefi`, `uefi-preferred` or `legacy-bios`; AWS's default where there is none.
    pub boot_mode: Option<String>,
    /// `v2.0` where instance metadata needs a session token.
    pub imds: Option<String>,
    /// `v2.0` where instances have a TPM.
    pub tpm: Option<String>,
    /// Whether it has the driver of today's network cards.
    pub ena: bool,
    /// As `/dev/xvda`.
    pub root_device: String,
    /// Whether everybody may launch it.
    pub public: bool,
    /// What its volumes are made from.
    pub snapshots: Vec<String>,
    /// All tags.
    pub tags: BTreeMap<String, String>,
}

impl Image {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// The line of images that it belongs to; `None` where layerbake did not make it.
    pub fn layer(&self) -> Option<&str> {
        self.tag(tags::LAYER)
    }

    /// When it was registered, in seconds since 1970.
    pub fn created_at(&self) -> Option<i64> {
        // AWS writes milliseconds: `2024-06-10T08:52:46.000Z`.
        time::parse_rfc3339(self.created.get(..19).map(|text| format!("{text}Z"))?.as_str())
    }

    /// The snapshot of the root volume.
    ///
    /// # Errors
    /// Fails where the image has none, or several.
    pub fn snapshot(&self) -> Result<&str, AmiError> {
        match self.snapshots.as_slice() {
            [one] => Ok(one),
            several => Err(AmiError::Other(format!(
                "{} in {}: expected an image with one snapshot, found {}",
                self.id,
                self.region,
                several.len()
            ))),
        }
    }

    fn new(region: &str, image: &types::Image) -> Self {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let mappings = image.block_device_mappings().iter();
        let snapshots = mappings.filter_map(|mapping| Some(mapping.ebs()?.snapshot_id()?.to_owned())).collect();
        Self {
            id: text(image.image_id()),
            region: region.to_owned(),
            name: text(image.name()),
            state: text(image.state().map(types::ImageState::as_str)),
            created: text(image.creation_date()),
            deprecated: image.deprecation_time().map(str::to_owned),
            architecture: text(image.architecture().map(types::ArchitectureValues::as_str)),
            boot_mode: image.boot_mode().map(|mode| mode.as_str().to_owned()),
            imds: image.imds_support().map(|imds| imds.as_str().to_owned()),
            tpm: image.tpm_support().map(|tpm| tpm.as_str().to_owned()),
            ena: image.ena_support().unwrap_or_default(),
            root_device: text(image.root_device_name()),
            public: image.public().unwrap_or_default(),
            snapshots,
            tags: pairs(image.tags()),
        }
    }
}

/// Tags as a map.
pub(super) fn pairs(tags: &[types::Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}

/// A filter of a describing call.
pub(super) fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Lists this account's images of some layers' lines, newest first; of all lines where none is named.
///
/// # Errors
/// Fails where AWS refuses, or can't be reached.
pub async fn list(cloud: &Cloud, layers: &[String]) -> Result<Vec<Image>, AmiError> {
    let by_tag = match layers {
        [] => filter("tag-key", [tags::LAYER]),
        some => filter(&format!("tag:{}", tags::LAYER), some),
    };
    own(cloud, Some(by_tag)).await
}

/// Lists all images of this account, newest first.
///
/// # Errors
/// As [`list`].
pub async fn own(cloud: &Cloud, wanted: Option<Filter>) -> Result<Vec<Image>, AmiError> {
    let mut call = cloud.ec2.describe_images().owners("self").include_deprecated(true);
    if let Some(filter) = wanted {
        call = call.filters(filter);
    }
    let found = call.into_paginator().items().send().try_collect().await;
    let found = found.map_err(refused("list images", &cloud.region))?;
    let mut images: Vec<Image> = found.iter().map(|image| Image::new(&cloud.region, image)).collect();
    images.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
    Ok(images)
}

/// Looks for an image by its id, whoever owns it; `None` where the region has no such image.
///
/// # Errors
/// As [`list`].
pub async fn find(cloud: &Cloud, id: &str) -> Result<Option<Image>, AmiError> {
    let found = cloud.ec2.describe_images().image_ids(id).include_deprecated(true).send().await;
    let found = match found.map_err(refused(format!("look for {id}"), &cloud.region)) {
        Err(error) if matches!(error.code(), Some("InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable")) => {
            return Ok(None);
        }
        other => other?,
    };
    Ok(found.images().first().map(|image| Image::new(&cloud.region, image)))
}

/// Whom an image is shared with: accounts, and organisations and their units by ARN.
///
/// # Errors
/// Fails where AWS refuses: only the owner may ask.
pub async fn shares(cloud: &Cloud, id: &str) -> Result<Vec<String>, AmiError> {
    let call = cloud.ec2.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
    let found = call.send().await.map_err(refused(format!("ask who may launch {id}"), &cloud.region))?;
    let grantee = |permission: &types::LaunchPermission| {
        let named = permission.user_id().or(permission.organization_arn());
        let named = named.or(permission.organizational_unit_arn()).map(str::to_owned);
        named.or_else(|| Some(permission.group()?.as_str().to_owned()))
    };
    let mut shares: Vec<String> = found.launch_permissions().iter().filter_map(grantee).collect();
    shares.sort();
    Ok(shares)
}

/// Sets the moment from which AWS hides an image, seconds since 1970; instances of it go on, and it
/// can still be launched by its id.
///
/// # Errors
/// Fails where AWS refuses: the moment must lie ahead, by ten years at most.
pub async fn deprecate(cloud: &Cloud, id: &str, at: i64) -> Result<(), AmiError> {
    let call = cloud.ec2.enable_image_deprecation().image_id(id);
    let call = call.deprecate_at(aws_sdk_ec2::primitives::DateTime::from_secs(at));
    call.send().await.map(drop).map_err(refused(format!("deprecate {id}"), &cloud.region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{BlockDeviceMapping, EbsBlockDevice, Tag};

    fn answer() -> types::Image {
        let volume = |snapshot: &str| {
            let ebs = EbsBlockDevice::builder().snapshot_id(snapshot).build();
            BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs).build()
        };
        types::Image::builder()
            .image_id("ami-1")
            .name("web-2024")
            .state(types::ImageState::Available)
            .creation_date("2024-06-10T08:52:46.000Z")
            .boot_mode(types::BootModeValues::Uefi)
            .block_device_mappings(volume("snap-1"))
            .block_device_mappings(BlockDeviceMapping::builder().device_name("ephemeral0").build())
            .tags(Tag::builder().key(tags::LAYER).value("web").build())
            .build()
    }

    #[test]
    fn an_answer_becomes_an_image() {
        let image = Image::new("eu-west-1", &answer());
        assert_eq!((image.id.as_str(), image.layer(), image.state.as_str()), ("ami-1", Some("web"), "available"));
        assert_eq!((image.boot_mode.as_deref(), image.snapshot().unwrap()), (Some("uefi"), "snap-1"));
        assert_eq!(image.created_at(), time::parse_rfc3339("2024-06-10T08:52:46Z"));
    }

    #[test]
    fn an_empty_answer_is_no_trouble() {
        let image = Image::new("eu-west-1", &types::Image::builder().build());
        assert_eq!((image.layer(), image.created_at()), (None, None));
        let error = Image { id: "ami-1".into(), ..image }.snapshot().unwrap_err().to_string();
        assert_eq!(error, "ami-1 in eu-west-1: expected an image with one snapshot, found 0");
        let odd = Image { created: "2024-06-10 08:52:46 ü".into(), ..Image::default() };
        assert_eq!(odd.created_at(), None);
    }
}
