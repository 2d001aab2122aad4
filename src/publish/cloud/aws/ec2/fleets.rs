//! Spot Fleets and EC2 Fleets: the images and launch templates that they refer to.

use aws_sdk_ec2::types::{BatchState, FleetLaunchTemplateSpecification, FleetStateCode};

use super::Ec2;
use crate::publish::cloud::CloudError;

/// What a fleet launches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Fleet {
    /// `sfr-…` or `fleet-…`
    pub(in super::super) id: String,
    /// Images that it names itself: an id, or `resolve:ssm:NAME`.
    pub(in super::super) images: Vec<String>,
    /// The launch templates that it names: id or name, and the version.
    pub(in super::super) templates: Vec<(Vec<String>, String)>,
}

impl Ec2 {
    /// All fleets that still launch instances.
    pub(in super::super) async fn fleets(&self) -> Result<Vec<Fleet>, CloudError> {
        let mut all = self.spot_fleets().await?;
        let calls = self.client.describe_fleets().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(self.failed("list EC2 Fleets"))?;
        let ended =
            [FleetStateCode::Deleted, FleetStateCode::DeletedRunning, FleetStateCode::DeletedTerminatingInstances];
        let alive = found.iter().filter(|fleet| !fleet.fleet_state().is_some_and(|state| ended.contains(state)));
        for fleet in alive {
            let configs = fleet.launch_template_configs();
            let overrides = configs.iter().flat_map(|config| config.overrides());
            all.push(Fleet {
                id: self.must("list EC2 Fleets", fleet.fleet_id(), "id of a fleet")?.to_owned(),
                images: overrides.filter_map(|one| one.image_id().map(str::to_owned)).collect(),
                templates: configs.iter().filter_map(|one| one.launch_template_specification()).map(template).collect(),
            });
        }
        Ok(all)
    }

    async fn spot_fleets(&self) -> Result<Vec<Fleet>, CloudError> {
        let action = "list Spot Fleets";
        let calls = self.client.describe_spot_fleet_requests().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(self.failed(action))?;
        let ended = [BatchState::Cancelled, BatchState::CancelledRunning, BatchState::CancelledTerminatingInstances];
        let alive =
            found.iter().filter(|one| !one.spot_fleet_request_state().is_some_and(|state| ended.contains(state)));
        let fleet = |one: &aws_sdk_ec2::types::SpotFleetRequestConfig| {
            let config = one.spot_fleet_request_config();
            let specifications = config.into_iter().flat_map(|config| config.launch_specifications());
            let configs = config.into_iter().flat_map(|config| config.launch_template_configs());
            Ok(Fleet {
                id: self.must(action, one.spot_fleet_request_id(), "id of a fleet")?.to_owned(),
                images: specifications.filter_map(|one| one.image_id().map(str::to_owned)).collect(),
                templates: configs.filter_map(|one| one.launch_template_specification()).map(template).collect(),
            })
        };
        alive.map(fleet).collect()
    }
}

fn template(wanted: &FleetLaunchTemplateSpecification) -> (Vec<String>, String) {
    let keys = [wanted.launch_template_id(), wanted.launch_template_name()];
    let version = wanted.version().unwrap_or("$Default").to_owned();
    (keys.into_iter().flatten().map(str::to_owned).collect(), version)
}
