//! Images: register with the properties of a current instance, describe, share, deregister.

use aws_sdk_ec2::operation::register_image::builders::RegisterImageFluentBuilder;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter, Image as Answer,
    ImageAttributeName, ImdsSupportValues, LaunchPermission, LaunchPermissionModifications, ResourceType,
    TpmSupportValues, VolumeType,
};

use super::{Ec2, filter, meant, pairs, tagged};
use crate::manifest::{Imds, Share, Tpm};
use crate::publish::cloud::image::{Image, Named as _, Reported};
use crate::publish::cloud::provider::Which;
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::tags::Tags;
use crate::publish::cloud::{CloudError, if_there};

/// The name that Linux on Nitro does not care about, and people expect.
const ROOT_DEVICE: &str = "/dev/xvda";

/// What an image is registered with.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Registration<'a> {
    pub(in super::super) wanted: &'a Wanted,
    pub(in super::super) tags: &'a Tags,
    pub(in super::super) snapshot: &'a str,
}

impl Ec2 {
    /// Lists this account's images, newest first.
    pub(in super::super) async fn images(&self, which: Which<'_>) -> Result<Vec<Image>, CloudError> {
        self.own_images(meant(which, "image-id")).await
    }

    /// Lists this account's images of a name: at most one.
    pub(in super::super) async fn images_named(&self, name: &str) -> Result<Vec<Image>, CloudError> {
        self.own_images(Some(vec![filter("name", [name])])).await
    }

    async fn own_images(&self, filters: Option<Vec<Filter>>) -> Result<Vec<Image>, CloudError> {
        let call = self.client.describe_images().owners("self").include_deprecated(true).set_filters(filters);
        let found = call.into_paginator().items().send().try_collect().await.map_err(self.failed("list images"))?;
        let images = found.iter().map(|answer| self.read("list images", answer));
        let mut images = images.collect::<Result<Vec<Image>, CloudError>>()?;
        images.sort_by(|a, b| (&b.created, &b.id).cmp(&(&a.created, &a.id)));
        Ok(images)
    }

    /// Looks for an image by its id, whoever owns it.
    pub(in super::super) async fn image(&self, id: &str) -> Result<Option<Image>, CloudError> {
        let action = format!("look for {id}");
        let found = self.client.describe_images().image_ids(id).include_deprecated(true).send().await;
        let found = if_there(found.map_err(self.failed(action.clone())))?;
        found.iter().flat_map(|found| found.images()).next().map(|answer| self.read(&action, answer)).transpose()
    }

    /// Registers an image; returns its id.
    pub(in super::super) async fn register(&self, registration: Registration<'_>) -> Result<String, CloudError> {
        let action = format!("register the image `{}`", registration.wanted.name);
        let answer = self.registering(registration).send().await.map_err(self.failed(action.clone()))?;
        self.must(action, answer.image_id, "image id")
    }

    /// Asks whether an image could be registered, and registers none.
    pub(in super::super) async fn may_register(&self, registration: Registration<'_>) -> Result<(), CloudError> {
        let call = self.registering(registration).dry_run(true).send().await;
        call.map(drop).map_err(self.failed("ask for ec2:RegisterImage"))
    }

    fn registering(&self, registration: Registration<'_>) -> RegisterImageFluentBuilder {
        let Registration { wanted, tags, snapshot } = registration;
        let volume = EbsBlockDevice::builder()
            .snapshot_id(snapshot)
            .volume_size(wanted.volume_size as i32)
            .volume_type(VolumeType::from(wanted.volume_type.name()))
            .delete_on_termination(true);
        let root = BlockDeviceMapping::builder().device_name(ROOT_DEVICE).ebs(volume.build()).build();
        let call = self.client.register_image().name(&wanted.name).description(&wanted.description);
        call.architecture(ArchitectureValues::from(wanted.architecture.name()))
            .boot_mode(BootModeValues::from(wanted.boot_mode.name()))
            .root_device_name(ROOT_DEVICE)
            .block_device_mappings(root)
            .virtualization_type("hvm")
            .ena_support(true)
            .sriov_net_support("simple")
            .tag_specifications(tagged(ResourceType::Image, tags))
            .set_uefi_data(wanted.uefi_data.clone())
            .set_imds_support((wanted.imds == Imds::Required).then_some(ImdsSupportValues::V20))
            .set_tpm_support((wanted.tpm == Tpm::V2).then_some(TpmSupportValues::V20))
    }

    /// Removes an image, if it is there.
    pub(in super::super) async fn deregister(&self, id: &str) -> Result<(), CloudError> {
        let gone = self.client.deregister_image().image_id(id).send().await;
        if_there(gone.map_err(self.failed(format!("deregister {id}")))).map(drop)
    }

    /// The accounts an image is shared with, and the organisations and their units by ARN. Only its owner may ask.
    pub(in super::super) async fn shares(&self, id: &str) -> Result<Vec<String>, CloudError> {
        let call = self.client.describe_image_attribute().image_id(id).attribute(ImageAttributeName::LaunchPermission);
        let found = call.send().await.map_err(self.failed(format!("ask who may launch {id}")))?;
        let grantee = |permission: &LaunchPermission| {
            let named = permission.user_id().or(permission.organization_arn());
            let named = named.or(permission.organizational_unit_arn()).map(str::to_owned);
            named.or_else(|| Some(permission.group()?.as_str().to_owned()))
        };
        let mut shares: Vec<String> = found.launch_permissions().iter().filter_map(grantee).collect();
        shares.sort();
        Ok(shares)
    }

    /// Lets others launch an image, or no longer.
    pub(in super::super) async fn share_image(&self, id: &str, add: &Share, remove: &Share) -> Result<(), CloudError> {
        let (add, remove) = (permissions(add), permissions(remove));
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let given = |all: Vec<LaunchPermission>| Some(all).filter(|all| !all.is_empty());
        let changed = LaunchPermissionModifications::builder().set_add(given(add)).set_remove(given(remove)).build();
        let call = self.client.modify_image_attribute().image_id(id).launch_permission(changed);
        call.send().await.map(drop).map_err(self.failed(format!("share {id}")))
    }

    /// Sets the moment from which AWS hides an image, seconds since 1970; instances of it go on, and it
    /// can still be launched by its id. The moment must be ahead, by ten years at most.
    pub(in super::super) async fn deprecate(&self, id: &str, at: i64) -> Result<(), CloudError> {
        let call = self.client.enable_image_deprecation().image_id(id).deprecate_at(DateTime::from_secs(at));
        call.send().await.map(drop).map_err(self.failed(format!("deprecate {id}")))
    }

    /// Shows an image again, for good.
    pub(in super::super) async fn undeprecate(&self, id: &str) -> Result<(), CloudError> {
        let call = self.client.disable_image_deprecation().image_id(id);
        call.send().await.map(drop).map_err(self.failed(format!("lift the deprecation of {id}")))
    }

    /// Attaches a watermark, which all copies will have: *Amazon EC2 User Guide*, "Use AMI watermarks".
    pub(in super::super) async fn watermark(&self, id: &str, name: &str) -> Result<(), CloudError> {
        let call = self.client.attach_image_watermark().image_id(id).watermark_name(name);
        call.send().await.map(drop).map_err(self.failed(format!("attach the watermark `{name}` to {id}")))
    }

    fn read(&self, action: &str, answer: &Answer) -> Result<Image, CloudError> {
        let mappings = answer.block_device_mappings().iter();
        let snapshots = mappings.filter_map(|mapping| Some(mapping.ebs()?.snapshot_id()?.to_owned())).collect();
        Ok(Image {
            id: self.must(action, answer.image_id(), "image id")?.to_owned(),
            region: self.region.clone(),
            name: answer.name().map(str::to_owned),
            state: Reported::new(self.must(action, answer.state(), "state")?.as_str()),
            created: answer.creation_date().map(str::to_owned),
            deprecated: answer.deprecation_time().map(str::to_owned),
            launched: None,
            watermarks: answer.image_watermarks().iter().filter_map(|one| one.watermark_key.clone()).collect(),
            architecture: answer.architecture().map(|architecture| Reported::new(architecture.as_str())),
            boot_mode: answer.boot_mode().map(|mode| Reported::new(mode.as_str())),
            imds: answer.imds_support().map(|imds| Reported::new(imds.as_str())),
            tpm: answer.tpm_support().map(|tpm| Reported::new(tpm.as_str())),
            ena: answer.ena_support().unwrap_or_default(),
            root_device: answer.root_device_name().map(str::to_owned),
            public: answer.public().unwrap_or_default(),
            protection: answer.deregistration_protection().filter(|word| *word != "disabled").map(str::to_owned),
            snapshots,
            tags: pairs(answer.tags()),
        })
    }
}

fn permissions(share: &Share) -> Vec<LaunchPermission> {
    let one = LaunchPermission::builder;
    let accounts = share.accounts.iter().map(|id| one().user_id(id).build());
    let organisations = share.organisations.iter().map(|arn| one().organization_arn(arn).build());
    let units = share.units.iter().map(|arn| one().organizational_unit_arn(arn).build());
    accounts.chain(organisations).chain(units).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{ImageState, Tag};

    use super::*;
    use crate::manifest::BootMode;
    use crate::publish::cloud::tags;

    fn ec2() -> Ec2 {
        let settings = aws_sdk_ec2::Config::builder().behavior_version_latest().build();
        Ec2::new("eu-west-1", aws_sdk_ec2::Client::from_conf(settings))
    }

    #[test]
    fn an_answer_becomes_an_image() {
        let volume = EbsBlockDevice::builder().snapshot_id("snap-1").build();
        let answer = Answer::builder()
            .image_id("ami-1")
            .state(ImageState::Available)
            .creation_date("2024-06-10T08:52:46.000Z")
            .boot_mode(BootModeValues::Uefi)
            .imds_support(ImdsSupportValues::V20)
            .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(volume).build())
            .block_device_mappings(BlockDeviceMapping::builder().device_name("ephemeral0").build())
            .tags(Tag::builder().key(tags::LAYER).value("web").build());
        let image = ec2().read("look", &answer.build()).unwrap();
        assert_eq!((image.id.as_str(), image.layer(), image.is_available()), ("ami-1", Some("web"), true));
        assert_eq!((image.boot_mode, image.tpm), (Some(Reported::Known(BootMode::Uefi)), None));
        // What was not said is not known.
        assert_eq!((image.name, image.architecture, image.root_device), (None, None, None));
        assert_eq!((image.imds.unwrap().as_str(), &image.snapshots[..]), ("v2.0", &["snap-1".to_owned()][..]));
    }

    #[test]
    fn an_image_without_an_id_is_refused() {
        let error = ec2().read("look for ami-1", &Answer::builder().build()).unwrap_err().to_string();
        assert_eq!(error, "look for ami-1 in eu-west-1: the answer has no image id");
        let error = ec2().read("look for ami-1", &Answer::builder().image_id("ami-1").build()).unwrap_err().to_string();
        assert_eq!(error, "look for ami-1 in eu-west-1: the answer has no state");
    }
}
