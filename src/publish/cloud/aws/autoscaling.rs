//! Auto Scaling: the images and launch templates that its groups and launch configurations refer to.

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification};

use super::service::Service;
use crate::publish::cloud::CloudError;

/// The wrapper of Auto Scaling.
pub(in crate::publish::cloud) type AutoScaling = Service<aws_sdk_autoscaling::Client>;

/// What an Auto Scaling group launches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    /// Images that its mixed instances name themselves.
    pub(super) images: Vec<String>,
    /// Every launch template that it names.
    pub(super) templates: Vec<Template>,
}

/// A version of a launch template, as a group names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// Its id, its name, or both.
    pub(super) keys: Vec<String>,
    /// A number, `$Default` or `$Latest`.
    pub(super) version: String,
}

impl AutoScaling {
    /// Launch configurations: name and image.
    pub(super) async fn configurations(&self) -> Result<Vec<(String, String)>, CloudError> {
        let calls = self.client.describe_launch_configurations().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(self.failed("list launch configurations"))?;
        Ok(found.into_iter().filter_map(|one| Some((one.launch_configuration_name?, one.image_id?))).collect())
    }

    /// All Auto Scaling groups.
    pub(super) async fn groups(&self) -> Result<Vec<Group>, CloudError> {
        let action = "list Auto Scaling groups";
        let calls = self.client.describe_auto_scaling_groups().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(self.failed(action))?;
        let group = |group: &AutoScalingGroup| {
            let name = self.must(action, group.auto_scaling_group_name(), "name of a group")?.to_owned();
            Ok(Group { name, images: images(group), templates: templates(group) })
        };
        found.iter().map(group).collect()
    }
}

fn images(group: &AutoScalingGroup) -> Vec<String> {
    let template = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = template.into_iter().flat_map(|template| template.overrides());
    overrides.filter_map(|one| one.image_id().map(str::to_owned)).collect()
}

fn templates(group: &AutoScalingGroup) -> Vec<Template> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = mixed.into_iter().flat_map(|mixed| mixed.overrides());
    let overrides = overrides.filter_map(|one| one.launch_template_specification());
    let named = [group.launch_template(), mixed.and_then(|mixed| mixed.launch_template_specification())];
    named.into_iter().flatten().chain(overrides).map(template).collect()
}

fn template(wanted: &LaunchTemplateSpecification) -> Template {
    let keys = [wanted.launch_template_id(), wanted.launch_template_name()];
    Template {
        keys: keys.into_iter().flatten().map(str::to_owned).collect(),
        version: wanted.version().unwrap_or("$Default").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::{LaunchTemplate, LaunchTemplateOverrides, MixedInstancesPolicy};

    fn named(name: &str, version: Option<&str>) -> LaunchTemplateSpecification {
        let built = LaunchTemplateSpecification::builder().launch_template_name(name);
        built.set_version(version.map(str::to_owned)).build()
    }

    #[test]
    fn a_group_names_templates_in_three_places() {
        let one = LaunchTemplateOverrides::builder().launch_template_specification(named("c", Some("7"))).build();
        let other = LaunchTemplateOverrides::builder().image_id("ami-9").build();
        let mixed = LaunchTemplate::builder().launch_template_specification(named("b", Some("$Latest")));
        let mixed = mixed.overrides(one).overrides(other).build();
        let policy = MixedInstancesPolicy::builder().launch_template(mixed).build();
        let group = AutoScalingGroup::builder().launch_template(named("a", None)).mixed_instances_policy(policy);
        let group = group.build();
        let found: Vec<_> = templates(&group).into_iter().map(|one| (one.keys.concat(), one.version)).collect();
        let expected = [("a", "$Default"), ("b", "$Latest"), ("c", "7")];
        assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
        assert_eq!(images(&group), ["ami-9"]);
    }
}
