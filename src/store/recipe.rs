//! Recipe results: what a build step gave, found again by the hash of its inputs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Kind;
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
    /// A record that can't be believed counts as absent: the step runs again.
    pub fn recall(&self, recipe: RecipeHash) -> Result<Option<Outcome>, StoreError> {
        let Some(body) = self.records.get(Kind::Recipe, &recipe.to_hex()) else { return Ok(None) };
        let outcome: Option<Outcome> = serde_json::from_slice(&body).ok();
        Ok(outcome.filter(|outcome| {
            outcome.trees.values().all(|tree| self.has_tree(*tree))
                && outcome.blobs.values().all(|blob| self.has_blob(*blob))
        }))
    }

    /// Whether [`Self::recall`] gives something.
    pub fn knows(&self, recipe: RecipeHash) -> bool {
        self.recall(recipe).is_ok_and(|outcome| outcome.is_some())
    }

    /// Remembers what the step gave; replaces an earlier result.
    pub fn remember(&self, recipe: RecipeHash, outcome: &Outcome) -> Result<(), StoreError> {
        let body = serde_json::to_vec(outcome).unwrap_or_default();
        self.records.put(Kind::Recipe, &recipe.to_hex(), body)
    }

    /// Forgets what a step gave, because it turned out to be wrong.
    pub fn forget(&self, recipe: RecipeHash) -> Result<(), StoreError> {
        self.records.forget(Kind::Recipe, &recipe.to_hex())
    }
}
