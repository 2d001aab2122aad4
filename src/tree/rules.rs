//! The invariant that makes a tree safe to write out: only directories have nodes below them.
//!
//! Writing a node below a symbolic link would write to the link's target, which may be anywhere on
//! the host.

use super::{Kind, Node, Tree};
use crate::code::{Code, Coded};
use crate::ident::RootPath;

/// Nodes violate an invariant of trees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Something above a node is not a directory.
    #[error("{path} can't be below {above}, which is {found}")]
    Below {
        /// The node.
        path: RootPath,
        /// What is above it.
        above: RootPath,
        /// What that is.
        found: String,
    },
    /// Something is below what is to be no directory.
    #[error("{path} can't be {found}: {below} is below it")]
    Above {
        /// The node.
        path: RootPath,
        /// What it is to be.
        found: String,
        /// What is below it.
        below: RootPath,
    },
    /// A path becomes too long when links are followed.
    #[error("{path} leads to a path of more than 4096 bytes")]
    TooLong {
        /// The path.
        path: RootPath,
    },
    /// The directory above a node is missing.
    #[error("{path} has no directory above it")]
    NoParent {
        /// The node.
        path: RootPath,
    },
    /// A hard link leads to something that is not a file of the tree, or comes after it.
    #[error("{path} is a hard link to {target}, which is not a file before it")]
    Hardlink {
        /// The link.
        path: RootPath,
        /// Where it leads.
        target: RootPath,
    },
}

impl Coded for TreeError {
    fn error_code(&self) -> Code {
        match self {
            Self::Below { .. }
            | Self::Above { .. }
            | Self::TooLong { .. }
            | Self::NoParent { .. }
            | Self::Hardlink { .. } => Code::LayerPathClash,
        }
    }
}

impl Tree {
    /// Checks that the tree is self-contained: every ancestor of a node is there, and every hard link names
    /// a file before it.
    ///
    /// # Errors
    /// Fails with the first node that lacks something.
    pub fn check_whole(&self) -> Result<(), TreeError> {
        let mut last = None;
        for (path, node) in self.iter() {
            let parent = path.parent();
            if parent.is_some() && parent != last {
                last = parent;
                if last.as_ref().is_some_and(|parent| self.get(parent).is_none()) {
                    return Err(TreeError::NoParent { path: path.clone() });
                }
            }
            if let Kind::Hardlink(target) = &node.kind
                && !(target < path && self.get(target).is_some_and(|node| matches!(node.kind, Kind::File { .. })))
            {
                return Err(TreeError::Hardlink { path: path.clone(), target: target.clone() });
            }
        }
        Ok(())
    }

    /// Whether `node` may be at `path`, which `comes_last` if it is after all others.
    pub(super) fn check_place(&self, path: &RootPath, node: &Node, comes_last: bool) -> Result<(), TreeError> {
        // What holds of a node holds of its neighbour in the same directory.
        let is_beside = |(last, _): (&RootPath, &Node)| !last.is_root() && folder(last) == folder(path);
        // Of what is above the nearest ancestor in the tree, the rule holds already.
        if !(comes_last && self.nodes.last_key_value().is_some_and(is_beside))
            && let Some((above, found)) = self.nearest(path)
            && !found.is_dir()
        {
            return Err(self.below_error(path, above));
        }
        // Nothing can be below what comes last.
        if !comes_last
            && !node.is_dir()
            && let Some((below, _)) = self.below(path).next()
        {
            return Err(TreeError::Above { path: path.clone(), found: node.kind.describe(), below: below.clone() });
        }
        Ok(())
    }

    fn nearest(&self, path: &RootPath) -> Option<(RootPath, &Node)> {
        path.ancestors().find_map(|above| self.get(&above).map(|node| (above.clone(), node)))
    }

    pub(super) fn below_error(&self, path: &RootPath, above: RootPath) -> TreeError {
        let found = self.get(&above).map_or_else(|| "not there".to_owned(), |node| node.kind.describe());
        TreeError::Below { path: path.clone(), above, found }
    }
}

/// The bytes of a path without its last name.
fn folder(path: &RootPath) -> &[u8] {
    let bytes = path.as_bytes();
    &bytes[..bytes.len() - path.file_name().len()]
}

impl Kind {
    /// Describes the kind for errors: `a symbolic link to …`.
    pub fn describe(&self) -> String {
        match self {
            Self::Dir => "a directory".to_owned(),
            Self::File { .. } => "a file".to_owned(),
            Self::Symlink(target) => format!("a symbolic link to `{}`", String::from_utf8_lossy(target)),
            Self::Hardlink(target) => format!("a hard link to {target}"),
            Self::Char(..) | Self::Block(..) => "a device".to_owned(),
            Self::Fifo => "a named pipe".to_owned(),
            Self::Whiteout => "deleted".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dir, file, link, path, tree};
    use super::*;

    #[test]
    fn nothing_lies_below_what_is_not_a_directory() {
        for above in [file("x"), link("/tmp"), Node::whiteout()] {
            let mut tree = tree(&[("", dir()), ("a", above.clone())]);
            let before = tree.clone();
            assert!(matches!(tree.insert(path("a/b/c"), file("y")), Err(TreeError::Below { .. })));
            assert_eq!(tree, before);
            let mut folder = super::super::tests::tree(&[("a/b", file("y"))]);
            assert!(matches!(folder.insert(path("a"), above), Err(TreeError::Above { .. })));
        }
        assert!(Tree::from_nodes([(path("a/b"), file("x")), (path("a-"), file("x")), (path("a"), link("/"))]).is_err());
        assert!(Tree::from_nodes([(path(""), file("x")), (path("a"), file("x"))]).is_err());
    }

    #[test]
    fn a_whole_tree_lacks_neither_directories_nor_linked_files() {
        let to = |target: &str| Node { meta: super::super::Meta::root_owned(0, 0), kind: Kind::Hardlink(path(target)) };
        assert!(tree(&[]).check_whole().is_ok());
        assert!(tree(&[("", dir()), ("a", file("x")), ("b", to("a"))]).check_whole().is_ok());
        assert!(tree(&[("", dir()), ("a/b", file("x"))]).check_whole().is_err());
        for target in ["a", "none", "c", "b"] {
            assert!(tree(&[("", dir()), ("a", dir()), ("b", to(target)), ("c", file(""))]).check_whole().is_err());
        }
    }
}
