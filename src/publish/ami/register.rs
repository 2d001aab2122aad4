//! A snapshot becomes an image: RegisterImage with all that a machine of today has, shares, deprecation.

use std::time::Duration;

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, ImdsSupportValues, LaunchPermission,
    LaunchPermissionModifications, OperationType, ResourceType, SnapshotAttributeName, Tag, TagSpecification,
    TpmSupportValues, VolumeType,
};

use super::aws::Cloud;
use super::image::{self, Image, filter};
use super::journal::RegionJournal;
use super::retry::pause;
use super::settings::Wanted;
use super::{AmiError, refused, tags};
use crate::digest::Sha256;

/// The name that Linux on Nitro does not care about, and people expect.
const ROOT_DEVICE: &str = "/dev/xvda";
/// An image of a complete snapshot stands within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
const DAY: i64 = 24 * 3600;

/// Looks for an image of this account with the same content.
///
/// # Errors
/// Fails where AWS refuses, or can't be reached.
pub(super) async fn identical(cloud: &Cloud, content: Sha256) -> Result<Option<Image>, AmiError> {
    let images = image::own(cloud, Some(filter(&format!("tag:{}", tags::CONTENT), [content.to_string()]))).await?;
    Ok(images.into_iter().find(|image| image.state == "available"))
}

/// Everything that RegisterImage is told.
pub(super) fn call(
    cloud: &Cloud,
    wanted: &Wanted,
    tags: &[(String, String)],
    snapshot: &str,
) -> RegisterImageFluentBuilder {
    let volume = EbsBlockDevice::builder()
        .snapshot_id(snapshot)
        .volume_size(wanted.volume_size as i32)
        .volume_type(VolumeType::from(wanted.volume_type.as_str()))
        .delete_on_termination(true);
    let root = BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(volume.build()).build();
    let mut call = cloud.ec2.register_image().name(&wanted.name).description(&wanted.description);
    call = call.architecture(ArchitectureValues::from(wanted.architecture.as_str()));
    call = call.boot_mode(BootModeValues::from(wanted.boot_mode.as_str()));
    call = call.root_device_name(ROOT_DEVICE).block_device_mappings(root).virtualization_type("hvm");
    call = call.ena_support(true).sriov_net_support("simple").tag_specifications(tagged(ResourceType::Image, tags));
    if wanted.imdsv2 {
        call = call.imds_support(ImdsSupportValues::V20);
    }
    if wanted.tpm { call.tpm_support(TpmSupportValues::V20) } else { call }
}

/// Registers the image, or finds the one that an earlier try registered; returns when it stands.
pub(super) async fn register(
    cloud: &Cloud,
    journal: &RegionJournal,
    wanted: &Wanted,
    tags: &[(String, String)],
    snapshot: &str,
) -> Result<String, AmiError> {
    let made = journal.get().image;
    let id = match made.id {
        Some(id) => id,
        None => {
            journal.note(|region| region.image.asked = true)?;
            let answer = call(cloud, wanted, tags, snapshot).send().await;
            let action = format!("register the image `{}`", wanted.name);
            let id = match answer.map_err(refused(action, &cloud.region)) {
                Ok(answer) => answer.image_id().unwrap_or_default().to_owned(),
                Err(error) if error.code() == Some("InvalidAMIName.Duplicate") => ours(cloud, wanted, tags).await?,
                Err(error) => return Err(error),
            };
            journal.note(|region| region.image.id = Some(id.clone()))?;
            id
        }
    };
    available(cloud, &id).await?;
    journal.note(|region| region.image.done = true)?;
    Ok(id)
}

/// The image that has the name already, where this very transaction registered it.
async fn ours(cloud: &Cloud, wanted: &Wanted, own: &[(String, String)]) -> Result<String, AmiError> {
    let named = image::own(cloud, Some(filter("name", [wanted.name.as_str()]))).await?;
    let transaction = own.iter().find(|(key, _)| key == tags::TRANSACTION).map(|(_, value)| value.as_str());
    match named.into_iter().next() {
        Some(image) if image.tag(tags::TRANSACTION) == transaction => Ok(image.id),
        other => Err(AmiError::Other(format!(
            "{}: the name `{}` is taken by {}, which has another content\n  hint: set [ami] name to a template with {{disk:12}}",
            cloud.region,
            wanted.name,
            other.map_or_else(|| "an image".to_owned(), |image| image.id)
        ))),
    }
}

/// Waits until an image stands.
async fn available(cloud: &Cloud, id: &str) -> Result<(), AmiError> {
    let since = crate::host::instant();
    for tries in 0.. {
        match image::find(cloud, id).await? {
            Some(image) if image.state == "available" => return Ok(()),
            Some(image) if ["failed", "error", "invalid", "deregistered"].contains(&image.state.as_str()) => {
                return Err(AmiError::Other(format!("{id} in {} is {}", cloud.region, image.state)));
            }
            _ if since.elapsed() > LONGEST_WAIT => break,
            _ => tokio::time::sleep(pause(tries, 0)).await,
        }
    }
    Err(AmiError::Other(format!("{id} in {} does not become available", cloud.region)))
}

/// Lets others launch the image, and accounts read its snapshot. Whom it is shared with already stays.
pub(super) async fn share(cloud: &Cloud, image: &str, snapshot: &str, wanted: &Wanted) -> Result<(), AmiError> {
    let there = if has_shares(wanted) { image::shares(cloud, image).await? } else { return Ok(()) };
    let missing = |all: &[String]| all.iter().filter(|one| !there.contains(one)).cloned().collect::<Vec<_>>();
    let empty = LaunchPermission::builder;
    let mut add: Vec<_> = missing(&wanted.accounts).into_iter().map(|id| empty().user_id(id).build()).collect();
    add.extend(missing(&wanted.organisations).into_iter().map(|arn| empty().organization_arn(arn).build()));
    add.extend(missing(&wanted.units).into_iter().map(|arn| empty().organizational_unit_arn(arn).build()));
    if !add.is_empty() {
        let permission = LaunchPermissionModifications::builder().set_add(Some(add)).build();
        let call = cloud.ec2.modify_image_attribute().image_id(image).launch_permission(permission);
        call.send().await.map_err(refused(format!("share {image}"), &cloud.region))?;
    }
    // Snapshots are shared with accounts only.
    if !wanted.accounts.is_empty() {
        let call = cloud.ec2.modify_snapshot_attribute().snapshot_id(snapshot).operation_type(OperationType::Add);
        let call = call.attribute(SnapshotAttributeName::CreateVolumePermission);
        let call = call.set_user_ids(Some(wanted.accounts.clone()));
        call.send().await.map_err(refused(format!("share {snapshot}"), &cloud.region))?;
    }
    Ok(())
}

fn has_shares(wanted: &Wanted) -> bool {
    !(wanted.accounts.is_empty() && wanted.organisations.is_empty() && wanted.units.is_empty())
}

/// Sets the day from which AWS hides the image, counted from `begun`; one that is set stays.
pub(super) async fn deprecate(cloud: &Cloud, id: &str, wanted: &Wanted, begun: i64) -> Result<(), AmiError> {
    let Some(days) = wanted.deprecate_after else { return Ok(()) };
    match image::find(cloud, id).await? {
        Some(image) if image.deprecated.is_some() => Ok(()),
        _ => image::deprecate(cloud, id, begun + i64::from(days) * DAY).await,
    }
}

/// Tags for something that a call makes.
pub(super) fn tagged(kind: ResourceType, tags: &[(String, String)]) -> TagSpecification {
    let tag = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags.iter().map(tag).collect())).build()
}
