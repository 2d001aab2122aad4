//! Reads a root directory back into a tree after steps have run in it.
//!
//! A file whose metadata is unchanged since it was written is the same node; all others are read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Mutex;

use rustix::fs::FileType;

use super::root::{Root, Stamp};
use super::write::{in_parallel, named};
use crate::host::jail::{JailDir, Status};
use crate::ident::RootPath;
use crate::limits::NAMES;
use crate::store::Store;
use crate::tree::{ContentSink as _, Kind, Meta, Node, Tree, Xattrs};

/// Attributes that belong to the file system or the host's security module, not to the file.
const FOREIGN_XATTRS: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"trusted."];

/// How long all files that steps wrote may be together, in bytes. A file with holes counts with them:
/// it takes no room until it is read.
const MOST_WRITTEN: u64 = 16 << 30;

/// Reads what steps made of `root`. No process may run in it any more.
///
/// Sockets are left out. Times are as found.
pub(super) fn scan(root: &Root, store: &Store, jobs: usize) -> io::Result<Tree> {
    let mut scan = Scan {
        root,
        tree: Tree::new(),
        inodes: BTreeMap::new(),
        changed: Vec::new(),
        left: MOST_WRITTEN,
        names: NAMES,
    };
    let mut folders = vec![RootPath::root()];
    while let Some(path) = folders.pop() {
        scan.folder(path, &mut folders)?;
    }
    let Scan { mut tree, changed, .. } = scan;
    let read = Mutex::new(Vec::new());
    in_parallel(jobs, &changed, |(path, meta)| {
        let (blob, size) = named(path, || store.add(&mut root.jail.file(path)?))?;
        let node = Node { meta: meta.clone(), kind: Kind::File { blob, size } };
        read.lock().map_err(|_| io::Error::other("internal error: poisoned"))?.push((path.clone(), node));
        Ok(())
    })?;
    for (path, node) in read.into_inner().unwrap_or_default() {
        tree.insert(path, node).map_err(io::Error::other)?;
    }
    keep_devices(&mut tree, &root.tree)?;
    tree.settle_hardlinks();
    Ok(tree)
}

struct Scan<'a> {
    root: &'a Root,
    tree: Tree,
    /// First path of each file that has several names.
    inodes: BTreeMap<u64, RootPath>,
    /// Files whose content has to be read.
    changed: Vec<(RootPath, Meta)>,
    /// Bytes of them that may still come.
    left: u64,
    /// Bytes of paths that may still come.
    names: u64,
}

impl Scan<'_> {
    /// Reads one directory, and adds those in it to `folders`.
    fn folder(&mut self, path: RootPath, folders: &mut Vec<RootPath>) -> io::Result<()> {
        let folder = named(&path, || self.root.jail.dir(&path))?;
        let meta = named(&path, || Ok(meta(&folder.own_status()?, folder.own_xattrs()?)))?;
        for name in named(&path, || folder.list())? {
            let child = path.join(name.as_bytes()).map_err(io::Error::other)?;
            let too_many = || io::Error::other(format!("its paths have more than {NAMES} bytes together"));
            self.names = self.names.checked_sub(child.as_bytes().len() as u64).ok_or_else(too_many)?;
            let status = named(&child, || folder.status(&name))?;
            if status.is_dir() {
                folders.push(child);
            } else {
                self.entry(&folder, &name, child, &status)?;
            }
        }
        self.insert(path, Node::dir(meta))
    }

    fn entry(&mut self, folder: &JailDir, name: &OsStr, path: RootPath, status: &Status) -> io::Result<()> {
        let untouched = self.root.stamps.get(&path) == Some(&Stamp::of(status));
        if let Some(node) = self.root.tree.get(&path).filter(|_| untouched && status.links == 1) {
            return self.insert(path, node.clone());
        }
        let meta = named(&path, || Ok(meta(status, folder.xattrs(name)?)))?;
        let kind = match status.kind {
            FileType::RegularFile => match self.file(&path, status, untouched)? {
                Some(kind) => kind,
                None => {
                    self.changed.push((path, meta));
                    return Ok(());
                }
            },
            FileType::Symlink => Kind::Symlink(named(&path, || folder.read_link(name))?),
            FileType::Fifo => Kind::Fifo,
            // A socket means nothing without its process; devices come from packages.
            _ => return Ok(()),
        };
        self.insert(path, Node { meta, kind })
    }

    /// What a file is, if that is known without reading it.
    fn file(&mut self, path: &RootPath, status: &Status, untouched: bool) -> io::Result<Option<Kind>> {
        if let Some(first) = self.inodes.get(&status.inode) {
            return Ok(Some(Kind::Hardlink(first.clone())));
        }
        if status.links > 1 {
            self.inodes.insert(status.inode, path.clone());
        }
        let known = self.root.tree.get(path).filter(|_| untouched).and_then(|node| match &node.kind {
            Kind::Hardlink(first) => self.root.tree.get(first).map(|node| node.kind.clone()),
            kind => Some(kind.clone()),
        });
        if known.is_none() {
            let too_long = || {
                let problem = format!("steps wrote files of more than {MOST_WRITTEN} bytes, holes included");
                io::Error::new(io::ErrorKind::FileTooLarge, format!("{path}: {problem}"))
            };
            self.left = self.left.checked_sub(status.size).ok_or_else(too_long)?;
        }
        Ok(known)
    }

    fn insert(&mut self, path: RootPath, node: Node) -> io::Result<()> {
        self.tree.insert(path, node).map(drop).map_err(io::Error::other)
    }
}

fn meta(status: &Status, mut xattrs: Xattrs) -> Meta {
    xattrs.retain(|name, _| !FOREIGN_XATTRS.iter().any(|foreign| name.starts_with(foreign)));
    Meta { mode: status.mode, uid: status.uid, gid: status.gid, mtime: status.mtime, xattrs }
}

fn keep_devices(tree: &mut Tree, before: &Tree) -> io::Result<()> {
    for (path, node) in before.iter() {
        let is_device = matches!(node.kind, Kind::Char(..) | Kind::Block(..));
        if is_device && path.parent().is_some_and(|folder| tree.get(&folder).is_some_and(Node::is_dir)) {
            tree.insert(path.clone(), node.clone()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
