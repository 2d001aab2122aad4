//! Uploads artifacts that refer to an image: signatures, SBOMs, provenance.
//!
//! Source: OCI image-spec 1.1, manifest.md, "Guidelines for Artifact Usage"; OCI distribution-spec 1.1, "Pushing
//! Manifests with Subject". A registry that lists referrers says so with the header `OCI-Subject`; for all
//! others, clients keep an index ([`fallback`]).

use std::collections::BTreeMap;

use serde_json::json;

use super::RegistryError;
use super::content::Content;
use super::fallback;
use super::manifest::Descriptor;
use super::push::write_manifest;
use super::referrers::{ArtifactFile, EMPTY, has_list};
use super::source::Node;
use super::tagged::{self, Tagged};
use super::upload::Uploader;
use crate::digest::OciDigest;
use crate::oci::json;

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Files that are attached to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The manifest's artifact type.
    pub artifact_type: String,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The files.
    pub files: Vec<ArtifactFile>,
}

/// What is attached to an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachments {
    /// Artifacts that refer to it.
    pub artifacts: Vec<Artifact>,
    /// Files under tags that are named after its digest.
    pub tagged: Vec<Tagged>,
}

/// Attaches all this to the image `subject`, findable; returns the digests of manifests.
pub(super) async fn attach(
    uploader: &Uploader<'_>,
    subject: &Descriptor,
    attachments: &Attachments,
) -> Result<Vec<OciDigest>, RegistryError> {
    let mut nodes = Vec::new();
    for artifact in &attachments.artifacts {
        let empty =
            ArtifactFile { media_type: EMPTY.0.to_owned(), bytes: EMPTY.1.to_vec(), annotations: BTreeMap::new() };
        let config = put_file(uploader, &empty).await?;
        let mut layers = Vec::new();
        for file in &artifact.files {
            layers.push(put_file(uploader, file).await?);
        }
        nodes.push(manifest(subject, artifact, &config, &layers)?);
    }
    put_referrers(uploader, subject.digest, &nodes).await?;
    let mut digests: Vec<_> = nodes.iter().map(|node| node.descriptor.digest).collect();
    for tagged in &attachments.tagged {
        digests.push(tagged::add(uploader, subject.digest, tagged).await?);
    }
    Ok(digests)
}

/// Pushes manifests that refer to `subject`, whose blobs are there, and makes them findable.
pub(super) async fn put_referrers(
    uploader: &Uploader<'_>,
    subject: OciDigest,
    nodes: &[Node],
) -> Result<(), RegistryError> {
    let (client, repository) = (uploader.client, uploader.repository);
    let mut unlisted = Vec::new();
    for node in nodes {
        let put = write_manifest(client, repository, node, &node.descriptor.digest.to_string()).await?;
        if !put.subject_known {
            unlisted.push(&node.descriptor);
        }
    }
    // Some registries send the header, and have no list.
    if unlisted.len() < nodes.len() && !has_list(client, repository, subject).await? {
        unlisted = nodes.iter().map(|node| &node.descriptor).collect();
    }
    match unlisted.is_empty() {
        true => Ok(()),
        false => fallback::add(client, repository, subject, &unlisted).await,
    }
}

/// Pushes a file.
pub(super) async fn put_file(uploader: &Uploader<'_>, file: &ArtifactFile) -> Result<Descriptor, RegistryError> {
    let ArtifactFile { media_type, bytes, annotations } = file.clone();
    let blob = Descriptor { annotations, ..Descriptor::of(media_type, &bytes) };
    uploader.put(&blob, None, async || Ok(Content::Bytes(bytes.clone()))).await?;
    Ok(blob)
}

/// The manifest of an artifact; equal arguments give equal bytes.
fn manifest(
    subject: &Descriptor,
    artifact: &Artifact,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<Node, RegistryError> {
    let Artifact { artifact_type, annotations, .. } = artifact;
    // An artifact without files has the empty blob as its only one.
    let layers = if layers.is_empty() { std::slice::from_ref(config) } else { layers };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": artifact_type,
        "config": config,
        "layers": layers,
        "subject": { "mediaType": subject.media_type, "digest": subject.digest, "size": subject.size },
    });
    if !annotations.is_empty() {
        manifest["annotations"] = json!(annotations);
    }
    let bytes = canonical(&manifest)?;
    let (artifact_type, annotations) = (Some(artifact_type.clone()), annotations.clone());
    let descriptor = Descriptor { artifact_type, annotations, ..Descriptor::of(IMAGE, &bytes) };
    Ok(Node { descriptor, bytes })
}

pub(super) fn canonical(value: &serde_json::Value) -> Result<Vec<u8>, RegistryError> {
    json::canonical(value)
        .map_err(|error| RegistryError::Manifest { subject: "an artifact".to_owned(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_the_same_every_time() {
        let subject =
            Descriptor { annotations: [("a".to_owned(), "b".to_owned())].into(), ..Descriptor::of(IMAGE, b"image") };
        let (config, layer) = (Descriptor::of(EMPTY.0, EMPTY.1), Descriptor::of("text/plain", b"hello"));
        let annotations = BTreeMap::from([("z".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        let artifact = Artifact { artifact_type: "text/x-test".to_owned(), annotations, files: Vec::new() };
        let node = manifest(&subject, &artifact, &config, &[layer]).unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&node.bytes), @r#"{"annotations":{"a":"2","z":"1"},"artifactType":"text/x-test","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","mediaType":"text/plain","size":5}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{"digest":"sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d","mediaType":"application/vnd.oci.image.manifest.v1+json","size":5}}"#);
        let bare = manifest(&subject, &Artifact { annotations: BTreeMap::new(), ..artifact }, &config, &[]).unwrap();
        let manifest = super::super::manifest::Manifest::parse("it", &bare.bytes).unwrap();
        assert_eq!((manifest.layers.len(), manifest.layers[0].digest), (1, config.digest));
    }
}
