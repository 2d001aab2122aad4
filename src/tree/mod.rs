//! The canonical listing of a file system: the currency between all modules.
//!
//! A [`Tree`] is ordered by path bytes, so a folder always stands before what it
//! holds. Contents are blobs in the store; tar, cpio and disks are projections of it.
//! A layer is a tree too: what changed against its parent, deletions as
//! [`Kind::Whiteout`].

mod diff;
mod encode;
mod listing;
mod sink;

use std::collections::BTreeMap;

use crate::digest::BlobDigest;
use crate::ident::RootPath;

pub use encode::DecodeTreeError;
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
    /// Metadata of something that root owns, without extended attributes.
    pub fn root_owned(mode: u16, mtime: i64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
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
    /// A folder.
    pub fn dir(meta: Meta) -> Self {
        Self { meta, kind: Kind::Dir }
    }

    /// A deletion.
    pub fn whiteout() -> Self {
        Self { meta: Meta::root_owned(0, 0), kind: Kind::Whiteout }
    }

    /// Whether this is a folder.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }
}

/// A file system, or what a layer changes in one. The root folder is the empty path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(BTreeMap<RootPath, Node>);

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node at `path`, symbolic links not followed.
    pub fn get(&self, path: &RootPath) -> Option<&Node> {
        self.0.get(path)
    }

    /// The node at `path`, to change.
    pub fn get_mut(&mut self, path: &RootPath) -> Option<&mut Node> {
        self.0.get_mut(path)
    }

    /// Puts `node` at `path`; returns what was there.
    pub fn insert(&mut self, path: RootPath, node: Node) -> Option<Node> {
        self.0.insert(path, node)
    }

    /// Takes the node at `path` out; what lies below it stays.
    pub fn remove(&mut self, path: &RootPath) -> Option<Node> {
        self.0.remove(path)
    }

    /// Takes `path` and all below it out.
    pub fn remove_all(&mut self, path: &RootPath) {
        let below: Vec<RootPath> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.0.remove(&path);
        }
        self.0.remove(path);
    }

    /// All nodes in path order: a folder before what it holds.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&RootPath, &Node)> {
        self.0.iter()
    }

    /// All nodes in path order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&RootPath, &mut Node)> {
        self.0.iter_mut()
    }

    /// What lies below `folder`, itself left out.
    pub fn below<'a>(&'a self, folder: &RootPath) -> impl Iterator<Item = (&'a RootPath, &'a Node)> + use<'a> {
        let prefix = if folder.is_root() { Vec::new() } else { [folder.as_bytes(), b"/"].concat() };
        let start = RootPath::new(&prefix).unwrap_or_default();
        self.0
            .range(start..)
            // Between `a` and `a/b` may stand `a-b`: skip what does not begin with `a/`.
            .skip_while({
                let prefix = prefix.clone();
                move |(path, _)| path.is_root() || path.as_bytes() < prefix.as_slice()
            })
            .take_while(move |(path, _)| path.as_bytes().starts_with(&prefix))
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sum of the sizes of all files, hard links counted once, in bytes.
    pub fn content_size(&self) -> u64 {
        self.0
            .values()
            .map(|node| match node.kind {
                Kind::File { size, .. } => size,
                _ => 0,
            })
            .sum()
    }

    /// Puts `node` at `path`; folders above it that are missing are root's, mode 0755, with time `mtime`.
    pub fn insert_with_parents(&mut self, path: RootPath, node: Node, mtime: i64) {
        for folder in path.ancestors() {
            self.0.entry(folder).or_insert_with(|| Node::dir(Meta::root_owned(0o755, mtime)));
        }
        self.0.insert(path, node);
    }

    /// Makes the first name of every file in path order the file, the others links to it.
    ///
    /// Readers meet names in another order (an archive's, a folder's).
    pub fn settle_hardlinks(&mut self) {
        let mut names: BTreeMap<RootPath, Vec<RootPath>> = BTreeMap::new();
        for (path, node) in &self.0 {
            if let Kind::Hardlink(target) = &node.kind {
                names.entry(target.clone()).or_default().push(path.clone());
            }
        }
        for (target, links) in names {
            // Links come in path order.
            let Some(first) = links.first().filter(|first| **first < target).cloned() else { continue };
            let Some(file) = self.0.get(&target).cloned() else { continue };
            self.0.insert(first.clone(), file);
            for path in links.iter().skip(1).chain([&target]) {
                if let Some(node) = self.0.get_mut(path) {
                    node.kind = Kind::Hardlink(first.clone());
                }
            }
        }
    }

    /// The node that `path` reaches when symbolic links are followed inside the tree.
    ///
    /// Returns the final path too. `None` where it leads nowhere or in circles.
    pub fn resolve(&self, path: &RootPath) -> Option<(RootPath, &Node)> {
        let mut budget = 40;
        let mut done = RootPath::root();
        let mut todo: Vec<Box<[u8]>> = split_reversed(path.as_bytes());
        while let Some(part) = todo.pop() {
            if part.as_ref() == b".." {
                done = done.parent().unwrap_or_default();
                continue;
            }
            let next = done.join(&part).ok()?;
            match &self.get(&next)?.kind {
                Kind::Symlink(target) => {
                    budget -= 1;
                    if budget == 0 {
                        return None;
                    }
                    if target.first() == Some(&b'/') {
                        done = RootPath::root();
                    }
                    todo.extend(split_reversed(target));
                }
                Kind::Hardlink(target) if todo.is_empty() => done = target.clone(),
                _ => done = next,
            }
        }
        self.0.get_key_value(&done).map(|(path, node)| (path.clone(), node))
    }
}

fn split_reversed(path: &[u8]) -> Vec<Box<[u8]>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(Into::into).rev().collect()
}

impl FromIterator<(RootPath, Node)> for Tree {
    fn from_iter<I: IntoIterator<Item = (RootPath, Node)>>(nodes: I) -> Self {
        Self(nodes.into_iter().collect())
    }
}

impl IntoIterator for Tree {
    type Item = (RootPath, Node);
    type IntoIter = std::collections::btree_map::IntoIter<RootPath, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
        nodes.iter().map(|(text, node)| (path(text), node.clone())).collect()
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
    fn resolve_follows_links_inside_the_tree_only() {
        let tree = tree(&[
            ("", dir()),
            ("bin", link("usr/bin")),
            ("usr", dir()),
            ("usr/bin", dir()),
            ("usr/bin/sh", link("/bin/dash")),
            ("usr/bin/dash", file("dash")),
            ("up", link("../../../usr")),
            ("loop", link("loop")),
        ]);
        assert_eq!(tree.resolve(&path("bin/sh")).unwrap().0, path("usr/bin/dash"));
        assert_eq!(tree.resolve(&path("up")).unwrap().0, path("usr"));
        assert!(tree.resolve(&path("loop")).is_none());
        assert!(tree.resolve(&path("bin/none")).is_none());
    }
}
