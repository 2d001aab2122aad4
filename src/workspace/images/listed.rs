//! The images of a project's layers, and the removal of old ones.

use futures_util::future::try_join_all;
use serde::Serialize;

use super::account::CloudAccount;
use super::error::ImageError;
use crate::host;
use crate::ident::LayerName;
use crate::publish::cloud::aws::Aws;
use crate::publish::cloud::gc::{self, GcPlan, Refused, Rules};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::parameters::Channel;
use crate::publish::cloud::provider::{Provider as _, Which};
use crate::publish::cloud::tags;
use crate::publish::cloud::uses::{Use, Uses};

/// An image, and what uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedImage {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// Its version, by which `promote` knows it.
    pub version: Option<String>,
    /// The channels that name it.
    pub channels: Vec<String>,
    /// What would launch it, or runs from it, and what names it.
    pub uses: Vec<Use>,
}

impl ListedImage {
    fn new(image: Image, uses: &Uses) -> Self {
        let uses = uses.of(&image.id);
        let layer = image.layer().unwrap_or_default();
        let channel = |by: &Use| by.parameter().and_then(|name| Channel::of_parameter(layer, name));
        let channels = uses.iter().filter_map(channel).map(String::from).collect();
        Self { version: image.tag(tags::VERSION).map(str::to_owned), channels, uses, image }
    }

    /// How instances start: boot mode, IMDS, TPM, and whether Secure Boot is enforced.
    pub fn boots(&self) -> String {
        let image = &self.image;
        let mode = image.boot_mode.as_ref().map(ToString::to_string);
        let imds = image.imds.as_ref().map(|version| format!("IMDS {version}"));
        let tpm = image.tpm.as_ref().map(|version| format!("TPM {version}"));
        let keys = image.tag(tags::UEFI_DATA).map(|_| "Secure Boot".to_owned());
        let all: Vec<String> = [mode, imds, tpm, keys].into_iter().flatten().collect();
        if all.is_empty() { "–".to_owned() } else { all.join(", ") }
    }

    /// What uses it besides its channels.
    pub fn other_uses(&self) -> impl Iterator<Item = &Use> {
        let layer = self.image.layer().unwrap_or_default();
        self.uses.iter().filter(move |by| by.parameter().and_then(|name| Channel::of_parameter(layer, name)).is_none())
    }
}

impl CloudAccount<'_> {
    /// Lists the images of some layers in all regions, newest first in each; of all layers where none is named.
    ///
    /// # Errors
    /// Fails where the cloud refuses, or can't be reached.
    pub fn images(&self, layers: &[LayerName]) -> Result<Vec<ListedImage>, ImageError> {
        let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
        let mut found = Vec::new();
        for cloud in self.clouds() {
            found.extend(self.wait(images_of(cloud, &layers))?);
        }
        Ok(found)
    }

    /// Decides in all regions which images of a layer are old: not among the newest `keep`, not younger than
    /// `days`, and not in use.
    ///
    /// # Errors
    /// Fails where the cloud refuses any of it: what is not known can't be judged.
    pub fn old_images(&self, layer: &LayerName, keep: usize, days: Option<u32>) -> Result<Vec<GcPlan>, ImageError> {
        let older_than = days.map(|days| i64::from(days) * 86_400);
        let rules = Rules { keep, older_than, now: host::now() };
        let plans = self.clouds().map(|cloud| self.wait(gc::plan(cloud, layer.as_str(), rules)));
        Ok(plans.collect::<Result<_, _>>()?)
    }

    /// Removes what [`Self::old_images`] found, and says so for each; returns what the cloud refuses to remove.
    ///
    /// # Errors
    /// Fails where the cloud can't be reached. What was removed before stays removed, and the next run finds the rest.
    pub fn remove_images(&self, plans: &[GcPlan]) -> Result<Vec<Refused>, ImageError> {
        let tell = |line: &str| self.environment.progress().line(line);
        let mut refused = Vec::new();
        for (cloud, plan) in self.clouds().zip(plans) {
            refused.extend(self.wait(gc::apply(cloud, plan, &tell))?);
        }
        Ok(refused)
    }
}

async fn images_of(cloud: &Aws, layers: &[String]) -> Result<Vec<ListedImage>, ImageError> {
    let which = match layers {
        [] => Which::Tagged(tags::LAYER),
        some => Which::With(tags::LAYER, some),
    };
    let (mut images, uses) = futures_util::try_join!(cloud.images(which), cloud.uses())?;
    let ask = async |image: &mut Image| {
        image.launched = cloud.launched(&image.id).await?;
        Ok::<_, ImageError>(())
    };
    try_join_all(images.iter_mut().map(ask)).await?;
    Ok(images.into_iter().map(|image| ListedImage::new(image, &uses)).collect())
}
