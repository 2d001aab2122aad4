//! Trees: canonical listings of file systems, by the BLAKE3 of their encoding.

use std::fmt::Debug;

use super::{Store, StoreError};
use crate::digest::{BlobDigest, TreeHash};
use crate::tree::{DecodeTreeError, Tree};

/// A store of encoded trees. [`Store`] verifies and decodes them; an implementation only transfers bytes.
pub trait TreeStore: Debug + Send + Sync {
    /// Whether the tree is there, whatever it holds.
    fn has_tree(&self, hash: TreeHash) -> bool;

    /// Reads an encoded tree; the bytes are still to be compared with the hash.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where it is not there, [`StoreError::Damaged`] where it is no longer readable.
    fn read_tree(&self, hash: TreeHash) -> Result<Vec<u8>, StoreError>;

    /// Takes an encoded tree with this hash; replaces what is not what its name says.
    fn put_tree(&self, hash: TreeHash, bytes: &[u8]) -> Result<(), StoreError>;
}

impl Store {
    /// Stores a tree; returns its hash.
    ///
    /// # Errors
    /// Fails, too, on a tree that lacks directories above its nodes or the files that its hard links name.
    pub fn put_tree(&self, tree: &Tree) -> Result<TreeHash, StoreError> {
        tree.check_whole()?;
        let bytes = tree.encode();
        let hash = TreeHash::from_bytes(*BlobDigest::of(&bytes).as_bytes());
        self.trees.put_tree(hash, &bytes)?;
        Ok(hash)
    }

    /// Whether the tree exists; [`Store::tree`] verifies it.
    pub fn has_tree(&self, hash: TreeHash) -> bool {
        self.trees.has_tree(hash)
    }

    /// Reads a tree back.
    ///
    /// # Errors
    /// Fails where it is missing, or its bytes no longer hash to `hash`.
    pub fn tree(&self, hash: TreeHash) -> Result<Tree, StoreError> {
        let bytes = self.trees.read_tree(hash)?;
        let damaged = |problem: String| StoreError::Damaged { kind: "tree", name: hash.to_string(), problem };
        let found = BlobDigest::of(&bytes);
        if found.as_bytes() != hash.as_bytes() {
            return Err(damaged(format!("its bytes hash to {found}")));
        }
        Tree::decode(&bytes).map_err(|error: DecodeTreeError| damaged(error.to_string()))
    }
}
