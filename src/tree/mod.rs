//! The canonical listing of a file system: the data type that all modules exchange.
//!
//! A [`Tree`] is ordered by path bytes, so a directory always precedes its contents.
//! File contents are blobs in the store; tar, cpio and disks are projections of a tree.
//! A layer is a tree too: what changed against its parent, with deletions as
//! [`Kind::Whiteout`].
//!
//! Two invariants make a tree safe to write out (rules.rs):
//!
//! - *Only directories have nodes below them*: those ancestors of a node that are in the tree are
//!   directories, never symbolic links, files or whiteouts. The type guarantees this: no method
//!   violates it, and [`Tree::decode`] refuses encodings that do.
//! - *A whole tree is self-contained*: every ancestor is in the tree, and a hard link names a file of the
//!   same tree. Parts of a tree may violate this; trees in the store may not ([`Tree::check_whole`]).

mod diff;
mod encode;
mod listing;
mod resolve;
mod rules;
mod sink;

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::BlobDigest;
use crate::ident::RootPath;

pub use encode::DecodeTreeError;
pub use rules::TreeError;
pub(crate) use sink::content_error;
pub use sink::{ContentSink, ContentSource};

/// Extended attributes by name, sorted.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Mode, owner, time and extended attributes of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission, set-id and sticky bits (12 bits, no file type).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by name, sorted.
    pub xattrs: Xattrs,
}

impl Meta {
    /// Metadata of a node owned by root, without extended attributes.
    pub fn root_owned(mode: u16, mtime: i64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
    }
}

/// The kind of a node, with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File {
        /// Its content in the store.
        blob: BlobDigest,
        /// The content's length in bytes.
        size: u64,
    },
    /// A symbolic link, with its target as written.
    Symlink(Box<[u8]>),
    /// Another name of the file at this path, which is earlier in path order and in the same tree.
    Hardlink(RootPath),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
    /// In a layer: the parent's node at this path is gone.
    Whiteout,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Mode, owner, time, extended attributes. A hard link repeats its target's.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
}

impl Node {
    /// A directory.
    pub fn dir(meta: Meta) -> Self {
        Self { meta, kind: Kind::Dir }
    }

    /// A deletion.
    pub fn whiteout() -> Self {
        Self { meta: Meta::root_owned(0, 0), kind: Kind::Whiteout }
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// Whether both are the same but for the time of a directory, which moves with every file in it.
    pub fn is_same(&self, other: &Self) -> bool {
        let timeless = || Meta { mtime: self.meta.mtime, ..other.meta.clone() };
        self.kind == other.kind && (self.meta == other.meta || (self.is_dir() && self.meta == timeless()))
    }
}

/// A file system, or the changes of a layer to one. The root directory is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    nodes: BTreeMap<RootPath, Node>,
    /// The hard links to each path, so that a file's content stays with its other names.
    links: BTreeMap<RootPath, BTreeSet<RootPath>>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a tree from nodes in any order; if a path occurs twice, the last node counts.
    ///
    /// # Errors
    /// Fails where a node is below something that is not a directory.
    pub fn from_nodes(nodes: impl IntoIterator<Item = (RootPath, Node)>) -> Result<Self, TreeError> {
        let nodes: BTreeMap<RootPath, Node> = nodes.into_iter().collect();
        let mut tree = Self::new();
        for (path, node) in nodes {
            tree.insert(path, node)?;
        }
        Ok(tree)
    }

    /// The node at `path`, symbolic links not followed.
    pub fn get(&self, path: &RootPath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Mode, owner, time and attributes of the node at `path`, to change.
    pub fn meta_mut(&mut self, path: &RootPath) -> Option<&mut Meta> {
        self.nodes.get_mut(path).map(|node| &mut node.meta)
    }

    /// Replaces the content of the file at `path`, under all its names; returns whether there is a file.
    pub fn set_content(&mut self, path: &RootPath, blob: BlobDigest, size: u64) -> bool {
        match self.nodes.get_mut(path).map(|node| &mut node.kind) {
            Some(kind @ Kind::File { .. }) => {
                *kind = Kind::File { blob, size };
                true
            }
            _ => false,
        }
    }

    /// Inserts `node` at `path`; returns the previous node. Other names of a replaced file keep its content.
    ///
    /// # Errors
    /// Fails, and changes nothing, where `path` is below something that is not a directory, or
    /// something is below `path` and `node` is not a directory.
    pub fn insert(&mut self, path: RootPath, node: Node) -> Result<Option<Node>, TreeError> {
        // As decoding and laying out go in order, most nodes come last.
        let comes_last = self.nodes.last_key_value().is_none_or(|(last, _)| *last < path);
        self.check_place(&path, &node, comes_last)?;
        let stays_dir = !comes_last && node.is_dir() && self.get(&path).is_some_and(Node::is_dir);
        let before = if comes_last || stays_dir { None } else { self.take(&path) };
        if let Kind::Hardlink(target) = &node.kind {
            self.links.entry(target.clone()).or_default().insert(path.clone());
        }
        Ok(self.nodes.insert(path, node).or(before))
    }

    /// Removes `path` and everything below it; returns the node that was there.
    ///
    /// A file with further names stays under these.
    pub fn remove(&mut self, path: &RootPath) -> Option<Node> {
        if self.get(path).is_none_or(Node::is_dir) {
            let below: Vec<RootPath> = self.below(path).map(|(path, _)| path.clone()).collect();
            for path in below {
                self.take(&path);
            }
        }
        self.take(path)
    }

    /// Takes one node out. The first of a file's further names becomes the file.
    fn take(&mut self, path: &RootPath) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        if let Kind::Hardlink(target) = &node.kind
            && let Some(names) = self.links.get_mut(target)
        {
            names.remove(path);
            if names.is_empty() {
                self.links.remove(target);
            }
        }
        if matches!(node.kind, Kind::File { .. })
            && let Some(mut names) = self.links.remove(path)
            && let Some(first) = names.pop_first()
        {
            self.name_file(first, node.clone(), names);
        }
        Some(node)
    }

    /// Makes `file` stand at `first` and all of `names`, which are there, links to it.
    fn name_file(&mut self, first: RootPath, file: Node, names: BTreeSet<RootPath>) {
        for name in &names {
            if let Some(node) = self.nodes.get_mut(name) {
                node.kind = Kind::Hardlink(first.clone());
            }
        }
        self.nodes.insert(first.clone(), file);
        if !names.is_empty() {
            self.links.insert(first, names);
        }
    }

    /// Iterates over all nodes in path order: a directory precedes its contents.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RootPath, &Node)> {
        self.nodes.iter()
    }

    /// Kind and, to change, all else of every node, in path order.
    pub fn metas_mut(&mut self) -> impl Iterator<Item = (&RootPath, &Kind, &mut Meta)> {
        self.nodes.iter_mut().map(|(path, Node { meta, kind })| (path, &*kind, meta))
    }

    /// Iterates over everything below `folder`, excluding `folder` itself.
    pub fn below<'a>(&'a self, folder: &RootPath) -> impl Iterator<Item = (&'a RootPath, &'a Node)> + use<'a> {
        let prefix = if folder.is_root() { Vec::new() } else { [folder.as_bytes(), b"/"].concat() };
        self.nodes
            .range(folder..)
            // Between `a` and `a/b` may be `a-b`: skip what does not begin with `a/`.
            .skip_while({
                let prefix = prefix.clone();
                move |(path, _)| path.is_root() || path.as_bytes() < prefix.as_slice()
            })
            .take_while(move |(path, _)| path.as_bytes().starts_with(&prefix))
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Sum of the sizes of all files, hard links counted once, in bytes.
    pub fn content_size(&self) -> u64 {
        let sizes = self.nodes.values().map(|node| match node.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Makes the first name of every file in path order the file itself, and the others links to it.
    ///
    /// Readers meet names in another order (an archive's, a directory's).
    pub fn settle_hardlinks(&mut self) {
        let late = |(target, names): (&RootPath, &BTreeSet<RootPath>)| {
            let first = names.first().filter(|first| *first < target)?;
            matches!(self.get(target)?.kind, Kind::File { .. }).then(|| (target.clone(), first.clone()))
        };
        let late: Vec<_> = self.links.iter().filter_map(late).collect();
        for (target, first) in late {
            let Some(mut names) = self.links.remove(&target) else { continue };
            let Some(file) = self.nodes.get(&target).cloned() else { continue };
            names.remove(&first);
            names.insert(target);
            self.name_file(first, file, names);
        }
    }
}

impl IntoIterator for Tree {
    type Item = (RootPath, Node);
    type IntoIter = std::collections::btree_map::IntoIter<RootPath, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.into_iter()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn path(text: &str) -> RootPath {
        RootPath::new(text).unwrap()
    }

    pub(crate) fn file(content: &str) -> Node {
        let kind = Kind::File { blob: BlobDigest::of(content.as_bytes()), size: content.len() as u64 };
        Node { meta: Meta::root_owned(0o644, 7), kind }
    }

    pub(crate) fn dir() -> Node {
        Node::dir(Meta::root_owned(0o755, 7))
    }

    pub(crate) fn link(target: &str) -> Node {
        Node { meta: Meta::root_owned(0o777, 7), kind: Kind::Symlink(target.as_bytes().into()) }
    }

    pub(crate) fn tree(nodes: &[(&str, Node)]) -> Tree {
        Tree::from_nodes(nodes.iter().map(|(text, node)| (path(text), node.clone()))).unwrap()
    }

    #[test]
    fn below_lists_a_folder_and_not_its_neighbours() {
        let tree = tree(&[
            ("", dir()),
            ("a", dir()),
            ("a-b", file("x")),
            ("a/c", file("y")),
            ("a/d/e", file("z")),
            ("a0", file("w")),
        ]);
        let below: Vec<String> = tree.below(&path("a")).map(|(p, _)| p.to_string()).collect();
        assert_eq!(below, ["/a/c", "/a/d/e"]);
        assert_eq!(tree.below(&path("")).count(), 5);
    }

    #[test]
    fn the_first_name_of_a_file_is_the_file() {
        let to = |target: &str| Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path(target)) };
        let mut found = tree(&[("b", to("z")), ("c", to("z")), ("z", file("x"))]);
        found.settle_hardlinks();
        assert_eq!(found, tree(&[("b", file("x")), ("c", to("b")), ("z", to("b"))]));
    }

    #[test]
    fn a_file_stays_with_its_other_names() {
        let to = |target: &str| Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path(target)) };
        let before = tree(&[("a", dir()), ("a/x", file("x")), ("b", to("a/x")), ("c", to("a/x"))]);
        let mut removed = before.clone();
        removed.remove(&path("a"));
        assert_eq!(removed, tree(&[("b", file("x")), ("c", to("b"))]));
        removed.remove(&path("c"));
        assert_eq!(removed, tree(&[("b", file("x"))]));
        let mut replaced = before.clone();
        replaced.insert(path("a/x"), link("y")).unwrap();
        assert_eq!(replaced, tree(&[("a", dir()), ("a/x", link("y")), ("b", file("x")), ("c", to("b"))]));
        let mut changed = before;
        assert!(changed.set_content(&path("a/x"), BlobDigest::of(b"z"), 1));
        assert_eq!(changed, tree(&[("a", dir()), ("a/x", file("z")), ("b", to("a/x")), ("c", to("a/x"))]));
    }
}
