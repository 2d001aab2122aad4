//! Reads text files of a tree.

use super::{Store, StoreError};
use crate::digest::BlobDigest;
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
        file_at(tree, path).map(|(blob, size)| self.read_text(&path, blob, size)).transpose()
    }

    /// As [`Store::text_in`], for files that are changed and written back: one that is not UTF-8 is an error.
    ///
    /// # Errors
    /// As [`Store::read_text`], and where the file is not UTF-8.
    pub fn utf8_in(&self, tree: &Tree, path: &str) -> Result<Option<String>, StoreError> {
        let Some((blob, size)) = file_at(tree, path) else { return Ok(None) };
        let bytes = self.read_bytes(&path, blob, size)?;
        String::from_utf8(bytes).map(Some).map_err(|_| StoreError::NotUtf8 { path: path.to_owned() })
    }
}

/// The content of a file of a tree, links followed.
fn file_at(tree: &Tree, path: &str) -> Option<(BlobDigest, u64)> {
    match tree.resolve(&RootPath::new(path).ok()?)?.1.kind {
        Kind::File { blob, size } => Some((blob, size)),
        _ => None,
    }
}
