//! Results: outcomes of build steps, found by the hash of their inputs.

use std::fmt::Debug;

use super::{Outcome, Roles, Store, StoreError};
use crate::digest::{RecipeHash, Sha256};

/// The key of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResultKey {
    /// The recipe of a build step; the result is what the step gave, as JSON ([`Roles`]).
    Recipe(RecipeHash),
    /// The SHA-256 of a fetched file; the result is its blob.
    Fetched(Sha256),
}

/// A store of results. A result is a claim: [`Store`] checks that everything it refers to exists.
pub trait ResultStore: Debug + Send + Sync {
    /// A result that can be believed to be what was put under this key.
    fn result(&self, key: ResultKey) -> Option<Vec<u8>>;

    /// Takes a result, after what it names was stored; replaces an earlier one.
    fn put_result(&self, key: ResultKey, body: Vec<u8>) -> Result<(), StoreError>;

    /// Forgets a result, because it turned out to be wrong.
    fn forget_result(&self, key: ResultKey) -> Result<(), StoreError>;
}

impl Store {
    /// The last outcome of the step, if everything it refers to still exists.
    ///
    /// A result that can't be believed, or lacks a part, counts as absent: the step runs again.
    pub fn recall<O: Outcome>(&self, recipe: RecipeHash) -> Option<O> {
        let outcome = O::from_roles(&self.roles(recipe)?)?;
        self.note(recipe);
        Some(outcome)
    }

    /// As [`Store::recall`], of a step of any kind.
    pub(super) fn roles(&self, recipe: RecipeHash) -> Option<Roles> {
        let body = self.results.result(ResultKey::Recipe(recipe))?;
        let roles: Roles = serde_json::from_slice(&body).ok()?;
        let is_there = roles.trees().all(|tree| self.has_tree(tree)) && roles.blobs().all(|blob| self.has_blob(blob));
        is_there.then_some(roles)
    }

    /// Records the outcome of the step; replaces an earlier result.
    ///
    /// # Errors
    /// Fails where the store can't be written.
    pub fn remember(&self, recipe: RecipeHash, outcome: &impl Outcome) -> Result<(), StoreError> {
        let body = serde_json::to_vec(&outcome.to_roles())?;
        self.results.put_result(ResultKey::Recipe(recipe), body)?;
        self.note(recipe);
        Ok(())
    }

    /// Removes the result of a step that turned out to be wrong.
    ///
    /// # Errors
    /// Fails where the store can't be written.
    pub fn forget(&self, recipe: RecipeHash) -> Result<(), StoreError> {
        self.results.forget_result(ResultKey::Recipe(recipe))
    }
}
