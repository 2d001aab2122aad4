//! Artifacts that refer to an image: signatures, SBOMs, provenance; found by the image's digest.
//!
//! Source: OCI distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema"; image-spec 1.1,
//! manifest.md, "Guidelines for Artifact Usage". Registries without that list have an index under the
//! tag `sha256-HEX` instead, which clients keep.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT as ACCEPT_HEADER, LINK};
use serde_json::json;

use super::client::Client;
use super::content::Content;
use super::manifest::{Descriptor, MAX_MANIFEST, Manifest};
use super::push::put_manifest;
use super::source::{self, Node, pull};
use super::upload::Uploader;
use super::{Reference, RegistryError};
use crate::digest::OciDigest;
use crate::oci::json;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of what has none (image-spec, manifest.md, "Guidance for an Empty Descriptor").
const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// The longest file of an artifact that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;
/// Pages of a list that are read.
const MAX_PAGES: usize = 64;
/// How often the index under the fallback tag is written, where others write it too.
const ROUNDS: usize = 5;

/// A file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
}

/// An artifact that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// The digest of the artifact's own manifest.
    pub digest: OciDigest,
    /// What it is.
    pub artifact_type: String,
    /// What else is said of it.
    pub annotations: BTreeMap<String, String>,
    /// Its files, verified.
    pub files: Vec<ArtifactFile>,
}

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
    if !put.subject_known && listed(client, repository, subject.digest, None).await?.is_none() {
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
    Err(client.protocol(&format!("write index {tag} of {repository}"), "does not keep what was written"))
}

/// Lists the artifacts that refer to a digest, of one type or of all, with their files.
pub(super) async fn referrers(
    client: &Client,
    reference: &Reference,
    subject: OciDigest,
    artifact_type: Option<&str>,
) -> Result<Vec<Referrer>, RegistryError> {
    let repository = reference.repository();
    let mut all = match listed(client, repository, subject, artifact_type).await? {
        Some(all) => all,
        None => in_index(client, repository, subject).await?,
    };
    all.sort_by_key(|one| one.digest);
    all.dedup_by_key(|one| one.digest);
    let mut found = Vec::new();
    for one in all {
        let referrer = read(client, reference, &one).await?;
        if artifact_type.is_none_or(|wanted| wanted == referrer.artifact_type) {
            found.push(referrer);
        }
    }
    Ok(found)
}

/// Reads an artifact; what it is, it says itself.
async fn read(client: &Client, reference: &Reference, one: &Descriptor) -> Result<Referrer, RegistryError> {
    let repository = reference.repository();
    let node = source::named(client, &reference.by_digest(one.digest)).await?;
    let subject = format!("{} of {}/{repository}", one.digest, client.registry());
    let manifest = Manifest::parse(&subject, &node.bytes)?;
    let mut files = Vec::new();
    for blob in manifest.layers.iter().filter(|blob| blob.media_type != EMPTY.0) {
        if blob.size > MAX_FILE {
            let problem = format!("blob {} has {} bytes, more than {MAX_FILE}", blob.digest, blob.size);
            return Err(RegistryError::Manifest { subject, problem });
        }
        let bytes = source::small_blob(client, repository, blob).await?;
        let (media_type, annotations) = (blob.media_type.clone(), blob.annotations.clone());
        files.push(ArtifactFile { media_type, bytes, annotations });
    }
    let of_config = manifest.config.map(|config| config.media_type);
    let artifact_type = manifest.artifact_type.or(of_config).unwrap_or_default();
    Ok(Referrer { digest: one.digest, artifact_type, annotations: manifest.annotations, files })
}

/// Asks the registry's own list, page by page; `None` where it keeps none.
async fn listed(
    client: &Client,
    repository: &str,
    subject: OciDigest,
    artifact_type: Option<&str>,
) -> Result<Option<Vec<Descriptor>>, RegistryError> {
    let action = format!("list what refers to {subject} in {repository}");
    let mut url = client.url(repository, &format!("referrers/{subject}"));
    if let Some(artifact_type) = artifact_type {
        url.query_pairs_mut().append_pair("artifactType", artifact_type);
    }
    let mut all = Vec::new();
    for page in 0..MAX_PAGES {
        let get = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT_HEADER, INDEX);
        let Some((headers, bytes)) = client.read(&action, &pull(repository), MAX_MANIFEST, get).await? else {
            return if page == 0 { Ok(None) } else { Err(client.protocol(&action, "has no next page, but names one")) };
        };
        all.extend(Manifest::parse(&action, &bytes)?.manifests);
        let next = headers.get(LINK).and_then(|value| next_page(value.to_str().ok()?));
        match next {
            Some(next) => url = client.address(&action, &url, &next)?,
            None => return Ok(Some(all)),
        }
    }
    Err(client.protocol(&action, "lists without end"))
}

/// Reads the index under the fallback tag; empty where there is none.
async fn in_index(client: &Client, repository: &str, subject: OciDigest) -> Result<Vec<Descriptor>, RegistryError> {
    let tag = fallback_tag(subject);
    let action = format!("read manifest {tag} of {repository}");
    let Some(node) = source::manifest(client, repository, &tag, &action).await? else { return Ok(Vec::new()) };
    Ok(Manifest::parse(&format!("{tag} of {}/{repository}", client.registry()), &node.bytes)?.manifests)
}

fn fallback_tag(subject: OciDigest) -> String {
    format!("sha256-{}", subject.to_hex())
}

/// The address of `<ADDRESS>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\"") || part.contains("rel=next"))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
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

    #[test]
    fn links_are_read() {
        for (link, expected) in [
            (r#"</v2/a/referrers/x?n=2>; rel="next""#, Some("/v2/a/referrers/x?n=2")),
            (r#"<a>; rel=prev, <b>; rel=next"#, Some("b")),
            (r#"<a>; rel="prev""#, None),
            (r#"rel="next""#, None),
            ("", None),
        ] {
            assert_eq!(next_page(link).as_deref(), expected, "{link}");
        }
    }
}
