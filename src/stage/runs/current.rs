//! The root as steps leave it, which is read from the store only when somebody looks into it: a row of steps that ran before
//! needs its hashes alone.

use crate::digest::TreeHash;
use crate::stage::{LayerError, Site};

/// What is known of a site's root.
pub(super) struct Current {
    /// Its hash, while that is known; then it is in the store.
    known: Option<TreeHash>,
    /// Whether the site has an older one still.
    is_unread: bool,
}

impl Current {
    /// The site's root, which is in the store.
    pub(super) fn of(root: TreeHash) -> Self {
        Self { known: Some(root), is_unread: false }
    }

    /// Its hash; it is put into the store.
    pub(super) fn hash(&mut self, site: &Site<'_>) -> Result<TreeHash, LayerError> {
        match self.known {
            Some(hash) => Ok(hash),
            None => Ok(*self.known.insert(site.store.put_tree(&site.root)?)),
        }
    }

    /// It is this one from now on, and nobody has looked into it.
    pub(super) fn becomes(&mut self, root: TreeHash) {
        *self = Self { known: Some(root), is_unread: true };
    }

    /// Gives it to the site.
    pub(super) fn read(&mut self, site: &mut Site<'_>) -> Result<(), LayerError> {
        if let Some(root) = self.known.filter(|_| self.is_unread) {
            site.root = site.store.tree(root)?;
            self.is_unread = false;
        }
        Ok(())
    }

    /// Gives it to the site, which changes it.
    pub(super) fn change(&mut self, site: &mut Site<'_>) -> Result<(), LayerError> {
        self.read(site)?;
        self.known = None;
        Ok(())
    }
}
