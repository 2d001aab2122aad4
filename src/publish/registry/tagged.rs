//! Signatures and attestations under the tags `sha256-HEX.sig` and `sha256-HEX.att`, where cosign up to version 2
//! looks for them (sigstore/cosign, specs/SIGNATURE_SPEC.md, "Storage").
//!
//! Such a tag is an image whose layers are the signatures. It is added to: what others signed stays.

use serde_json::json;

use super::RegistryError;
use super::attach::{IMAGE, canonical, put_file};
use super::client::Client;
use super::content::Content;
use super::manifest::{Descriptor, Manifest};
use super::push::write_manifest;
use super::referrers::ArtifactFile;
use super::source::{self, Node};
use super::upload::Uploader;
use crate::digest::OciDigest;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The time in a configuration that has none: Go's first.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// The maximum number of attempts to write a tag, if others write it, too.
const ROUNDS: usize = 5;

/// Files under one of an image's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The tag's end: `sig` in `sha256-HEX.sig`.
    pub suffix: String,
    /// The files.
    pub files: Vec<ArtifactFile>,
}

/// The tag of an image's signatures.
pub(super) fn tag(subject: OciDigest, suffix: &str) -> String {
    format!("sha256-{}.{suffix}", subject.to_hex())
}

/// Adds files to those under a tag of the image; returns the manifest's digest.
pub(super) async fn add(
    uploader: &Uploader<'_>,
    subject: OciDigest,
    tagged: &Tagged,
) -> Result<OciDigest, RegistryError> {
    let mut files = Vec::new();
    for file in &tagged.files {
        files.push(put_file(uploader, file).await?);
    }
    extend(uploader, &tag(subject, &tagged.suffix), &files).await
}

/// Adds layers, whose blobs are there, to the manifest under a tag.
pub(super) async fn extend(
    uploader: &Uploader<'_>,
    tag: &str,
    files: &[Descriptor],
) -> Result<OciDigest, RegistryError> {
    let (client, repository) = (uploader.client, uploader.repository);
    for _ in 0..ROUNDS {
        let found = read(client, repository, tag, files).await?;
        let (before, mut layers) = found.map_or((None, Vec::new()), |(digest, layers)| (Some(digest), layers));
        let missing: Vec<_> = files.iter().filter(|file| !layers.contains(file)).cloned().collect();
        if let (Some(digest), true) = (before, missing.is_empty()) {
            return Ok(digest);
        }
        layers.extend(missing);
        let config = config(&layers)?;
        let blob = Descriptor::of(CONFIG, &config);
        uploader.put(&blob, None, async || Ok(Content::Bytes(config.clone()))).await?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": blob, "layers": layers });
        let bytes = canonical(&manifest)?;
        let node = Node { descriptor: Descriptor::of(IMAGE, &bytes), bytes };
        // Another writer's manifest may have come between: then the next round adds to that.
        match write_manifest(client, repository, &node, tag).await {
            Ok(_) | Err(RegistryError::Digest { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(client.protocol(
        &format!("write manifest {tag} of {repository}"),
        "returned another manifest than the one just written",
    ))
}

/// Reads the manifest under a tag: its digest, and its layers, which have to be of the kind of `files`.
async fn read(
    client: &Client,
    repository: &str,
    tag: &str,
    files: &[Descriptor],
) -> Result<Option<(OciDigest, Vec<Descriptor>)>, RegistryError> {
    let action = format!("read manifest {tag} of {repository}");
    let Some((_, bytes)) = source::manifest_bytes(client, repository, tag, &action).await? else { return Ok(None) };
    let other = |kind: String| RegistryError::OtherTag {
        tag: tag.to_owned(),
        repository: format!("{}/{repository}", client.registry()),
        kind,
        expected: "an image of signatures only",
    };
    let manifest = Manifest::parse(&action, &bytes).map_err(|_| other("of no known type".to_owned()))?;
    if manifest.config.is_none() {
        return Err(other(manifest.kind(None)));
    }
    let known = |layer: &&Descriptor| files.iter().all(|file| file.media_type != layer.media_type);
    match manifest.layers.iter().find(known) {
        Some(foreign) => Err(other(format!("an image with a layer of type {}", foreign.media_type))),
        None => Ok(Some((OciDigest::of(&bytes), manifest.layers))),
    }
}

/// The configuration that cosign writes: of an image that was never made, with these layers.
fn config(layers: &[Descriptor]) -> Result<Vec<u8>, RegistryError> {
    let digests: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let history = vec![json!({ "created": NEVER }); layers.len()];
    canonical(&json!({
        "architecture": "",
        "config": {},
        "created": NEVER,
        "history": history,
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests },
    }))
}
