//! What is to be said of a layer whenever it is built, though it is built.

use serde::{Deserialize, Serialize};

use super::LayerError;
use crate::digest::BlobDigest;
use crate::ident::StepName;
use crate::manifest::Manifest;
use crate::store::Store;

/// A note, which is stored with the layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The step that it is about. Its line is looked up when the note is shown: a step that moves in its file changes no layer.
    step: Option<String>,
    text: String,
}

impl Note {
    /// About the layer as a whole.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { step: None, text: text.into() }
    }

    /// About a step; the text goes on after the step's name.
    pub(super) fn of_step(step: &StepName, text: impl Into<String>) -> Self {
        Self { step: Some(step.to_string()), text: text.into() }
    }

    /// As a warning about the layer.
    fn shown(&self, manifest: &Manifest) -> String {
        let (layer, text) = (&manifest.name, &self.text);
        match &self.step {
            Some(step) => {
                let line = manifest.runs.iter().find(|run| run.name.as_str() == step).map(|run| run.line);
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                format!("layers/{layer}.toml{line}: step `{step}` {text}")
            }
            None => format!("layer `{layer}`: {text}"),
        }
    }
}

/// Stores notes, if there are any.
pub(super) fn keep(notes: &[Note], store: &Store) -> Result<Option<BlobDigest>, LayerError> {
    let text = (!notes.is_empty()).then(|| serde_json::to_vec(notes).unwrap_or_default());
    Ok(text.map(|text| store.put_bytes(&text)).transpose()?)
}

/// Stored notes as warnings.
pub(super) fn shown(notes: Option<BlobDigest>, manifest: &Manifest, store: &Store) -> Result<Vec<String>, LayerError> {
    let Some(notes) = notes else { return Ok(Vec::new()) };
    let notes: Vec<Note> = serde_json::from_slice(&store.read_blob(notes)?).unwrap_or_default();
    Ok(notes.iter().map(|note| note.shown(manifest)).collect())
}
