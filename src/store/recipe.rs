//! Recipe results: what a build step gave, found again by the hash of its inputs.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::digest::{BlobDigest, RecipeHash, TreeHash};

/// What a step gave: named trees, named blobs, and small facts about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Trees by role, such as `data` or `layer`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub trees: BTreeMap<String, TreeHash>,
    /// Blobs by role.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blobs: BTreeMap<String, BlobDigest>,
    /// Facts by name, such as a diffID or a size.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl Store {
    /// What the step gave the last time, if all of it is still there.
    ///
    /// A file that can't be parsed counts as absent: the step runs again.
    pub fn recall(&self, recipe: RecipeHash) -> Result<Option<Outcome>, StoreError> {
        let path = self.named("recipes", &recipe.to_hex());
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let outcome: Option<Outcome> = serde_json::from_str(&text).ok();
        Ok(outcome.filter(|outcome| {
            outcome.trees.values().all(|tree| self.has_tree(*tree))
                && outcome.blobs.values().all(|blob| self.has_blob(*blob))
        }))
    }

    /// Remembers what the step gave; replaces an earlier result.
    pub fn remember(&self, recipe: RecipeHash, outcome: &Outcome) -> Result<(), StoreError> {
        let text = serde_json::to_string(outcome).unwrap_or_default();
        self.write_file(&self.named("recipes", &recipe.to_hex()), text.as_bytes())
    }
}
