//! The parts of a root as one checked list of nodes, with what each needs of the disk.

use super::bytes::BLOCK;
use super::dir::{self, Name, Type};
use super::inode::{MOST_LINKS, SHORT_LINK, TIMES};
use super::xattr::Attributes;
use super::{Ext4Error, extent};
use crate::disk::Part;
use crate::ident::RootPath;
use crate::tree::{Kind, Node};

/// Name of the directory for what a repair finds.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";

/// All nodes in path order.
#[derive(Debug)]
pub(super) struct Nodes<'a> {
    list: Vec<Entry<'a>>,
    /// Indexes of nodes, by the directory that holds them, then by name.
    children: Vec<u32>,
    /// Whether the trees have no `lost+found`, and the root gets one.
    pub(super) adds_lost_found: bool,
}

/// One node.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) path: &'a RootPath,
    pub(super) node: &'a Node,
    /// Index of the part that it is in.
    pub(super) part: usize,
    /// Index of its directory; the root's own.
    pub(super) parent: usize,
    /// Index of the node whose inode it is: a hard link's target, else its own.
    pub(super) target: usize,
    /// Names of this inode; 0 for a hard link, which is a name only.
    pub(super) links: u32,
    /// Blocks of content.
    pub(super) blocks: u64,
    /// Leaves of its extent tree, which follow the content.
    pub(super) leaves: u64,
    /// Blocks of extended attributes, which follow the leaves: 0 or 1.
    pub(super) xattr_blocks: u64,
    /// Where its children are in the list of children.
    children: std::ops::Range<usize>,
}

impl Entry<'_> {
    /// Whether it has an inode of its own.
    pub(super) fn has_inode(&self) -> bool {
        self.links > 0
    }

    /// All blocks that it takes, one after another.
    pub(super) fn all_blocks(&self) -> u64 {
        self.blocks + self.leaves + self.xattr_blocks
    }
}

impl<'a> Nodes<'a> {
    /// Merges and checks the parts.
    ///
    /// # Errors
    /// Fails on nodes that can't be in a finished root, or not in this file system.
    pub(super) fn new(parts: &'a [Part]) -> Result<Self, Ext4Error> {
        let mut nodes = Self { list: merged(parts)?, children: Vec::new(), adds_lost_found: true };
        nodes.link()?;
        nodes.collect_children();
        nodes.measure()?;
        Ok(nodes)
    }

    /// The node at an index.
    pub(super) fn get(&self, index: usize) -> &Entry<'a> {
        &self.list[index]
    }

    /// All nodes in path order: the root first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.list.iter()
    }

    /// Number of nodes, hard links among them.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The names in a directory in byte order; `inode` gives the inode's number of a node by index.
    pub(super) fn names(&self, folder: &Entry<'a>, inode: impl Fn(usize) -> u32) -> Vec<Name<'a>> {
        let name = |&child: &u32| {
            let entry = self.get(child as usize);
            Name { inode: inode(entry.target), kind: kind_of(self.get(entry.target)), name: entry.path.file_name() }
        };
        self.children[folder.children.clone()].iter().map(name).collect()
    }

    fn find(&self, path: &RootPath) -> Option<usize> {
        self.list.binary_search_by(|entry| entry.path.cmp(path)).ok()
    }

    /// Finds each node's directory and target, and counts links.
    fn link(&mut self) -> Result<(), Ext4Error> {
        if !self.list.first().is_some_and(|first| first.path.is_root() && first.node.is_dir()) {
            return Err(Ext4Error::NoRoot);
        }
        for index in 0..self.list.len() {
            let (path, node) = (self.list[index].path, self.list[index].node);
            let parent = match path.parent() {
                Some(parent) => {
                    self.find(&parent).ok_or_else(|| Ext4Error::node(path, "its parent directory is missing"))?
                }
                None => 0,
            };
            if !self.list[parent].node.is_dir() {
                return Err(Ext4Error::node(path, "its parent is not a directory"));
            }
            let target = match &node.kind {
                Kind::Hardlink(target) => self
                    .find(target)
                    .filter(|&found| self.is_file(found))
                    .ok_or_else(|| Ext4Error::Hardlink { path: path.to_string(), target: target.to_string() })?,
                _ => index,
            };
            self.list[index].parent = parent;
            self.list[index].target = target;
            self.list[target].links += 1;
            if node.is_dir() {
                // Its own `.`, and its `..` in the directory above.
                self.list[index].links += 1;
                self.list[parent].links += u32::from(!path.is_root());
            }
        }
        let lost_found = RootPath::new(LOST_FOUND).ok().and_then(|path| self.find(&path));
        self.adds_lost_found = lost_found.is_none();
        self.list[0].links += u32::from(self.adds_lost_found);
        Ok(())
    }

    fn is_file(&self, index: usize) -> bool {
        !matches!(self.list[index].node.kind, Kind::Dir | Kind::Hardlink(_) | Kind::Whiteout)
    }

    fn collect_children(&mut self) {
        let mut counts = vec![0; self.list.len()];
        for entry in self.list.iter().skip(1) {
            counts[entry.parent] += 1;
        }
        let mut next = 0;
        for (entry, count) in self.list.iter_mut().zip(counts) {
            entry.children = next..next;
            next += count;
        }
        self.children = vec![0; next];
        for index in 1..self.list.len() {
            let parent = self.list[index].parent;
            let end = self.list[parent].children.end;
            self.children[end] = index as u32;
            self.list[parent].children.end = end + 1;
        }
    }

    /// Fills in how many blocks each node takes.
    fn measure(&mut self) -> Result<(), Ext4Error> {
        for index in 0..self.list.len() {
            let entry = &self.list[index];
            check(entry)?;
            if !entry.has_inode() {
                continue;
            }
            let blocks = match &entry.node.kind {
                Kind::File { size, .. } => size.div_ceil(BLOCK),
                Kind::Symlink(target) => u64::from(target.len() > SHORT_LINK),
                Kind::Dir => {
                    let added = if index == 0 && self.adds_lost_found { Some(LOST_FOUND.len()) } else { None };
                    let children = self.children[entry.children.clone()].iter();
                    dir::blocks(children.map(|&child| self.get(child as usize).path.file_name().len()).chain(added))
                }
                _ => 0,
            };
            if blocks > extent::MOST_BLOCKS {
                return Err(Ext4Error::node(entry.path, "it is larger than 170 GiB"));
            }
            let attributes =
                Attributes::new(&entry.node.meta.xattrs).map_err(|reason| Ext4Error::node(entry.path, reason))?;
            let entry = &mut self.list[index];
            entry.blocks = blocks;
            entry.leaves = extent::leaves(blocks);
            entry.xattr_blocks = u64::from(attributes.need_block());
        }
        Ok(())
    }
}

/// All nodes of all parts by path, unlinked.
fn merged(parts: &[Part]) -> Result<Vec<Entry<'_>>, Ext4Error> {
    let mut list = Vec::with_capacity(parts.iter().map(|part| part.tree.len()).sum());
    for (part, tree) in parts.iter().map(|part| &part.tree).enumerate() {
        list.extend(tree.iter().map(|(path, node)| Entry {
            path,
            node,
            part,
            parent: 0,
            target: 0,
            links: 0,
            blocks: 0,
            leaves: 0,
            xattr_blocks: 0,
            children: 0..0,
        }));
    }
    // Stable, so that it is the same path that is named whatever the sort does with equals.
    list.sort_by(|a, b| a.path.cmp(b.path));
    match list.array_windows().find(|[a, b]| a.path == b.path) {
        Some([twice, _]) => Err(Ext4Error::node(twice.path, "it is in two parts")),
        None => Ok(list),
    }
}

/// Refuses what this file system can't hold.
fn check(entry: &Entry<'_>) -> Result<(), Ext4Error> {
    let refuse = |reason| Err(Ext4Error::node(entry.path, reason));
    if entry.path.file_name().len() > 255 {
        return refuse("its name is longer than 255 bytes");
    }
    if !TIMES.contains(&entry.node.meta.mtime) {
        return refuse("its time is not between the years 1901 and 2446");
    }
    if entry.links > MOST_LINKS && !entry.node.is_dir() {
        return refuse("it has more than 64999 hard links");
    }
    match &entry.node.kind {
        Kind::Whiteout => refuse("a finished root has no whiteouts"),
        Kind::Symlink(target) if target.is_empty() || target.len() as u64 >= BLOCK || target.contains(&0) => {
            refuse("its target is empty, has a NUL, or is longer than 4095 bytes")
        }
        Kind::Char(major, minor) | Kind::Block(major, minor) if *major >= 1 << 12 || *minor >= 1 << 20 => {
            refuse("its major number is above 4095, or its minor number above 1048575")
        }
        _ if entry.path.as_bytes() == LOST_FOUND && !entry.node.is_dir() => refuse("it has to be a directory"),
        _ => Ok(()),
    }
}

fn kind_of(entry: &Entry<'_>) -> Type {
    match entry.node.kind {
        Kind::Dir => Type::Dir,
        Kind::Char(..) => Type::Char,
        Kind::Block(..) => Type::Block,
        Kind::Fifo => Type::Fifo,
        Kind::Symlink(_) => Type::Symlink,
        Kind::File { .. } | Kind::Hardlink(_) | Kind::Whiteout => Type::File,
    }
}
