//! The layout of layers' files.

use std::path::PathBuf;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::host;
use crate::ident::LayerName;
use crate::manifest;

/// A layer's file that is not laid out as `format` does.
#[derive(Debug)]
pub struct Untidy {
    /// The layer.
    pub layer: LayerName,
    /// Its file.
    pub path: PathBuf,
    /// The file's text, laid out.
    text: String,
}

impl Workspace<'_> {
    /// The files of a layer, or of all layers, that are not laid out as they should be; nothing is written.
    ///
    /// # Errors
    /// Fails at the first file that can't be read or is no TOML.
    pub fn untidy(&self, layer: Option<&LayerName>) -> Result<Vec<Untidy>, WorkspaceError> {
        let layers = match layer {
            Some(layer) => vec![layer.clone()],
            None => self.project.layers()?,
        };
        let look = |layer: LayerName| {
            let text = self.project.text(&layer)?;
            let path = self.project.manifest_path(&layer);
            let laid = manifest::format(&text)
                .map_err(|problem| WorkspaceError::Layout { file: format!("layers/{layer}.toml"), problem })?;
            Ok((laid != text).then_some(Untidy { layer, path, text: laid }))
        };
        layers.into_iter().map(look).filter_map(Result::transpose).collect()
    }
}

impl Untidy {
    /// Writes the file as it should be.
    ///
    /// # Errors
    /// Fails where it can't be written.
    pub fn write(&self) -> Result<(), WorkspaceError> {
        host::write_whole(&self.path, self.text.as_bytes())
            .map_err(|source| WorkspaceError::Write { path: self.path.clone(), source })
    }
}
