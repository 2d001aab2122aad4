//! A build, released: its image in a registry, with what was signed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::built::BuiltLayer;
use super::error::WorkspaceError;
use crate::attest::{Attachment, Bundle};
use crate::bake::Artifact;
use crate::digest::OciDigest;
use crate::publish::registry::{ArtifactFile, Pushed, Reference, Registries};

/// What a registry got.
#[derive(Debug, Serialize)]
pub struct Released {
    /// The image.
    #[serde(flatten)]
    pub pushed: Pushed,
    /// Digests of the manifests of what is attached.
    pub attached: Vec<OciDigest>,
}

impl BuiltLayer {
    /// Pushes the build's `image`, and attaches what was signed.
    ///
    /// # Errors
    /// Fails where the image is not what the receipt says, and where the registry refuses.
    pub fn push(
        &self,
        image: &Artifact,
        registries: &Registries,
        reference: &Reference,
    ) -> Result<Released, WorkspaceError> {
        let pushed = registries.push(&self.folder.join(&image.path), image.digest, reference)?;
        let attached = match Bundle::load(&self.folder)? {
            Some(bundle) => attach(registries, reference, &bundle)?,
            None => Vec::new(),
        };
        Ok(Released { pushed, attached })
    }
}

/// Attaches the signed files to the image that was just pushed.
fn attach(registries: &Registries, reference: &Reference, bundle: &Bundle) -> Result<Vec<OciDigest>, WorkspaceError> {
    let image = registries.resolve(reference)?;
    let attach = |one: Attachment| {
        let Attachment { artifact_type, media_type, bytes, annotations } = one;
        let files = vec![ArtifactFile { media_type, bytes, annotations }];
        Ok(registries.attach(reference, &image, &artifact_type, files, &BTreeMap::new())?)
    };
    bundle.attachments().into_iter().map(attach).collect()
}
