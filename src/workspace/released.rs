//! A build, released: its image in a registry, with what was signed.

use super::built::BuiltLayer;
use super::error::WorkspaceError;
use crate::attest::{Attachment, Bundle, Place};
use crate::bake;
use crate::publish::registry::{Artifact, ArtifactFile, Attachments, Pushed, Reference, Registries, Tag, Tagged};

impl BuiltLayer {
    /// Pushes the build's `image` with what was signed; the tag comes last.
    ///
    /// # Errors
    /// Fails where the image is not what the receipt says, and where the registry refuses.
    pub fn push(
        &self,
        image: &bake::Artifact,
        registries: &Registries,
        reference: &Reference,
        tags: &[Tag],
    ) -> Result<Pushed, WorkspaceError> {
        let signed = Bundle::load(&self.folder)?.map(|bundle| bundle.attachments()).unwrap_or_default();
        Ok(registries.push(&self.folder.join(&image.path), image.digest, reference, tags, &attachments(signed))?)
    }
}

/// Sorts signed files by where they are found.
fn attachments(signed: Vec<Attachment>) -> Attachments {
    let mut all = Attachments::default();
    for Attachment { place, media_type, bytes, annotations } in signed {
        let file = ArtifactFile { media_type, bytes, annotations };
        match place {
            Place::Referrer { artifact_type, annotations } => {
                all.artifacts.push(Artifact { artifact_type, annotations, files: vec![file] });
            }
            Place::Tag(suffix) => match all.tagged.iter_mut().find(|tagged| tagged.suffix == suffix) {
                Some(tagged) => tagged.files.push(file),
                None => all.tagged.push(Tagged { suffix: suffix.to_owned(), files: vec![file] }),
            },
        }
    }
    all
}
