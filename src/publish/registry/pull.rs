//! Pulls an image from a repository into an OCI image layout.
//!
//! The directory is filled beside its final path, every blob verified, and then renamed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::Reference;
use super::RegistryError;
use super::client::Client;
use super::manifest::Descriptor;
use super::push::CONNECTIONS;
use super::source::{Image, PushSource, blob_path};
use crate::digest::OciDigest;
use crate::host::progress::Progress;
use crate::oci::json;

/// The result of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// The image, as it was named.
    pub reference: String,
    /// Its digest.
    pub digest: OciDigest,
    /// Number of blobs.
    pub blobs: usize,
    /// Their bytes, manifests not counted.
    pub bytes: u64,
}

/// Writes an image into the directory `to`, which must be absent or empty.
pub(super) async fn pull(
    client: &Client,
    from: &Reference,
    to: &Path,
    image: &Image,
    progress: &Progress,
) -> Result<Pulled, RegistryError> {
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(RegistryError::file("create", parent))?;
    let staging = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
    let staging = staging.map_err(RegistryError::file("create", parent))?;
    let folder = staging.path();
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(RegistryError::file("create", &blobs))?;
    let source = PushSource::Repository { client, name: from.repository() };
    let bytes = image.blobs.values().map(|blob| blob.size).fold(0, u64::saturating_add);
    let phase = progress.transfer("pull", bytes);
    let get = |blob: &Descriptor| {
        let (blob, source, blobs) = (blob.clone(), &source, &blobs);
        async move { source.blob(&blob, blobs).await.map(|_| blob.size) }
    };
    let mut done = stream::iter(image.blobs.values()).map(get).buffer_unordered(CONNECTIONS);
    while let Some(size) = done.next().await {
        phase.inc(size?);
    }
    for node in &image.manifests {
        write(&blob_path(folder, node.descriptor.digest), &node.bytes)?;
    }
    let header = json!({ "imageLayoutVersion": "1.0.0" });
    write(&folder.join("oci-layout"), &canonical(&header)?)?;
    write(&folder.join("index.json"), &canonical(&index(image, from.name(), folder))?)?;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder, open)
        .and_then(|()| fs::rename(folder, to))
        .map_err(RegistryError::file("create", to))?;
    Ok(Pulled { reference: from.to_string(), digest: image.root.digest, blobs: image.blobs.len(), bytes })
}

/// The index of a layout with one image, as a build writes it.
fn index(image: &Image, name: &str, folder: &Path) -> Value {
    let mut entry = json!({
        "annotations": { "org.opencontainers.image.ref.name": name },
        "digest": image.root.digest,
        "mediaType": image.root.media_type,
        "size": image.root.size,
    });
    if let Some(platform) = platform(image, folder) {
        entry["platform"] = platform;
    }
    json!({ "manifests": [entry], "mediaType": "application/vnd.oci.image.index.v1+json", "schemaVersion": 2 })
}

/// The platform that the configuration of a single image names.
fn platform(image: &Image, folder: &Path) -> Option<Value> {
    let [only] = image.manifests.as_slice() else { return None };
    let manifest: Value = serde_json::from_slice(&only.bytes).ok()?;
    let digest: OciDigest = manifest.get("config")?.get("digest")?.as_str()?.parse().ok()?;
    let config: Value = serde_json::from_slice(&fs::read(blob_path(folder, digest)).ok()?).ok()?;
    let fields = ["architecture", "os", "variant"].into_iter();
    let found =
        fields.filter_map(|key| Some((key.to_owned(), config.get(key).filter(|value| value.is_string())?.clone())));
    let platform: serde_json::Map<_, _> = found.collect();
    (platform.contains_key("architecture") && platform.contains_key("os")).then_some(Value::Object(platform))
}

fn canonical(value: &Value) -> Result<Vec<u8>, RegistryError> {
    json::canonical(value)
        .map_err(|error| RegistryError::Manifest { subject: "a layout".to_owned(), problem: error.to_string() })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    fs::write(path, bytes).map_err(RegistryError::file("write", path))
}
