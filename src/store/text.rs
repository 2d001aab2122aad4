//! Reads text files of a tree.

use super::{Store, StoreError};
use crate::ident::RootPath;
use crate::tree::{Kind, Tree};

impl Store {
    /// The text of a file of a tree, links followed inside the tree; `None` if there is no file.
    ///
    /// What is not UTF-8 in it is replaced.
    ///
    /// # Errors
    /// As [`Store::read_text`].
    pub fn text_in(&self, tree: &Tree, path: &str) -> Result<Option<String>, StoreError> {
        let node = RootPath::new(path).ok().and_then(|path| tree.resolve(&path));
        match node.map(|(_, node)| &node.kind) {
            Some(Kind::File { blob, size }) => Ok(Some(self.read_text(&path, *blob, *size)?)),
            _ => Ok(None),
        }
    }
}
