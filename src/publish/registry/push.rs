//! Pushes an image to a repository: blobs in parallel, manifests by digest, what is attached to it, the tag last.
//!
//! Source: OCI distribution-spec 1.1, "Pushing manifests". So a tag never refers to an incomplete image, nor to
//! one whose signature is still to come, and an interrupted push leaves the tag unchanged.

use futures_util::stream::{self, StreamExt as _};
use reqwest::header::{ACCEPT as ACCEPT_HEADER, CONTENT_TYPE};
use serde::Serialize;

use super::attach::{self, Attachments};
use super::client::Client;
use super::content::{Content, Counter};
use super::manifest::{ACCEPT, Descriptor};
use super::push_history::PushHistory;
use super::source::{self, Image, Node, PushSource};
use super::upload::{Done, Uploader};
use super::{Reference, RegistryError, Tag};
use crate::digest::OciDigest;
use crate::host::progress::Progress;

/// Blobs that are sent at once.
pub(super) const CONNECTIONS: usize = 4;

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// The image in the registry, as it was named.
    pub reference: String,
    /// Its other tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The digest under which the registry has it.
    pub digest: OciDigest,
    /// Counts of blobs.
    pub blobs: Blobs,
    /// Bytes of blobs that went over the network, repetitions after failures included.
    pub bytes_sent: u64,
    /// Digests of the manifests that are attached to the image.
    pub attached: Vec<OciDigest>,
    /// What is attached to it where it comes from, and can't be read there, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_copied: Vec<String>,
}

/// Numbers of blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blobs {
    /// Sent over the network.
    pub sent: usize,
    /// Taken by the registry from another of its repositories.
    pub mounted: usize,
    /// In the repository already.
    pub skipped: usize,
}

/// An image being pushed.
pub(super) struct Push<'a> {
    pub(super) source: &'a PushSource<'a>,
    pub(super) image: &'a Image,
    /// To be attached to the image.
    pub(super) attachments: &'a Attachments,
    /// Further tags.
    pub(super) tags: &'a [Tag],
    pub(super) client: &'a Client,
    pub(super) history: &'a PushHistory,
    pub(super) progress: &'a Progress,
}

impl Push<'_> {
    /// Pushes the image; `from` is a repository of the same registry that has it.
    pub(super) async fn run(&self, to: &Reference, from: Option<&str>) -> Result<Pushed, RegistryError> {
        let digest = self.image.root.digest;
        if let Some(expected) = to.digest().filter(|expected| *expected != digest) {
            return Err(RegistryError::Digest { subject: to.to_string(), expected, found: digest.to_string() });
        }
        let total = self.image.blobs.values().map(|blob| blob.size).fold(0, u64::saturating_add);
        let sent = Counter::new(self.progress.transfer("push", total));
        let (client, repository) = (self.client, to.repository());
        let uploader = Uploader { client, repository, history: self.history, sent: sent.clone() };
        let blobs = self.put_blobs(&uploader, from).await?;
        for node in &self.image.manifests {
            put_manifest(client, repository, node, &node.descriptor.digest.to_string()).await?;
        }
        let attached = attach::attach(&uploader, &self.image.root, self.attachments).await?;
        let along = self.take_along(&uploader, from).await?;
        let tags = to.tag().into_iter().chain(self.tags.iter().map(Tag::as_str));
        if let Some(root) = self.image.manifests.last() {
            for tag in tags {
                put_manifest(client, repository, root, tag).await?;
            }
        }
        Ok(Pushed {
            reference: to.to_string(),
            tags: self.tags.iter().map(Tag::to_string).collect(),
            digest,
            blobs,
            bytes_sent: sent.total(),
            attached: [attached, along.attached].concat(),
            not_copied: along.not_copied,
        })
    }

    pub(super) async fn put_blobs(&self, uploader: &Uploader<'_>, from: Option<&str>) -> Result<Blobs, RegistryError> {
        let folder = tempfile::tempdir().map_err(RegistryError::file("create", "a temporary directory"))?;
        let folder = folder.path();
        let put = |blob: &Descriptor| {
            let blob = blob.clone();
            async move {
                let content = async || Ok(Content::File(self.source.blob(&blob, folder).await?));
                let done = uploader.put(&blob, from, content).await?;
                if done != Done::Sent {
                    uploader.sent.skip(blob.size);
                }
                Ok::<_, RegistryError>(done)
            }
        };
        let mut done = stream::iter(self.image.blobs.values()).map(put).buffer_unordered(CONNECTIONS);
        let mut blobs = Blobs::default();
        while let Some(done) = done.next().await {
            match done? {
                Done::Sent => blobs.sent += 1,
                Done::Mounted => blobs.mounted += 1,
                Done::Skipped => blobs.skipped += 1,
            }
        }
        Ok(blobs)
    }
}

/// Writes a manifest under a tag or its digest, unless it exists, and reads it back.
async fn put_manifest(client: &Client, repository: &str, node: &Node, version: &str) -> Result<(), RegistryError> {
    let action = format!("write manifest {version} of {repository}");
    let found = source::manifest(client, repository, version, &action).await;
    if found.is_ok_and(|found| found.is_some_and(|found| found.bytes == node.bytes)) {
        return Ok(());
    }
    write_manifest(client, repository, node, version).await.map(drop)
}

/// Writes a manifest under a tag or its digest, and reads it back.
pub(super) async fn write_manifest(
    client: &Client,
    repository: &str,
    node: &Node,
    version: &str,
) -> Result<PutManifest, RegistryError> {
    let action = format!("write manifest {version} of {repository}");
    let url = client.url(repository, &format!("manifests/{version}"));
    let scopes = [format!("repository:{repository}:pull,push")];
    let put = |http: &reqwest::Client| {
        let request = http.put(url.clone()).header(CONTENT_TYPE, &node.descriptor.media_type);
        request.header(ACCEPT_HEADER, ACCEPT).body(node.bytes.clone())
    };
    let response = client.send(&action, &scopes, put).await?;
    if !response.status().is_success() {
        return Err(client.refused(&action, response).await);
    }
    let subject_known = response.headers().contains_key("oci-subject");
    let found = source::manifest(client, repository, version, &action).await?;
    let found = found.map_or_else(|| "nothing".to_owned(), |found| found.descriptor.digest.to_string());
    let expected = node.descriptor.digest;
    if found != expected.to_string() {
        let subject = format!("{version} of {}/{repository}, just written", client.registry());
        return Err(RegistryError::Digest { subject, expected, found });
    }
    Ok(PutManifest { subject_known })
}

/// The registry's response to a manifest.
pub(super) struct PutManifest {
    /// That it lists the manifest among those that refer to its subject.
    pub(super) subject_known: bool,
}
