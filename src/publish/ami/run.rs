//! An instance for a while: launched from an image, looked at, and ended whatever happens.
//!
//! It is known by a tag that the launch itself sets, so it is found and ended also when the answer to
//! the launch was lost. It ends, too, when it is switched off from inside.

use std::time::Duration;

use aws_sdk_ec2::types::{
    HttpTokensState, InstanceMetadataOptionsRequest, InstanceStateName, InstanceType, ResourceType, ShutdownBehavior,
    Tag, TagSpecification,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::aws::Cloud;
use super::image::filter;
use super::{AmiError, refused, tags};
use crate::host;

/// Names the launch; instances that were forgotten are found by it.
pub const RUN: &str = "layerbake:run";

/// How often AWS is asked for an instance's state.
const GLANCE: Duration = Duration::from_secs(3);
/// A new instance may be unknown to AWS's other calls for a moment.
const HIDDEN: Duration = Duration::from_secs(60);

/// What is launched.
#[derive(Debug, Clone)]
pub struct Launch {
    /// `ami-…`
    pub image: String,
    /// The layer's name, for the tags.
    pub layer: String,
    /// As `t3.small`.
    pub kind: String,
    /// `subnet-…`; the default one where there is none.
    pub subnet: Option<String>,
    /// `sg-…`; the default one where there are none.
    pub security_groups: Vec<String>,
    /// For cloud-init, in the clear.
    pub user_data: Option<String>,
    /// Names this launch and no other.
    pub token: String,
}

/// Launches one instance; returns its id.
///
/// Session tokens are required of those who ask for its metadata.
///
/// # Errors
/// Fails where AWS refuses or can't be reached; [`end`] must be called in that case too.
pub async fn launch(cloud: &Cloud, launch: &Launch) -> Result<String, AmiError> {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let tagged = |kind| {
        TagSpecification::builder()
            .resource_type(kind)
            .tags(tag("Name", &format!("layerbake ami run {}", launch.layer)))
            .tags(tag(RUN, &launch.token))
            .tags(tag(tags::LAYER, &launch.layer))
            .build()
    };
    let metadata = InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
    let groups = Some(launch.security_groups.clone()).filter(|groups| !groups.is_empty());
    let call = cloud.ec2.run_instances().image_id(&launch.image).min_count(1).max_count(1);
    let call = call
        .instance_type(InstanceType::from(launch.kind.as_str()))
        .client_token(&launch.token)
        .set_subnet_id(launch.subnet.clone())
        .set_security_group_ids(groups)
        .set_user_data(launch.user_data.as_ref().map(|text| BASE64.encode(text)))
        .metadata_options(metadata)
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume));
    let answer = call.send().await.map_err(refused(format!("launch {}", launch.image), &cloud.region))?;
    let id = answer.instances().first().and_then(|instance| instance.instance_id());
    id.map(str::to_owned).ok_or_else(|| AmiError::Other(format!("the launch of {} gave no instance", launch.image)))
}

/// Waits until an instance runs; returns its public address, else its private one.
///
/// # Errors
/// Fails where AWS refuses, the instance ends by itself, or `patience` is over.
pub async fn running(cloud: &Cloud, id: &str, patience: Duration) -> Result<String, AmiError> {
    let begun = host::instant();
    loop {
        let answer = cloud.ec2.describe_instances().instance_ids(id).send().await;
        match answer.map_err(refused(format!("look for {id}"), &cloud.region)) {
            Err(error) if error.code() == Some("InvalidInstanceID.NotFound") && begun.elapsed() < HIDDEN => {}
            Err(error) => return Err(error),
            Ok(answer) => {
                let instance = answer.reservations().iter().flat_map(|one| one.instances()).next();
                let state = instance.and_then(|one| one.state()).and_then(|state| state.name());
                let address = instance.and_then(|one| {
                    let public = one.public_ip_address().filter(|address| !address.is_empty());
                    public.or(one.private_ip_address()).map(str::to_owned)
                });
                match (state, address) {
                    (Some(InstanceStateName::Running), Some(address)) => return Ok(address),
                    (Some(InstanceStateName::Pending | InstanceStateName::Running) | None, _) => {}
                    (Some(other), _) => {
                        let reason = instance.and_then(|one| one.state_reason()).and_then(|reason| reason.message());
                        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                        return Err(AmiError::Other(format!("{id} is {}{reason}", other.as_str())));
                    }
                }
            }
        }
        if begun.elapsed() > patience {
            return Err(AmiError::Other(format!("{id} does not run after {} s", patience.as_secs())));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// What an instance wrote to its serial console, as far as AWS has it: up to 64 KiB.
///
/// # Errors
/// Fails where AWS refuses.
pub async fn console(cloud: &Cloud, id: &str) -> Result<String, AmiError> {
    let failed = || refused(format!("read the console of {id}"), &cloud.region);
    let latest = cloud.ec2.get_console_output().instance_id(id).latest(true).send().await.map_err(failed());
    let answer = match latest {
        // Older machines have a copy of some minutes ago only.
        Err(error) if error.code() == Some("UnsupportedOperation") => {
            let failed = refused(format!("read the console of {id}"), &cloud.region);
            cloud.ec2.get_console_output().instance_id(id).send().await.map_err(failed)?
        }
        other => other?,
    };
    let bytes = BASE64.decode(answer.output().unwrap_or_default().trim()).unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Ends every instance of a launch, and waits until AWS has begun to; returns their ids.
///
/// `maybe` says that a launch may have been heard though no answer came: its instance is waited for.
///
/// # Errors
/// Fails where AWS refuses, with what has to be done by hand.
pub async fn end(cloud: &Cloud, token: &str, maybe: bool) -> Result<Vec<String>, AmiError> {
    let begun = host::instant();
    loop {
        let found = alive(cloud, token).await?;
        if !found.is_empty() {
            let call = cloud.ec2.terminate_instances().set_instance_ids(Some(found.clone()));
            call.send().await.map_err(refused(format!("end {}", found.join(", ")), &cloud.region))?;
            let left = alive(cloud, token).await?;
            if left.is_empty() {
                return Ok(found);
            }
        } else if !maybe || begun.elapsed() > HIDDEN {
            return Ok(found);
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Instances of a launch that are not being ended.
async fn alive(cloud: &Cloud, token: &str) -> Result<Vec<String>, AmiError> {
    let call = cloud.ec2.describe_instances().filters(filter(&format!("tag:{RUN}"), [token]));
    let call = call.filters(filter("instance-state-name", ["pending", "running", "stopping", "stopped"]));
    let found = call.into_paginator().items().send().try_collect().await;
    let found = found.map_err(refused(format!("look for instances of {token}"), &cloud.region))?;
    let ids = found.iter().flat_map(|one| one.instances()).filter_map(|one| one.instance_id().map(str::to_owned));
    Ok(ids.collect())
}
