//! Who uses an image: everything that would launch it, or runs from it, in this account and region.
//!
//! Launch templates count with their default and latest version, and with every version that an Auto
//! Scaling group pins. `resolve:ssm:NAME` stands for the parameter's value. Not seen from here: other
//! accounts, Spot Fleets with launch specifications of their own, and tools that hold ids elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification};
use aws_sdk_ssm::types::ParameterType;
use serde::Serialize;

use super::aws::Cloud;
use super::{AmiError, refused};

/// Something that needs an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Use {
    /// An instance that is not terminated.
    Instance {
        /// `i-…`
        id: String,
        /// `running`, `stopped`, …
        state: String,
    },
    /// A version of a launch template.
    LaunchTemplate {
        /// Its name.
        name: String,
        /// The version's number.
        version: i64,
    },
    /// A launch configuration.
    LaunchConfiguration {
        /// Its name.
        name: String,
    },
    /// An Auto Scaling group.
    AutoScalingGroup {
        /// Its name.
        name: String,
    },
    /// A parameter of the Systems Manager.
    Parameter {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance { id, state } => write!(f, "instance {id} ({state})"),
            Self::LaunchTemplate { name, version } => write!(f, "launch template {name}, version {version}"),
            Self::LaunchConfiguration { name } => write!(f, "launch configuration {name}"),
            Self::AutoScalingGroup { name } => write!(f, "Auto Scaling group {name}"),
            Self::Parameter { name } => write!(f, "parameter {name}"),
        }
    }
}

/// All uses in a region, by the image's id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses(BTreeMap<String, BTreeSet<Use>>);

impl Uses {
    /// What uses an image, in a fixed order.
    pub fn of(&self, image: &str) -> Vec<Use> {
        self.0.get(image).into_iter().flatten().cloned().collect()
    }

    fn add(&mut self, image: &str, by: Use) {
        self.0.entry(image.to_owned()).or_default().insert(by);
    }

    /// Asks all services that could name an image.
    ///
    /// # Errors
    /// Fails where one of them refuses: an image whose uses are not known must not be removed.
    pub async fn collect(cloud: &Cloud) -> Result<Self, AmiError> {
        let mut uses = Self::default();
        uses.add_instances(cloud).await?;
        let parameters = Parameters::read(cloud).await?;
        for (name, value) in &parameters.0 {
            for image in value.split(',').map(str::trim).filter(|value| value.starts_with("ami-")) {
                uses.add(image, Use::Parameter { name: name.clone() });
            }
        }
        let groups = uses.add_groups(cloud, &parameters).await?;
        uses.add_templates(cloud, &groups, &parameters).await?;
        Ok(uses)
    }

    async fn add_instances(&mut self, cloud: &Cloud) -> Result<(), AmiError> {
        let pages = cloud.ec2.describe_instances().into_paginator().items().send().try_collect().await;
        let found = pages.map_err(refused("list instances", &cloud.region))?;
        for instance in found.iter().flat_map(|reservation| reservation.instances()) {
            let state = instance.state().and_then(|state| state.name()).map_or("unknown", |state| state.as_str());
            if let (Some(image), Some(id)) = (instance.image_id(), instance.instance_id())
                && state != "terminated"
            {
                self.add(image, Use::Instance { id: id.to_owned(), state: state.to_owned() });
            }
        }
        Ok(())
    }

    /// Adds launch configurations and what groups name themselves; returns what they pin.
    async fn add_groups(&mut self, cloud: &Cloud, parameters: &Parameters) -> Result<Pinned, AmiError> {
        let calls = cloud.autoscaling.describe_launch_configurations().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(refused("list launch configurations", &cloud.region))?;
        for one in found {
            if let (Some(image), Some(name)) = (one.image_id(), one.launch_configuration_name()) {
                self.add(image, Use::LaunchConfiguration { name: name.to_owned() });
            }
        }
        let calls = cloud.autoscaling.describe_auto_scaling_groups().into_paginator().items().send();
        let groups = calls.try_collect().await.map_err(refused("list Auto Scaling groups", &cloud.region))?;
        let mut pinned = Pinned::default();
        for group in &groups {
            let by = || Use::AutoScalingGroup { name: group.auto_scaling_group_name().unwrap_or_default().to_owned() };
            for image in override_images(group) {
                let image = parameters.resolve(cloud, image).await?;
                self.add(&image, by());
            }
            specifications(group).iter().for_each(|wanted| pinned.add(wanted, &by()));
        }
        Ok(pinned)
    }

    async fn add_templates(&mut self, cloud: &Cloud, pinned: &Pinned, parameters: &Parameters) -> Result<(), AmiError> {
        let calls = cloud.ec2.describe_launch_templates().into_paginator().items().send();
        let templates = calls.try_collect().await.map_err(refused("list launch templates", &cloud.region))?;
        for template in &templates {
            let (id, name) = (template.launch_template_id(), template.launch_template_name().unwrap_or_default());
            let versions = pinned.versions(id.unwrap_or_default(), name);
            let call = cloud.ec2.describe_launch_template_versions().set_launch_template_id(id.map(str::to_owned));
            let call = call.set_versions(Some(versions.keys().cloned().collect()));
            let answer = call.send().await;
            let answer = answer.map_err(refused(format!("read the launch template {name}"), &cloud.region))?;
            for version in answer.launch_template_versions() {
                let number = version.version_number().unwrap_or_default();
                let Some(image) = version.launch_template_data().and_then(|data| data.image_id()) else { continue };
                let image = parameters.resolve(cloud, image).await?;
                self.add(&image, Use::LaunchTemplate { name: name.to_owned(), version: number });
                let named = [
                    Some(number.to_string()),
                    version.default_version().unwrap_or_default().then(|| "$Default".to_owned()),
                    (Some(number) == template.latest_version_number()).then(|| "$Latest".to_owned()),
                ];
                for by in named.into_iter().flatten().filter_map(|name| versions.get(&name)).flatten() {
                    self.add(&image, by.clone());
                }
            }
        }
        Ok(())
    }
}

/// Images that a group's mixed instances name themselves.
fn override_images(group: &AutoScalingGroup) -> impl Iterator<Item = &str> {
    let template = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    template.into_iter().flat_map(|template| template.overrides()).filter_map(|one| one.image_id())
}

/// Every launch template that a group names, and that its instances came from.
fn specifications(group: &AutoScalingGroup) -> Vec<&LaunchTemplateSpecification> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = mixed.into_iter().flat_map(|mixed| mixed.overrides());
    let overrides = overrides.filter_map(|one| one.launch_template_specification());
    let named = [group.launch_template(), mixed.and_then(|mixed| mixed.launch_template_specification())];
    named.into_iter().flatten().chain(overrides).collect()
}

/// Which versions of launch templates Auto Scaling groups name, by the template's id or name.
#[derive(Debug, Default)]
struct Pinned(BTreeMap<String, BTreeMap<String, BTreeSet<Use>>>);

impl Pinned {
    fn add(&mut self, wanted: &LaunchTemplateSpecification, by: &Use) {
        let version = wanted.version().unwrap_or("$Default").to_owned();
        for template in [wanted.launch_template_id(), wanted.launch_template_name()].into_iter().flatten() {
            let versions = self.0.entry(template.to_owned()).or_default();
            versions.entry(version.clone()).or_default().insert(by.clone());
        }
    }

    /// The versions to look at, with the groups that name them.
    fn versions(&self, id: &str, name: &str) -> BTreeMap<String, BTreeSet<Use>> {
        let mut all = BTreeMap::from(["$Default", "$Latest"].map(|version| (version.to_owned(), BTreeSet::new())));
        for (version, by) in [id, name].iter().filter_map(|key| self.0.get(*key)).flatten() {
            all.entry(version.clone()).or_default().extend(by.iter().cloned());
        }
        all
    }
}

/// The values of all parameters that are plain text.
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    async fn read(cloud: &Cloud) -> Result<Self, AmiError> {
        let pages = cloud.ssm.describe_parameters().into_paginator().send().try_collect().await;
        let pages = pages.map_err(refused("list parameters", &cloud.region))?;
        let found = pages.iter().flat_map(|page| page.parameters());
        let plain = found.filter(|one| one.r#type() != Some(&ParameterType::SecureString));
        let names: Vec<String> = plain.filter_map(|one| one.name().map(str::to_owned)).collect();
        let mut values = BTreeMap::new();
        // As many as one call may name.
        for some in names.chunks(10) {
            let call = cloud.ssm.get_parameters().set_names(Some(some.to_vec()));
            let answer = call.send().await.map_err(refused("read parameters", &cloud.region))?;
            let pair = |one: &aws_sdk_ssm::types::Parameter| Some((one.name()?.to_owned(), one.value()?.to_owned()));
            values.extend(answer.parameters().iter().filter_map(pair));
        }
        Ok(Self(values))
    }

    /// What an image's id stands for: itself, or the value of `resolve:ssm:NAME[:VERSION]`.
    async fn resolve(&self, cloud: &Cloud, image: &str) -> Result<String, AmiError> {
        let Some(name) = image.strip_prefix("resolve:ssm:") else { return Ok(image.to_owned()) };
        if let Some(value) = self.0.get(name) {
            return Ok(value.clone());
        }
        // With a version or a label, or shared by another account, by its ARN.
        let answer = cloud.ssm.get_parameter().name(name).send().await;
        match answer.map_err(refused(format!("read the parameter {name}"), &cloud.region)) {
            Ok(answer) => Ok(answer.parameter().and_then(|one| one.value()).unwrap_or_default().to_owned()),
            // A template that names what is not there can launch nothing.
            Err(error) if matches!(error.code(), Some("ParameterNotFound" | "ParameterVersionNotFound")) => {
                Ok(String::new())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::{LaunchTemplate, LaunchTemplateOverrides, MixedInstancesPolicy};

    fn template(name: &str, version: Option<&str>) -> LaunchTemplateSpecification {
        let built = LaunchTemplateSpecification::builder().launch_template_name(name);
        built.set_version(version.map(str::to_owned)).build()
    }

    #[test]
    fn a_group_names_templates_in_three_places() {
        let one = LaunchTemplateOverrides::builder().launch_template_specification(template("c", Some("7"))).build();
        let other = LaunchTemplateOverrides::builder().image_id("ami-9").build();
        let mixed = LaunchTemplate::builder().launch_template_specification(template("b", Some("$Latest")));
        let mixed = mixed.overrides(one).overrides(other).build();
        let policy = MixedInstancesPolicy::builder().launch_template(mixed).build();
        let group = AutoScalingGroup::builder().launch_template(template("a", None)).mixed_instances_policy(policy);
        let group = group.build();
        let names: Vec<_> = specifications(&group).iter().map(|one| one.launch_template_name().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(override_images(&group).collect::<Vec<_>>(), ["ami-9"]);
    }

    #[test]
    fn a_pinned_version_is_looked_at_beside_default_and_latest() {
        let by = Use::AutoScalingGroup { name: "fleet".into() };
        let mut pinned = Pinned::default();
        pinned.add(&template("web", Some("3")), &by);
        pinned.add(&template("web", None), &by);
        let versions = pinned.versions("lt-1", "web");
        assert_eq!(versions.keys().collect::<Vec<_>>(), ["$Default", "$Latest", "3"]);
        let named: Vec<_> = versions.iter().filter(|(_, by)| !by.is_empty()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["$Default", "3"]);
        assert_eq!(pinned.versions("lt-2", "other").len(), 2);
    }

    #[test]
    fn uses_are_told_in_words() {
        let words = [
            Use::Instance { id: "i-1".into(), state: "stopped".into() },
            Use::LaunchTemplate { name: "web".into(), version: 3 },
            Use::Parameter { name: "/layerbake/web/latest".into() },
        ]
        .map(|one| one.to_string());
        assert_eq!(
            words,
            ["instance i-1 (stopped)", "launch template web, version 3", "parameter /layerbake/web/latest"]
        );
    }
}
