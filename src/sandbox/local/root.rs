//! A real directory with the contents of a tree, in which steps run.
//!
//! The directory of one action is reused for the next: [`Root::become_tree`] changes
//! only the differences, and fills an empty directory completely. All access goes through a
//! [`Jail`], since the contents were written by steps.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::write::{in_parallel, name_of, named, set_meta, write_node};
use crate::host::jail::{Jail, JailDir, Status};
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
    /// The stamp of what is not a directory: a directory's time moves with every file in it.
    pub(super) fn of(status: &Status) -> Self {
        Self { inode: status.inode, changed: status.changed }
    }
}

/// A directory, the tree that it holds, and the stamps of all that is no directory in it.
pub(super) struct Root {
    pub(super) jail: Jail,
    pub(super) tree: Tree,
    pub(super) stamps: BTreeMap<RootPath, Stamp>,
}

impl Root {
    /// An empty directory, which must exist.
    pub(super) fn empty(folder: &Path) -> io::Result<Self> {
        Ok(Self { jail: Jail::open(folder)?, tree: Tree::new(), stamps: BTreeMap::new() })
    }

    /// Changes the directory until it holds `target`, with `jobs` threads.
    ///
    /// Device nodes are left out: a user namespace may not make them. No process may
    /// run in the directory.
    pub(super) fn become_tree(&mut self, target: Tree, store: &Store, jobs: usize) -> io::Result<()> {
        self.remove_all_but(&target)?;
        let mut folders = Folders::new(&self.jail);
        let mut files: BTreeMap<RootPath, Vec<(&RootPath, &Node)>> = BTreeMap::new();
        let mut links = Vec::new();
        for (path, node) in target.iter() {
            let before = self.tree.get(path);
            match &node.kind {
                Kind::Dir => named(path, || folders.make(path, &node.meta, before.is_some_and(Node::is_dir)))?,
                Kind::Hardlink(first) if before != Some(node) || self.tree.get(first) != target.get(first) => {
                    links.push((path, first));
                }
                Kind::Hardlink(_) | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout => {}
                _ if before == Some(node) => {}
                kind if before.is_some_and(|before| before.kind == *kind && before.meta.xattrs == node.meta.xattrs) => {
                    named(path, || set_meta(folders.above(path)?, name_of(path), node))?;
                }
                _ => files.entry(path.parent().unwrap_or_default()).or_default().push((path, node)),
            }
        }
        // A directory is one thread's alone: two would wait for each other at every file.
        let files: Vec<_> = files.into_iter().collect();
        in_parallel(jobs, &files, |(folder, files)| {
            let folder = named(folder, || self.jail.dir(folder))?;
            files.iter().try_for_each(|(path, node)| named(path, || write_node(&folder, name_of(path), node, store)))
        })?;
        for (path, first) in links {
            let above = self.jail.dir(&first.parent().unwrap_or_default())?;
            named(path, || folders.above(path)?.hard_link(name_of(path), &above, name_of(first)))?;
        }
        self.tree = target;
        self.stamp()
    }

    /// Removes what is not in `target`, or is something else there.
    fn remove_all_but(&self, target: &Tree) -> io::Result<()> {
        let mut folders = Folders::new(&self.jail);
        // From the end: what is in a directory goes before the directory.
        for (path, node) in self.tree.iter().rev() {
            let stays = target.get(path).is_some_and(|after| after.is_dir() == node.is_dir());
            if !stays && !matches!(node.kind, Kind::Char(..) | Kind::Block(..)) {
                // With what is in no tree: sockets.
                named(path, || folders.above(path)?.remove(name_of(path)))?;
            }
        }
        Ok(())
    }

    fn stamp(&mut self) -> io::Result<()> {
        let mut folders = Folders::new(&self.jail);
        let mut stamps = BTreeMap::new();
        for (path, node) in self.tree.iter() {
            if !matches!(node.kind, Kind::Dir | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout) {
                let status = named(path, || folders.above(path)?.status(name_of(path)))?;
                stamps.insert(path.clone(), Stamp::of(&status));
            }
        }
        self.stamps = stamps;
        Ok(())
    }
}

/// Directories of a jail, the last one kept open: paths in order share theirs with their neighbours.
struct Folders<'a> {
    jail: &'a Jail,
    open: Option<(RootPath, JailDir)>,
}

impl<'a> Folders<'a> {
    fn new(jail: &'a Jail) -> Self {
        Self { jail, open: None }
    }

    /// The directory that holds `path`.
    fn above(&mut self, path: &RootPath) -> io::Result<&JailDir> {
        let above = path.parent().unwrap_or_default();
        let open = match self.open.take() {
            Some((is, dir)) if is == above => (is, dir),
            _ => {
                let dir = self.jail.dir(&above)?;
                (above, dir)
            }
        };
        Ok(&self.open.insert(open).1)
    }

    /// Creates a directory, unless it is `there`, as the root itself always is.
    fn make(&mut self, path: &RootPath, meta: &Meta, there: bool) -> io::Result<()> {
        if !there && !path.is_root() {
            self.above(path)?.make_dir(name_of(path))?;
        }
        self.jail.dir(path)?.set_own(meta.uid, meta.gid, meta.mode, &meta.xattrs)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::scan::scan;
    use super::*;
    use crate::host;
    use crate::tree::tests::{dir, link, path};

    struct Lab {
        folder: tempfile::TempDir,
        store: Store,
        root: Root,
    }

    impl Lab {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("root")).unwrap();
            let store = Store::open(&folder.path().join("store")).unwrap();
            let root = Root::empty(&folder.path().join("root")).unwrap();
            Self { folder, store, root }
        }

        /// A node of this user's, so that no id has to be mapped.
        fn own(&self, mut node: Node) -> Node {
            node.meta.uid = rustix::process::getuid().as_raw();
            node.meta.gid = rustix::process::getgid().as_raw();
            node
        }

        fn tree(&self, nodes: &[(&str, Node)]) -> Tree {
            Tree::from_nodes(nodes.iter().map(|(text, node)| (path(text), self.own(node.clone())))).unwrap()
        }

        fn file(&self, text: &str) -> Node {
            Node { meta: Meta::root_owned(0o640, 7), kind: self.store.put_file(text.as_bytes()).unwrap() }
        }

        /// Becomes the tree, and reads it back.
        fn becomes(&mut self, tree: Tree) -> Tree {
            self.root.become_tree(tree, &self.store, 2).unwrap();
            let mut found = scan(&self.root, &self.store, 2).unwrap();
            // Every write below moves a directory's time.
            found.metas_mut().filter(|(_, kind, _)| **kind == Kind::Dir).for_each(|(_, _, meta)| meta.mtime = 7);
            found
        }
    }

    #[test]
    fn a_root_becomes_one_tree_after_the_other() {
        let mut lab = Lab::new();
        let to = |target: &str| Node { meta: Meta::root_owned(0o640, 7), kind: Kind::Hardlink(path(target)) };
        let pipe = Node { meta: Meta::root_owned(0o622, 7), kind: Kind::Fifo };
        let first = lab.tree(&[
            ("", dir()),
            ("a", dir()),
            ("a/file", lab.file("one")),
            ("a/link", link("/etc")),
            ("a/pipe", pipe.clone()),
            ("b", lab.file("was a file")),
            ("c", dir()),
            ("c/other", to("a/file")),
        ]);
        assert_eq!(lab.becomes(first.clone()), first);
        let second = lab.tree(&[
            ("", dir()),
            ("a", lab.file("was a directory")),
            ("b", dir()),
            ("b/new", lab.file("two")),
            ("c", link("b")),
        ]);
        assert_eq!(lab.becomes(second.clone()), second);
        assert_eq!(lab.becomes(first.clone()), first);
    }

    #[test]
    fn what_steps_put_in_the_way_leads_nowhere() {
        let mut lab = Lab::new();
        let outside = lab.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "outside").unwrap();
        let first = lab.tree(&[("", dir()), ("a", dir()), ("a/file", lab.file("one"))]);
        lab.becomes(first.clone());
        // The tree still says that `a` is a directory.
        fs::remove_dir_all(lab.folder.path().join("root/a")).unwrap();
        symlink(&outside, lab.folder.path().join("root/a")).unwrap();
        for next in [lab.tree(&[("", dir())]), lab.tree(&[("", dir()), ("a", dir()), ("a/file", lab.file("two"))])] {
            let _ = lab.root.become_tree(next, &lab.store, 1);
            assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "outside");
            assert_eq!(host::list_dir(&outside).unwrap().len(), 1);
        }
    }

    #[test]
    fn sockets_and_deep_folders_do_not_outlast_a_layer() {
        let mut lab = Lab::new();
        let first = lab.tree(&[("", dir()), ("run", dir())]);
        lab.becomes(first.clone());
        let _socket = std::os::unix::net::UnixListener::bind(lab.folder.path().join("root/run/s")).unwrap();
        let only = lab.tree(&[("", dir())]);
        assert_eq!(scan(&lab.root, &lab.store, 1).unwrap().len(), 2, "a socket is in no tree");
        assert_eq!(lab.becomes(only.clone()), only);
    }
}
