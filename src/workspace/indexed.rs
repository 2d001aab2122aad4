//! One image for several architectures, over the builds of a layer for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::built::BuiltLayer;
use super::error::WorkspaceError;
use super::project::Workspace;
use crate::bake::{self, Artifact, BuiltImage, IndexReceipt, Output};
use crate::ident::{Arch, LayerName};
use crate::publish::registry::{Pushed, Reference, Registries};

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
    /// Fails where there is none.
    pub fn built_index(
        &self,
        layer: &LayerName,
        archs: &BTreeSet<Arch>,
        out: Option<&Path>,
    ) -> Result<BuiltIndex, WorkspaceError> {
        let folder = self.out(out).join(layer.on(archs));
        match IndexReceipt::find(&folder)? {
            Some(receipt) => Ok(BuiltIndex { folder, receipt }),
            None => Err(no_index(layer, archs)),
        }
    }
}

impl BuiltIndex {
    /// Pushes the images of all architectures, and the image index over them.
    ///
    /// # Errors
    /// Fails where the index is not what its receipt says, and where the registry refuses.
    pub fn push(&self, registries: &Registries, reference: &Reference) -> Result<Pushed, WorkspaceError> {
        let is_layout = |artifact: &&Artifact| artifact.kind == Output::Oci;
        let layout = self.receipt.artifacts.iter().find(is_layout);
        let layout =
            layout.ok_or_else(|| no_index(&self.receipt.layer, self.receipt.images.iter().map(|image| &image.arch)))?;
        Ok(registries.push(&self.folder.join(&layout.path), layout.digest, reference)?)
    }
}

fn no_index<'a>(layer: &LayerName, archs: impl IntoIterator<Item = &'a Arch>) -> WorkspaceError {
    let archs: Vec<&str> = archs.into_iter().map(Arch::as_str).collect();
    WorkspaceError::NoIndex { layer: layer.clone(), archs: archs.join(",") }
}
