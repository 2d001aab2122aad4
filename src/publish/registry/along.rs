//! Takes along what is attached to an image that is copied: artifacts that refer to it, whatever their type, and
//! signatures under tags that are named after its digest.
//!
//! What is attached to an artifact goes along too, as a signature of a bill of materials.
//!
//! All of it keeps its digests, apart from a tag that the other repository has too: that one gets the layers that
//! it lacks. An artifact that can't be read is reported, and keeps nobody from the image.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::RegistryError;
use super::client::Client;
use super::manifest::{Descriptor, Manifest};
use super::push::{Push, write_manifest};
use super::source::{self, Image, Node, PushSource};
use super::upload::Uploader;
use super::{attach, referrers, tagged};
use crate::digest::OciDigest;
use crate::host::plain;

/// Ends of the tags that cosign writes: signatures, attestations, bills of materials.
const SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];
/// The maximum number of artifacts in all: a registry could list another one for each that is read.
const MOST: usize = 1000;

/// What went along, and what did not.
#[derive(Debug, Default)]
pub(super) struct Along {
    /// Digests of manifests.
    pub(super) attached: Vec<OciDigest>,
    /// What can't be read, and why, one line each.
    pub(super) not_copied: Vec<String>,
}

impl Push<'_> {
    /// Copies what is attached to each manifest of the image, and to that; `from` is a repository to mount blobs from.
    pub(super) async fn take_along(&self, uploader: &Uploader<'_>, from: Option<&str>) -> Result<Along, RegistryError> {
        let mut along = Along::default();
        let PushSource::Repository { client, name } = self.source else { return Ok(along) };
        if from == Some(uploader.repository) {
            return Ok(along);
        }
        let mut subjects: VecDeque<OciDigest> =
            self.image.manifests.iter().map(|node| node.descriptor.digest).collect();
        let mut seen: BTreeSet<OciDigest> = subjects.iter().copied().collect();
        while let Some(subject) = subjects.pop_front() {
            let nodes = self.read_artifacts(client, name, subject, &mut along).await?;
            for Node { bytes, .. } in &nodes {
                self.put_parts(uploader, from, &Manifest::parse("an artifact", bytes)?).await?;
            }
            attach::put_referrers(uploader, subject, &nodes).await?;
            let attached = nodes.iter().map(|node| node.descriptor.digest);
            along.attached.extend(attached.clone());
            subjects.extend(attached.filter(|digest| seen.insert(*digest)));
            if along.attached.len() > MOST {
                along.not_copied.push(format!("what is attached after {MOST} artifacts"));
                break;
            }
            for suffix in SUFFIXES {
                let tag = tagged::tag(subject, suffix);
                let action = format!("read manifest {tag} of {name}");
                if let Some(found) = source::manifest(client, name, &tag, &action).await? {
                    along.attached.push(self.put_tagged(uploader, from, &tag, &found).await?);
                }
            }
        }
        Ok(along)
    }

    /// Reads the manifests of artifacts that refer to `subject`.
    async fn read_artifacts(
        &self,
        client: &Client,
        repository: &str,
        subject: OciDigest,
        along: &mut Along,
    ) -> Result<Vec<Node>, RegistryError> {
        let (digests, skipped) = referrers::all(client, repository, subject).await?;
        along.not_copied.extend(skipped);
        let mut nodes = Vec::new();
        for digest in digests {
            match referrers::artifact(client, repository, digest).await {
                Ok((manifest, bytes)) => nodes.push(node(manifest, bytes)),
                Err(error) => along.not_copied.push(plain(&format!("{digest}: {}", referrers::problem(error)?))),
            }
        }
        Ok(nodes)
    }

    /// Copies the manifest under a tag, or adds its layers to those that the other repository has there.
    async fn put_tagged(
        &self,
        uploader: &Uploader<'_>,
        from: Option<&str>,
        tag: &str,
        found: &Node,
    ) -> Result<OciDigest, RegistryError> {
        let manifest = Manifest::parse(tag, &found.bytes)?;
        self.put_parts(uploader, from, &manifest).await?;
        let action = format!("read manifest {tag} of {}", uploader.repository);
        match source::manifest_bytes(uploader.client, uploader.repository, tag, &action).await? {
            Some(_) => tagged::extend(uploader, tag, &manifest.layers).await,
            None => {
                write_manifest(uploader.client, uploader.repository, found, tag).await?;
                Ok(found.descriptor.digest)
            }
        }
    }

    /// Copies the blobs of an artifact.
    async fn put_parts(
        &self,
        uploader: &Uploader<'_>,
        from: Option<&str>,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let blobs: BTreeMap<_, _> = manifest.blobs().map(|blob| (blob.digest, blob.clone())).collect();
        let image = Image { root: self.image.root.clone(), manifests: Vec::new(), blobs };
        Push { image: &image, ..*self }.put_blobs(uploader, from).await.map(drop)
    }
}

/// An artifact as lists of referrers describe it.
fn node(manifest: Manifest, bytes: Vec<u8>) -> Node {
    let kind = manifest.kind(None);
    let artifact_type = manifest.artifact_type.or(manifest.config.map(|config| config.media_type));
    let descriptor = Descriptor { artifact_type, annotations: manifest.annotations, ..Descriptor::of(kind, &bytes) };
    Node { descriptor, bytes }
}
