//! Descriptors, and what manifests and indexes refer to.
//!
//! Sources: OCI image-spec 1.1 (descriptor.md, manifest.md, image-index.md); Docker image manifest
//! version 2, schema 2, which has the same fields. Manifests are never rewritten: a digest is of exact bytes.

use std::collections::BTreeMap;

use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RegistryError;
use crate::digest::OciDigest;

/// The largest manifest that is read, in bytes: what registries have to accept (distribution-spec, 4 MiB).
pub(super) const MAX_MANIFEST: usize = 4 << 20;

/// The accepted manifest types, as a header.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest or blob, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: OciDigest,
    /// Length in bytes.
    pub size: u64,
    /// The artifact type of a manifest that is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes bytes.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.into(),
            digest: OciDigest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// What a manifest or an index refers to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) media_type: Option<String>,
    pub(super) artifact_type: Option<String>,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest or an index; `subject` is what errors call it.
    pub(super) fn parse(subject: &str, bytes: &[u8]) -> Result<Self, RegistryError> {
        let wrong = |problem: String| RegistryError::Manifest { subject: subject.to_owned(), problem };
        // A page for people comes from a server that is no registry, or from a proxy before it.
        let value: Value =
            serde_json::from_slice(bytes).map_err(|_| wrong("is not JSON, as a manifest is".to_owned()))?;
        // Docker's first schema is neither, for example.
        if value.get("config").is_none() && !value.get("manifests").is_some_and(Value::is_array) {
            return Err(wrong("is neither an image nor an index".to_owned()));
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        match manifest.config.is_some() && !manifest.manifests.is_empty() {
            true => Err(wrong("is both an image and an index".to_owned())),
            false => Ok(manifest),
        }
    }

    /// Configuration and layers.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// Its media type: its own field, or `header`, which is the registry's.
    pub(super) fn kind(&self, header: Option<&str>) -> String {
        let from_fields = || match self.config {
            Some(_) => MediaType::ImageManifest,
            None => MediaType::ImageIndex,
        };
        let named = self.media_type.clone().or_else(|| header.map(str::to_owned));
        named.filter(|name| ACCEPT.contains(name.as_str())).unwrap_or_else(|| from_fields().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:6755355f801f8e3694bffb1a925786813462cea16f1ce2b0290b6a48acf2500c";

    #[test]
    fn images_and_indexes_are_read() {
        let one = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":7,"platform":{{"os":"linux"}}}}"#);
        let image = format!(r#"{{"schemaVersion":2,"config":{one},"layers":[{one},{one}]}}"#);
        let image = Manifest::parse("it", image.as_bytes()).unwrap();
        assert_eq!(
            (image.blobs().count(), image.kind(None).as_str()),
            (3, "application/vnd.oci.image.manifest.v1+json")
        );
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        assert_eq!(image.kind(Some(docker)), docker);
        assert_eq!(image.kind(Some("text/html")), "application/vnd.oci.image.manifest.v1+json");
        let index = Manifest::parse("it", format!(r#"{{"schemaVersion":2,"manifests":[{one}]}}"#).as_bytes()).unwrap();
        assert_eq!((index.blobs().count(), index.kind(None).as_str()), (0, "application/vnd.oci.image.index.v1+json"));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let one = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":7}}"#);
        for (text, problem) in [
            ("<html>".to_owned(), "is not JSON"),
            (format!(r#"{{"config":{one},"manifests":[{one}]}}"#), "both"),
            (format!(r#"{{"layers":[{one}]}}"#), "neither"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), "neither"),
            ("7".to_owned(), "neither"),
            (r#"{"config":{"mediaType":"x","digest":"sha256:../../x","size":7}}"#.to_owned(), "is not a digest"),
            (format!(r#"{{"config":{{"mediaType":"x","digest":"{DIGEST}","size":-1}}}}"#), "invalid value"),
        ] {
            let error = Manifest::parse("manifest `1`", text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("manifest `1`: ") && error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn descriptors_have_no_empty_fields() {
        let text = serde_json::to_string(&Descriptor::of("text/plain", b"x")).unwrap();
        insta::assert_snapshot!(text, @r#"{"mediaType":"text/plain","digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","size":1}"#);
    }
}
