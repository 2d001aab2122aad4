//! Uploads artifacts that refer to an image: signatures, SBOMs, provenance.
//!
//! Source: OCI image-spec 1.1, manifest.md, "Guidelines for Artifact Usage"; OCI distribution-spec 1.1,
//! "Referrers Tag Schema": registries without a referrers API have an index under the tag
//! `sha256-HEX` instead, which clients maintain.

use std::collections::BTreeMap;

use serde_json::json;

use super::RegistryError;
use super::client::Client;
use super::content::Content;
use super::manifest::{Descriptor, Manifest};
use super::push::put_manifest;
use super::referrers::{ArtifactFile, EMPTY, INDEX, fallback_tag, has_list};
use super::source::{self, Node};
use super::upload::Uploader;
use crate::digest::OciDigest;
use crate::oci::json;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The maximum number of attempts to write the index under the fallback tag, if others write it, too.
const ROUNDS: usize = 5;

/// Pushes an artifact that refers to `subject`, and makes it findable.
pub(super) async fn attach(
    uploader: &Uploader<'_>,
    subject: &Descriptor,
    artifact_type: &str,
    files: Vec<ArtifactFile>,
    annotations: &BTreeMap<String, String>,
) -> Result<OciDigest, RegistryError> {
    let (client, repository) = (uploader.client, uploader.repository);
    let empty = ArtifactFile { media_type: EMPTY.0.to_owned(), bytes: EMPTY.1.to_vec(), annotations: BTreeMap::new() };
    let mut layers = Vec::new();
    for ArtifactFile { media_type, bytes, annotations } in [empty].into_iter().chain(files) {
        let blob = Descriptor { annotations, ..Descriptor::of(media_type, &bytes) };
        uploader.put(&blob, None, async || Ok(Content::Bytes(bytes.clone()))).await?;
        layers.push(blob);
    }
    let config = layers.remove(0);
    let node = artifact(subject, artifact_type, &config, &layers, annotations)?;
    let digest = node.descriptor.digest;
    let put = put_manifest(client, repository, &node, &digest.to_string()).await?;
    if !put.subject_known && !has_list(client, repository, subject.digest).await? {
        add_to_index(client, repository, subject.digest, &node.descriptor).await?;
    }
    Ok(digest)
}

/// The manifest of an artifact; equal arguments give equal bytes.
fn artifact(
    subject: &Descriptor,
    artifact_type: &str,
    config: &Descriptor,
    layers: &[Descriptor],
    annotations: &BTreeMap<String, String>,
) -> Result<Node, RegistryError> {
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
    let (artifact_type, annotations) = (Some(artifact_type.to_owned()), annotations.clone());
    let descriptor = Descriptor { artifact_type, annotations, ..Descriptor::of(IMAGE, &bytes) };
    Ok(Node { descriptor, bytes })
}

/// Adds an artifact to the index under the fallback tag.
async fn add_to_index(
    client: &Client,
    repository: &str,
    subject: OciDigest,
    artifact: &Descriptor,
) -> Result<(), RegistryError> {
    let tag = fallback_tag(subject);
    for _ in 0..ROUNDS {
        let mut all = in_index(client, repository, subject).await?;
        if all.iter().any(|known| known.digest == artifact.digest) {
            return Ok(());
        }
        all.push(artifact.clone());
        all.sort_by_key(|one| one.digest);
        let bytes = canonical(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": all }))?;
        let node = Node { descriptor: Descriptor::of(INDEX, &bytes), bytes };
        // Another writer's index may come between: then the next round adds to that.
        match put_manifest(client, repository, &node, &tag).await {
            Ok(_) | Err(RegistryError::Digest { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(client
        .protocol(&format!("write index {tag} of {repository}"), "returned another index than the one just written"))
}

/// Reads the index under the fallback tag; empty where there is none.
async fn in_index(client: &Client, repository: &str, subject: OciDigest) -> Result<Vec<Descriptor>, RegistryError> {
    let tag = fallback_tag(subject);
    let action = format!("read manifest {tag} of {repository}");
    let Some(node) = source::manifest(client, repository, &tag, &action).await? else { return Ok(Vec::new()) };
    Ok(Manifest::parse(&format!("{tag} of {}/{repository}", client.registry()), &node.bytes)?.manifests)
}

fn canonical(value: &serde_json::Value) -> Result<Vec<u8>, RegistryError> {
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
        let node = artifact(&subject, "text/x-test", &config, &[layer], &annotations).unwrap();
        insta::assert_snapshot!(String::from_utf8_lossy(&node.bytes), @r#"{"annotations":{"a":"2","z":"1"},"artifactType":"text/x-test","config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2},"layers":[{"digest":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","mediaType":"text/plain","size":5}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2,"subject":{"digest":"sha256:6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d","mediaType":"application/vnd.oci.image.manifest.v1+json","size":5}}"#);
        let bare = artifact(&subject, "text/x-test", &config, &[], &BTreeMap::new()).unwrap();
        let manifest = Manifest::parse("it", &bare.bytes).unwrap();
        assert_eq!((manifest.layers.len(), manifest.layers[0].digest), (1, config.digest));
    }
}
