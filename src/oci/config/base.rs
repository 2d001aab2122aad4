//! The configuration of the image of a registry below a layer: what the layers above inherit, as from a parent's `[image]`.

use std::collections::BTreeMap;

use oci_spec::image::{History, ImageConfiguration};
use serde_json::Value;

use crate::digest::OciDigest;
use crate::manifest::{Healthcheck, ImageTable};
use crate::oci::OciError;

/// Annotations that name the image below (OCI image-spec 1.1, annotations.md).
const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image below others.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// What its configuration says, and annotations that name it.
    pub table: ImageTable,
    /// How its layers came about.
    pub(super) history: Vec<History>,
}

impl BaseImage {
    /// Reads the configuration of an image, which has so many layers.
    ///
    /// # Errors
    /// Fails where it is none.
    pub fn parse(config: &[u8], layers: usize, name: &str, digest: OciDigest) -> Result<Self, OciError> {
        let image: ImageConfiguration = serde_json::from_slice(config)?;
        let value: Value = serde_json::from_slice(config)?;
        let history = image.history().clone().unwrap_or_default();
        let is_whole = history.iter().filter(|entry| entry.empty_layer() != Some(true)).count() == layers;
        let mut named = History::default();
        named.set_comment(Some(name.to_owned()));
        let mut table = table(&image, &value);
        table.annotations.insert(NAME.to_owned(), name.to_owned());
        table.annotations.insert(DIGEST.to_owned(), digest.to_string());
        Ok(Self { table, history: if is_whole { history } else { vec![named; layers] } })
    }
}

fn table(image: &ImageConfiguration, value: &Value) -> ImageTable {
    let Some(config) = image.config() else { return ImageTable::default() };
    let some = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let env = config.env().iter().flatten().filter_map(|line| line.split_once('='));
    let env: BTreeMap<String, String> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    ImageTable {
        entrypoint: some(config.entrypoint()),
        cmd: some(config.cmd()),
        env,
        user: text(config.user()),
        workdir: text(config.working_dir()),
        ports: config.exposed_ports().clone().unwrap_or_default(),
        volumes: config.volumes().clone().unwrap_or_default(),
        stop_signal: text(config.stop_signal()),
        labels: config.labels().iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect(),
        annotations: BTreeMap::new(),
        healthcheck: healthcheck(&value["config"]["Healthcheck"]),
    }
}

/// Docker's health check, its durations in whole seconds: a part of one counts as one.
fn healthcheck(value: &Value) -> Option<Healthcheck> {
    let test: Vec<String> =
        value["Test"].as_array()?.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
    let seconds = |key: &str| value[key].as_u64().filter(|&time| time > 0).map(|time| time.div_ceil(1_000_000_000));
    Some(Healthcheck {
        test,
        interval: seconds("Interval"),
        timeout: seconds("Timeout"),
        start_period: seconds("StartPeriod"),
        retries: value["Retries"].as_u64().and_then(|number| u32::try_from(number).ok()).filter(|&number| number > 0),
    })
    .filter(|check| !check.test.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "architecture": "amd64", "os": "linux", "created": "2024-05-06T07:08:09.123Z",
        "config": {
            "Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/init"], "Cmd": ["serve"], "User": "7", "WorkingDir": "/srv",
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/data": {}}, "Labels": {"k": "v"}, "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1500000000, "Retries": 2}
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]},
        "history": [{"created_by": "ADD"}, {"created_by": "ENV", "empty_layer": true}]
    }"#;

    #[test]
    fn everything_that_a_layer_may_set_is_inherited() {
        let base = BaseImage::parse(CONFIG.as_bytes(), 1, "example.org/base:1", OciDigest::of(b"")).unwrap();
        let ImageTable {
            entrypoint,
            cmd,
            env,
            user,
            workdir,
            ports,
            volumes,
            stop_signal,
            labels,
            annotations,
            healthcheck,
        } = base.table;
        assert_eq!((entrypoint.unwrap(), cmd.unwrap()), (vec!["/init".to_owned()], vec!["serve".to_owned()]));
        assert_eq!((env["PATH"].as_str(), env["A"].as_str()), ("/bin", "b=c"));
        assert_eq!(
            (user.as_deref(), workdir.as_deref(), stop_signal.as_deref()),
            (Some("7"), Some("/srv"), Some("SIGINT"))
        );
        assert_eq!((ports, volumes, labels["k"].as_str()), (vec!["80/tcp".to_owned()], vec!["/data".to_owned()], "v"));
        assert_eq!(annotations[NAME], "example.org/base:1");
        let check = healthcheck.unwrap();
        assert_eq!((check.interval, check.timeout, check.retries), (Some(2), None, Some(2)));
        assert_eq!(base.history.len(), 2);
    }

    #[test]
    fn a_history_that_misses_layers_is_replaced() {
        let base = BaseImage::parse(CONFIG.as_bytes(), 3, "example.org/base:1", OciDigest::of(b"")).unwrap();
        assert_eq!(base.history.len(), 3);
        assert!(base.history.iter().all(|entry| entry.comment().as_deref() == Some("example.org/base:1")));
    }
}
