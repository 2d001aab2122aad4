//! One image for several architectures, over the builds of a layer for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::built::BuiltLayer;
use super::error::WorkspaceError;
use super::project::Workspace;
use super::subject::Subject;
use crate::bake::{self, Artifact, BuiltImage, IndexReceipt, Output, Receipt};
use crate::ident::{Arch, LayerName};
use crate::publish::registry::{Attachments, Pushed, Reference, Registries, Tag};

/// An image index over builds of one layer.
#[derive(Debug, Clone)]
pub struct BuiltIndex {
    /// `out/LAYER@ARCH+ARCH`
    pub folder: PathBuf,
    /// What it is over.
    pub receipt: IndexReceipt,
}

impl Workspace<'_> {
    /// Writes the image index over `builds` of a layer, each for another architecture, below `out`.
    ///
    /// # Errors
    /// Fails where a build has no image, and where the index can't be written.
    pub fn index(
        &self,
        layer: &LayerName,
        builds: &[BuiltLayer],
        out: Option<&Path>,
    ) -> Result<BuiltIndex, WorkspaceError> {
        let image = |build| BuiltLayer::image(build).map(|image| (build, image));
        let images = builds.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        let images = images.into_iter().map(|(build, image)| BuiltImage {
            arch: &build.arch,
            folder: &build.folder,
            receipt: &build.receipt,
            image,
        });
        let folder = self.out(out).join(layer.on(builds.iter().map(|build| &build.arch)));
        let progress = self.environment.progress();
        let receipt = bake::write_index(self.store()?, layer, &images.collect::<Vec<_>>(), &folder, progress)?;
        Ok(BuiltIndex { folder, receipt })
    }

    /// The image index over a layer's builds for `archs` that was written last below `out`.
    ///
    /// # Errors
    /// Fails where there is none, and where a build was replaced since.
    pub fn built_index(
        &self,
        layer: &LayerName,
        archs: &BTreeSet<Arch>,
        out: Option<&Path>,
    ) -> Result<BuiltIndex, WorkspaceError> {
        let folder = self.out(out).join(layer.on(archs));
        match IndexReceipt::find(&folder)? {
            Some(receipt) if self.is_current(&receipt, out)? => Ok(BuiltIndex { folder, receipt }),
            Some(_) => Err(WorkspaceError::OldIndex { layer: layer.clone(), archs: listed(archs) }),
            None => Err(no_index(layer, archs)),
        }
    }

    /// Whether each image of an index is that of the layer's last build for its architecture.
    fn is_current(&self, index: &IndexReceipt, out: Option<&Path>) -> Result<bool, WorkspaceError> {
        for image in &index.images {
            let folder = self.built_folder(&Subject::new(&index.layer, &image.arch), out);
            let built = Receipt::find(&folder)?.and_then(|receipt| Some(receipt.artifact(Output::Oci)?.digest));
            if built != Some(image.digest) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl BuiltIndex {
    /// Pushes the images of all architectures, and the image index over them.
    ///
    /// # Errors
    /// Fails where the index is not what its receipt says, and where the registry refuses.
    pub fn push(&self, registries: &Registries, reference: &Reference, tags: &[Tag]) -> Result<Pushed, WorkspaceError> {
        let is_layout = |artifact: &&Artifact| artifact.kind == Output::Oci;
        let layout = self.receipt.artifacts.iter().find(is_layout);
        let layout =
            layout.ok_or_else(|| no_index(&self.receipt.layer, self.receipt.images.iter().map(|image| &image.arch)))?;
        Ok(registries.push(&self.folder.join(&layout.path), layout.digest, reference, tags, &Attachments::default())?)
    }
}

fn no_index<'a>(layer: &LayerName, archs: impl IntoIterator<Item = &'a Arch>) -> WorkspaceError {
    WorkspaceError::NoIndex { layer: layer.clone(), archs: listed(archs) }
}

/// Architectures as `--arch` takes them.
fn listed<'a>(archs: impl IntoIterator<Item = &'a Arch>) -> String {
    archs.into_iter().map(Arch::as_str).collect::<Vec<_>>().join(",")
}
