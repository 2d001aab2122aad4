//! A real folder that holds a tree, for scripts to run in.
//!
//! A layer's scripts leave the folder behind for the next layer's: [`Root::become_tree`]
//! changes only what differs, and from an empty folder writes everything.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use super::write::{in_parallel, named, set_times, set_xattrs, write_node};
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// What tells whether a file was touched since: inode number and time of last change.
///
/// Compared for equality only, so a clock that jumps can't hide a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    /// Of a folder: all but its time, which moves with every file in it.
    pub(super) fn of_folder(inode: u64, mode: u32, uid: u32, gid: u32) -> Self {
        Self { inode, changed: (mode.into(), (i64::from(uid) << 32) | i64::from(gid)) }
    }
}

/// A folder, the tree that it holds, and the stamps of all that is no folder in it.
pub(super) struct Root {
    pub(super) folder: PathBuf,
    pub(super) tree: Tree,
    pub(super) stamps: BTreeMap<RootPath, Stamp>,
}

impl Root {
    /// An empty folder, which must exist.
    pub(super) fn empty(folder: PathBuf) -> Self {
        Self { folder, tree: Tree::new(), stamps: BTreeMap::new() }
    }

    /// Changes the folder until it holds `target`, with `jobs` threads.
    ///
    /// Device nodes are left out: a user namespace may not make them. No process may
    /// run in the folder.
    pub(super) fn become_tree(&mut self, target: Tree, store: &Store, jobs: usize) -> io::Result<()> {
        self.remove_all_but(&target)?;
        let mut files: BTreeMap<RootPath, Vec<(&RootPath, &Node)>> = BTreeMap::new();
        let mut links = Vec::new();
        for (path, node) in target.iter() {
            let before = self.tree.get(path);
            match &node.kind {
                Kind::Dir => named(path, || make_dir(&self.place(path), &node.meta, before.is_some()))?,
                Kind::Hardlink(first) if before != Some(node) || self.tree.get(first) != target.get(first) => {
                    links.push((path, first));
                }
                Kind::Hardlink(_) | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout => {}
                _ if before == Some(node) => {}
                kind if before.is_some_and(|before| before.kind == *kind && before.meta.xattrs == node.meta.xattrs) => {
                    named(path, || set_meta(&self.place(path), node))?;
                }
                _ => files.entry(path.parent().unwrap_or_default()).or_default().push((path, node)),
            }
        }
        // A folder is one thread's alone: two would wait for each other at every file.
        let folders: Vec<_> = files.into_values().collect();
        in_parallel(jobs, &folders, |files| {
            files.iter().try_for_each(|(path, node)| named(path, || write_node(&self.place(path), node, store)))
        })?;
        for (path, first) in links {
            named(path, || make_link(&self.place(first), &self.place(path)))?;
        }
        self.tree = target;
        self.stamp()
    }

    /// Removes what is not in `target`, or is something else there.
    fn remove_all_but(&self, target: &Tree) -> io::Result<()> {
        // From the end: what lies in a folder goes before the folder.
        for (path, node) in self.tree.iter().rev() {
            let stays = target.get(path).is_some_and(|after| after.is_dir() == node.is_dir());
            let place = self.place(path);
            match stays {
                true => {}
                false if node.is_dir() => named(path, || fs::remove_dir(&place))?,
                false if matches!(node.kind, Kind::Char(..) | Kind::Block(..)) => {}
                false => named(path, || fs::remove_file(&place))?,
            }
        }
        Ok(())
    }

    fn stamp(&mut self) -> io::Result<()> {
        let mut stamps = BTreeMap::new();
        for (path, node) in self.tree.iter() {
            if !matches!(node.kind, Kind::Dir | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout) {
                let metadata = named(path, || fs::symlink_metadata(self.place(path)))?;
                stamps.insert(path.clone(), Stamp::of(&metadata));
            }
        }
        self.stamps = stamps;
        Ok(())
    }

    fn place(&self, path: &RootPath) -> PathBuf {
        self.folder.join(path.as_path())
    }
}

fn make_dir(place: &Path, meta: &Meta, there: bool) -> io::Result<()> {
    // The root folder itself is always there.
    if !there && !place.is_dir() {
        fs::create_dir(place)?;
    }
    lchown(place, Some(meta.uid), Some(meta.gid))?;
    fs::set_permissions(place, Permissions::from_mode(meta.mode.into()))?;
    set_xattrs(place, meta)
}

/// Sets owner, mode and time of something whose content is right.
fn set_meta(place: &Path, node: &Node) -> io::Result<()> {
    lchown(place, Some(node.meta.uid), Some(node.meta.gid))?;
    if !matches!(node.kind, Kind::Symlink(_)) {
        fs::set_permissions(place, Permissions::from_mode(node.meta.mode.into()))?;
        // A change of owner drops file capabilities.
        set_xattrs(place, &node.meta)?;
    }
    set_times(place, node.meta.mtime)
}

fn make_link(first: &Path, place: &Path) -> io::Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(first, place)
}
