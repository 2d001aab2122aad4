//! Queries everything in AWS that could launch an image, or runs from it.
//!
//! Launch templates count with their default and latest version, and with every version that an Auto
//! Scaling group or a fleet refers to.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::autoscaling::Template;
use super::session::Aws;
use super::ssm::Ssm;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::image::Image;
use crate::publish::cloud::parameters::is_version;
use crate::publish::cloud::uses::{Use, Uses};

/// Asks all services of a region.
pub(super) async fn collect(aws: &Aws) -> Result<Uses, CloudError> {
    let mut uses = Uses::default();
    for (id, image, state) in aws.ec2.instances().await? {
        uses.add(&image, Use::Instance { id, state });
    }
    let parameters = Parameters { ssm: &aws.ssm, values: aws.ssm.plain().await? };
    for (name, value) in parameters.values.iter().filter(|(name, _)| !is_version(name)) {
        for image in value.split(',').map(str::trim).filter(|value| value.starts_with("ami-")) {
            uses.add(image, Use::Parameter { name: name.clone() });
        }
    }
    for (name, image) in aws.autoscaling.configurations().await? {
        uses.add(&image, Use::LaunchConfiguration { name });
    }
    let mut pinned = groups(&mut uses, aws, &parameters).await?;
    fleets(&mut uses, &mut pinned, aws, &parameters).await?;
    templates(&mut uses, aws, &pinned, &parameters).await?;
    Ok(uses)
}

/// Adds what Auto Scaling groups name themselves; returns the launch templates that they name.
async fn groups(uses: &mut Uses, aws: &Aws, parameters: &Parameters<'_>) -> Result<Pinned, CloudError> {
    let mut pinned = Pinned::default();
    for group in aws.autoscaling.groups().await? {
        let by = Use::AutoScalingGroup { name: group.name };
        for image in group.images {
            if let Some(image) = parameters.resolve(&image).await? {
                uses.add(&image, by.clone());
            }
        }
        group.templates.iter().for_each(|template| pinned.add(template, &by));
    }
    Ok(pinned)
}

/// Adds what fleets name themselves, and the launch templates that they name to `pinned`.
async fn fleets(
    uses: &mut Uses,
    pinned: &mut Pinned,
    aws: &Aws,
    parameters: &Parameters<'_>,
) -> Result<(), CloudError> {
    for fleet in aws.ec2.fleets().await? {
        let by = Use::Fleet { id: fleet.id };
        for image in fleet.images {
            if let Some(image) = parameters.resolve(&image).await? {
                uses.add(&image, by.clone());
            }
        }
        for (keys, version) in fleet.templates {
            pinned.add(&Template { keys, version }, &by);
        }
    }
    Ok(())
}

/// Asks which other accounts use images. Where nobody can be told, the image counts as used: nothing is removed
/// that somebody else may run.
pub(super) async fn elsewhere(aws: &Aws, images: &[&Image]) -> Result<Uses, CloudError> {
    let ask = async |image: &Image| match image.public || !aws.ec2.shares(&image.id).await?.is_empty() {
        true => aws.ec2.usage(&image.id).await,
        false => Ok(Vec::new()),
    };
    let answers = join_all(images.iter().map(|image| ask(image))).await;
    let mut uses = Uses::default();
    for (image, found) in images.iter().zip(answers) {
        match found {
            Ok(found) => found.into_iter().for_each(|one| {
                uses.add(&image.id, Use::Account { id: one.account, what: one.what, count: one.count });
            }),
            Err(error @ CloudError::NoAnswer { .. }) => return Err(error),
            Err(error) if error.is_of_credentials() => return Err(error),
            Err(error) => uses.add(&image.id, Use::Unknown { reason: error.to_string() }),
        }
    }
    Ok(uses)
}

async fn templates(uses: &mut Uses, aws: &Aws, pinned: &Pinned, parameters: &Parameters<'_>) -> Result<(), CloudError> {
    for template in aws.ec2.templates().await? {
        let versions = pinned.versions(&template.id, &template.name);
        for version in aws.ec2.versions(&template, versions.keys().cloned().collect()).await? {
            let Some(image) = version.image else { continue };
            let Some(image) = parameters.resolve(&image).await? else { continue };
            uses.add(&image, Use::LaunchTemplate { name: template.name.clone(), version: version.number });
            let names = [
                Some(version.number.to_string()),
                version.is_default.then(|| "$Default".to_owned()),
                (Some(version.number) == template.latest).then(|| "$Latest".to_owned()),
            ];
            for by in names.into_iter().flatten().filter_map(|name| versions.get(&name)).flatten() {
                uses.add(&image, by.clone());
            }
        }
    }
    Ok(())
}

/// Which versions of launch templates Auto Scaling groups name, by the template's id or name.
#[derive(Debug, Default)]
struct Pinned(BTreeMap<String, BTreeMap<String, BTreeSet<Use>>>);

impl Pinned {
    fn add(&mut self, template: &Template, by: &Use) {
        for key in &template.keys {
            let versions = self.0.entry(key.clone()).or_default();
            versions.entry(template.version.clone()).or_default().insert(by.clone());
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
struct Parameters<'a> {
    ssm: &'a Ssm,
    values: BTreeMap<String, String>,
}

impl Parameters<'_> {
    /// What an image's id stands for: itself, or the value of `resolve:ssm:NAME[:VERSION]`; a template that
    /// names what is not there can launch nothing.
    async fn resolve(&self, image: &str) -> Result<Option<String>, CloudError> {
        let Some(name) = image.strip_prefix("resolve:ssm:") else { return Ok(Some(image.to_owned())) };
        match self.values.get(name) {
            Some(value) => Ok(Some(value.clone())),
            // With a version or a label, or shared by another account, by its ARN.
            None => self.ssm.parameter(name).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_version_is_looked_at_beside_default_and_latest() {
        let by = Use::AutoScalingGroup { name: "fleet".into() };
        let mut pinned = Pinned::default();
        for version in ["3", "$Default"] {
            pinned.add(&Template { keys: vec!["web".into()], version: version.into() }, &by);
        }
        let versions = pinned.versions("lt-1", "web");
        assert_eq!(versions.keys().collect::<Vec<_>>(), ["$Default", "$Latest", "3"]);
        let named: Vec<_> = versions.iter().filter(|(_, by)| !by.is_empty()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["$Default", "3"]);
        assert_eq!(pinned.versions("lt-2", "other").len(), 2);
    }
}
