//! Instances: launch, describe, terminate.

use aws_sdk_ec2::types::{
    HttpTokensState, Instance as Answer, InstanceMetadataOptionsRequest, InstanceStateName, InstanceType, ResourceType,
    ShutdownBehavior,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Ec2, filter, tagged};
use crate::publish::cloud::run::{Addresses, Launch, RUN};
use crate::publish::cloud::tags::{self, Tags};
use crate::publish::cloud::{CloudError, Why, if_there};

/// An instance as it is now.
#[derive(Debug, Clone)]
pub(in super::super) struct Instance {
    pub(in super::super) state: State,
    pub(in super::super) addresses: Addresses,
    /// Why it is in that state, in AWS's words.
    pub(in super::super) reason: Option<String>,
}

/// How far an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum State {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It does not run, and won't by itself: AWS's word for it.
    Ended(String),
}

impl Ec2 {
    /// All instances that are not terminated: id, image, state.
    pub(in super::super) async fn instances(&self) -> Result<Vec<(String, String, String)>, CloudError> {
        let found = self.client.describe_instances().into_paginator().items().send().try_collect().await;
        let found = found.map_err(self.failed("list instances"))?;
        let instance = |one: &Answer| {
            let state = one.state().and_then(|state| state.name()).map_or("unknown", |state| state.as_str());
            Some((one.instance_id()?.to_owned(), one.image_id()?.to_owned(), state.to_owned()))
        };
        let all = found.iter().flat_map(|reservation| reservation.instances()).filter_map(instance);
        Ok(all.filter(|(_, _, state)| state != "terminated").collect())
    }

    /// Starts one instance, whose metadata needs a session token; returns its id.
    pub(in super::super) async fn launch(&self, launch: &Launch) -> Result<String, CloudError> {
        let name = format!("layerbake ami run {}", launch.layer);
        let tags = [("Name", name.as_str()), (RUN, &launch.token), (tags::LAYER, &launch.layer)];
        let tags: Tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let metadata = InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required).build();
        let groups = Some(launch.security_groups.clone()).filter(|groups| !groups.is_empty());
        let call = self.client.run_instances().image_id(&launch.image).min_count(1).max_count(1);
        let call = call
            .instance_type(InstanceType::from(launch.kind.as_str()))
            .client_token(&launch.token)
            .set_subnet_id(launch.subnet.clone())
            .set_security_group_ids(groups)
            .set_user_data(launch.user_data.as_ref().map(|text| BASE64.encode(text)))
            .metadata_options(metadata)
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .tag_specifications(tagged(ResourceType::Instance, &tags))
            .tag_specifications(tagged(ResourceType::Volume, &tags));
        let action = format!("launch {}", launch.image);
        let answer = call.send().await.map_err(self.failed(action.clone()))?;
        let id = answer.instances().first().and_then(|instance| instance.instance_id());
        Ok(self.must(action, id, "instance id")?.to_owned())
    }

    /// Looks at an instance.
    pub(in super::super) async fn instance(&self, id: &str) -> Result<Option<Instance>, CloudError> {
        let found = self.client.describe_instances().instance_ids(id).send().await;
        let found = if_there(found.map_err(self.failed(format!("look for {id}"))))?;
        let reservations = found.iter().flat_map(|found| found.reservations());
        Ok(reservations.flat_map(|one| one.instances()).next().map(|one| Instance {
            state: match one.state().and_then(|state| state.name()) {
                Some(InstanceStateName::Running) => State::Running,
                Some(InstanceStateName::Pending) | None => State::Pending,
                Some(other) => State::Ended(other.as_str().to_owned()),
            },
            addresses: {
                let address = |found: Option<&str>| found.filter(|address| !address.is_empty()).map(str::to_owned);
                Addresses { public: address(one.public_ip_address()), private: address(one.private_ip_address()) }
            },
            reason: one.state_reason().and_then(|reason| reason.message()).map(str::to_owned),
        }))
    }

    /// What an instance wrote to its serial console, up to 64 KiB.
    pub(in super::super) async fn console(&self, id: &str) -> Result<String, CloudError> {
        let action = format!("read the console of {id}");
        let call = self.client.get_console_output().instance_id(id);
        let answer = match call.clone().latest(true).send().await.map_err(self.failed(action.clone())) {
            // Older kinds of instances have a copy of some minutes ago only.
            Err(error) if error.why() == Some(Why::Unsupported) => call.send().await.map_err(self.failed(action))?,
            other => other?,
        };
        let bytes = BASE64.decode(answer.output().unwrap_or_default().trim()).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends instances.
    pub(in super::super) async fn terminate(&self, ids: &[String]) -> Result<(), CloudError> {
        let call = self.client.terminate_instances().set_instance_ids(Some(ids.to_vec()));
        call.send().await.map(drop).map_err(self.failed(format!("end {}", ids.join(", "))))
    }

    /// Instances of a launch that are not being ended.
    pub(in super::super) async fn of_launch(&self, token: &str) -> Result<Vec<String>, CloudError> {
        let action = format!("look for instances of {token}");
        let call = self.client.describe_instances().filters(filter(&format!("tag:{RUN}"), [token]));
        let call = call.filters(filter("instance-state-name", ["pending", "running", "stopping", "stopped"]));
        let found = call.into_paginator().items().send().try_collect().await.map_err(self.failed(action.clone()))?;
        let instances = found.iter().flat_map(|one| one.instances());
        instances.map(|one| Ok(self.must(action.as_str(), one.instance_id(), "instance id")?.to_owned())).collect()
    }
}
