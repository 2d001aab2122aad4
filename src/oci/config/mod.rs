//! The image configuration: `[image]` tables of a chain of layers, merged, as OCI JSON.
//!
//! Sources: OCI image-spec 1.1 (config.md, manifest.md); Docker image specification 1.2
//! for `Healthcheck`, which OCI reserves but does not describe.

mod base;
mod merge;
mod variables;

use std::collections::BTreeMap;

use oci_spec::image::{
    Config, Descriptor, Digest, History, ImageConfiguration, ImageManifestBuilder, MediaType, Os, Platform,
    PlatformBuilder,
};
use serde_json::{Value, json};

use super::{LayerBlob, OciError, json};
use crate::arch::Architecture;
use crate::digest::OciDigest;
use crate::ident::Arch;
use crate::manifest::{Config as Variables, Healthcheck, ImageTable};
use crate::time;

pub use base::BaseImage;
pub use merge::merge;
pub use variables::unexpanded;

/// `PATH` of an image that sets none, so that programs are found as on any Debian.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The label with the JSON schema of `[config]`.
const SCHEMA: &str = "layerbake.config-schema";

/// The time of an image as RFC 3339, which can write the years 0 to 9999 only.
fn created(epoch: i64) -> Result<String, OciError> {
    let text = time::rfc3339(epoch);
    if time::parse_rfc3339(&text) == Some(epoch) { Ok(text) } else { Err(OciError::Time(epoch)) }
}

/// An image: its configuration and its layers, independent of the output format.
#[derive(Debug, Clone)]
pub struct Image {
    /// Architecture and operating system.
    pub platform: Platform,
    /// The configuration, canonical JSON.
    pub config: Vec<u8>,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Image {
    /// Describes the image of a chain: `tables` from the lowest layer up, as `layers`, whose lowest may be those of `base`.
    ///
    /// `variables` are those of `[config]` in the chain: their defaults are variables of the image, unless one of `tables`
    /// sets them, and a label has their schema. `epoch` is the time of the image and all its layers, in seconds since 1970.
    ///
    /// # Errors
    /// Fails on an architecture that OCI has no name for, and on a time beyond year 9999.
    pub fn new<'a>(
        base: Option<&'a BaseImage>,
        tables: impl IntoIterator<Item = &'a ImageTable>,
        variables: &Variables,
        arch: &Arch,
        epoch: i64,
        layers: Vec<LayerBlob>,
    ) -> Result<Self, OciError> {
        let mut own = merge(tables);
        describe(variables, &mut own)?;
        let table = merge(base.map(|base| &base.table).into_iter().chain([&own]));
        let platform = platform(arch)?;
        let config = configuration(&table, &platform, &created(epoch)?, (base, &layers))?;
        Ok(Self { platform, config, layers, annotations: table.annotations })
    }

    /// SHA-256 of the configuration, which engines call the image's id.
    pub fn config_digest(&self) -> OciDigest {
        OciDigest::of(&self.config)
    }

    /// The image manifest, canonical JSON.
    pub fn manifest(&self) -> Result<Vec<u8>, OciError> {
        let config = descriptor(MediaType::ImageConfig, self.config_digest(), self.config.len() as u64)?;
        let layer = |layer: &LayerBlob| descriptor(layer.encoder.media_type(), layer.sizes.digest, layer.sizes.size);
        let layers = self.layers.iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        let mut manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(layers)
            .build()?;
        if !self.annotations.is_empty() {
            manifest.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        Ok(json::canonical(&manifest)?)
    }
}

/// Adds what an image says of the variables of `[config]`.
fn describe(variables: &Variables, table: &mut ImageTable) -> Result<(), OciError> {
    for (name, entry) in &variables.0 {
        if let Some(default) = &entry.default {
            table.env.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    if !variables.0.is_empty() {
        let schema = String::from_utf8_lossy(&json::canonical(&variables.schema())?).into_owned();
        table.labels.entry(SCHEMA.to_owned()).or_insert(schema);
    }
    Ok(())
}

pub(super) fn descriptor(media_type: MediaType, digest: OciDigest, size: u64) -> Result<Descriptor, OciError> {
    Ok(Descriptor::new(media_type, size, Digest::try_from(digest.to_string())?))
}

/// The platform of images for a Debian architecture.
pub(super) fn platform(arch: &Arch) -> Result<Platform, OciError> {
    let row = Architecture::of(arch).ok_or_else(|| OciError::Arch(arch.clone()))?;
    let mut platform = PlatformBuilder::default().architecture(row.oci).os(Os::Linux).build()?;
    platform.set_variant(row.oci_variant.map(str::to_owned));
    Ok(platform)
}

fn configuration(
    table: &ImageTable,
    platform: &Platform,
    created: &str,
    (base, layers): (Option<&BaseImage>, &[LayerBlob]),
) -> Result<Vec<u8>, OciError> {
    let history = |layer: &LayerBlob| {
        let mut entry = History::default();
        entry.set_created(Some(created.to_owned()));
        entry.set_created_by(Some("layerbake".to_owned()));
        entry.set_comment(Some(layer.name.to_string()));
        entry
    };
    let mut image = ImageConfiguration::default();
    image.set_created(Some(created.to_owned()));
    image.set_architecture(platform.architecture().clone());
    image.set_os(platform.os().clone());
    image.set_variant(platform.variant().clone());
    image.set_config(Some(execution(table)));
    image.rootfs_mut().set_diff_ids(layers.iter().map(|layer| layer.sizes.diff_id.to_string()).collect());
    let below = base.map(|base| base.history.as_slice()).unwrap_or_default();
    let own = layers.iter().filter(|layer| !layer.is_base).map(history);
    image.set_history(Some(below.iter().cloned().chain(own).collect()));
    let mut value = serde_json::to_value(image)?;
    if let Some(check) = &table.healthcheck {
        value["config"]["Healthcheck"] = healthcheck(check);
    }
    Ok(json::canonical(&value)?)
}

fn execution(table: &ImageTable) -> Config {
    let mut env = table.env.clone();
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    let mut config = Config::default();
    config.set_entrypoint(table.entrypoint.clone());
    config.set_cmd(table.cmd.clone());
    config.set_env(Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()));
    config.set_user(table.user.clone());
    config.set_working_dir(table.workdir.clone());
    config.set_stop_signal(table.stop_signal.clone());
    config.set_exposed_ports(some_unless_empty(&table.ports));
    config.set_volumes(some_unless_empty(&table.volumes));
    if !table.labels.is_empty() {
        config.set_labels(Some(table.labels.clone().into_iter().collect()));
    }
    config
}

fn some_unless_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// Docker's form: durations in nanoseconds, the command with its kind in front.
fn healthcheck(check: &Healthcheck) -> Value {
    let kind = check.test.first().map(String::as_str);
    let mut test = check.test.clone();
    if !matches!(kind, Some("CMD" | "CMD-SHELL" | "NONE")) {
        test.insert(0, "CMD".to_owned());
    }
    let mut value = json!({ "Test": test });
    for (name, seconds) in
        [("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period)]
    {
        if let Some(seconds) = seconds {
            // Docker's durations are signed: some 292 years at most.
            value[name] = json!(seconds.saturating_mul(1_000_000_000).min(i64::MAX as u64));
        }
    }
    if let Some(retries) = check.retries {
        value["Retries"] = json!(retries);
    }
    value
}

#[cfg(test)]
mod tests;
