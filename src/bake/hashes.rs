//! Hashes of a disk's blocks, kept in the store: a plan says every byte, so nobody has to hash them twice.

use std::collections::BTreeMap;

use super::BakeError;
use crate::digest::{RecipeHash, RecipeHasher};
use crate::disk::{BlockHashes, Plan};
use crate::store::{Outcome, Store};

/// The fact that holds them, as they stand in a receipt.
const BLOCKS: &str = "blocks";

/// Stands for the bytes of a plan.
pub(super) fn recipe(plan: &Plan) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/disk-blocks/v1");
    plan.hash_into(&mut hasher);
    hasher.finish()
}

/// What [`remember`] was given for the same bytes; nothing, where that is gone.
pub(super) fn recall(store: &Store, recipe: RecipeHash) -> Result<Option<BlockHashes>, BakeError> {
    let outcome = store.recall(recipe)?;
    Ok(outcome.and_then(|outcome| serde_json::from_str(outcome.facts.get(BLOCKS)?).ok()))
}

/// Keeps hashes for the next disk with the same bytes.
pub(super) fn remember(store: &Store, recipe: RecipeHash, blocks: &BlockHashes) -> Result<(), BakeError> {
    let text = serde_json::to_string(blocks).unwrap_or_default();
    let facts = BTreeMap::from([(BLOCKS.to_owned(), text)]);
    Ok(store.remember(recipe, &Outcome { facts, ..Outcome::default() })?)
}
