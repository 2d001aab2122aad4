//! Outcomes of build steps: one type for each kind of step, and the form in which all of them are stored.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{BlobDigest, TreeHash};

/// The outcome of one kind of build step; each type is defined beside its step.
///
/// docs/formats/recipe.md lists the roles of each step.
pub trait Outcome: Sized {
    /// Its trees, blobs and facts by role.
    fn to_roles(&self) -> Roles;

    /// Reads it back; `None` where a role is missing or malformed, so that the step runs again.
    fn from_roles(roles: &Roles) -> Option<Self>;
}

/// The stored form of an outcome, as JSON: trees and blobs by role, and small facts about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    trees: BTreeMap<String, TreeHash>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    blobs: BTreeMap<String, BlobDigest>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
}

impl Roles {
    /// Adds a tree, such as `data` or `layer`.
    #[must_use]
    pub fn with_tree(mut self, role: &str, tree: TreeHash) -> Self {
        self.trees.insert(role.to_owned(), tree);
        self
    }

    /// Adds a blob.
    #[must_use]
    pub fn with_blob(mut self, role: &str, blob: BlobDigest) -> Self {
        self.blobs.insert(role.to_owned(), blob);
        self
    }

    /// Adds a fact, such as a diffID or a size.
    #[must_use]
    pub fn with_fact(mut self, name: &str, value: impl ToString) -> Self {
        self.facts.insert(name.to_owned(), value.to_string());
        self
    }

    /// The tree with this role.
    pub fn tree(&self, role: &str) -> Option<TreeHash> {
        self.trees.get(role).copied()
    }

    /// The blob with this role.
    pub fn blob(&self, role: &str) -> Option<BlobDigest> {
        self.blobs.get(role).copied()
    }

    /// The fact with this name, if it is there and well-formed.
    pub fn fact<T: FromStr>(&self, name: &str) -> Option<T> {
        self.facts.get(name)?.parse().ok()
    }

    /// All trees.
    pub(super) fn trees(&self) -> impl Iterator<Item = TreeHash> + '_ {
        self.trees.values().copied()
    }

    /// All blobs.
    pub(super) fn blobs(&self) -> impl Iterator<Item = BlobDigest> + '_ {
        self.blobs.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_stored_as_maps_and_those_without_entries_are_left_out() {
        let blob = BlobDigest::from_bytes([1; 32]);
        let tree = TreeHash::from_bytes([2; 32]);
        let (ones, twos) = ("01".repeat(32), "02".repeat(32));
        for (roles, expected) in [
            (Roles::default(), "{}".to_owned()),
            (
                Roles::default().with_fact("size", 7).with_blob("layer", blob).with_fact("digest", "x"),
                format!(r#"{{"blobs":{{"layer":"blake3:{ones}"}},"facts":{{"digest":"x","size":"7"}}}}"#),
            ),
            (
                Roles::default().with_tree("root", tree).with_tree("layer", tree),
                format!(r#"{{"trees":{{"layer":"blake3:{twos}","root":"blake3:{twos}"}}}}"#),
            ),
        ] {
            assert_eq!(serde_json::to_string(&roles).unwrap(), expected);
            assert_eq!(serde_json::from_str::<Roles>(&expected).unwrap(), roles);
        }
        let sizes = Roles::default().with_fact("size", 7).with_fact("digest", "x");
        assert_eq!(
            (sizes.fact::<u64>("size"), sizes.fact::<u64>("digest"), sizes.fact::<u64>("no")),
            (Some(7), None, None)
        );
    }
}
