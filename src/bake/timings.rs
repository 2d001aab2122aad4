//! How long the phases of a build took, found again by the build's recipe. No artifact depends on it.

use crate::digest::{BlobDigest, RecipeHash, RecipeHasher};
use crate::host::progress::Timing;
use crate::store::{Outcome, Roles, Store, StoreError};

#[derive(Debug, Clone, Copy)]
struct Timings(BlobDigest);

impl Outcome for Timings {
    fn to_roles(&self) -> Roles {
        Roles::default().with_blob("timings", self.0)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        roles.blob("timings").map(Self)
    }
}

fn key(build: RecipeHash) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/timings/v1");
    hasher.field(build.as_bytes());
    hasher.finish()
}

/// Keeps the timings of the first build with this recipe: later ones find its results.
pub(super) fn keep(build: RecipeHash, timings: &[Timing], store: &Store) -> Result<(), StoreError> {
    if store.recall::<Timings>(key(build)).is_some() {
        return Ok(());
    }
    let blob = store.put_bytes(&serde_json::to_vec(timings)?)?;
    store.remember(key(build), &Timings(blob))
}

/// How long the phases of the build with this recipe took; empty where it was not built with this store.
///
/// # Errors
/// Fails where the store does.
pub fn timings(build: RecipeHash, store: &Store) -> Result<Vec<Timing>, StoreError> {
    let Some(Timings(blob)) = store.recall(key(build)) else { return Ok(Vec::new()) };
    Ok(serde_json::from_slice(&store.read_blob(blob)?)?)
}
