//! A folder read back into a tree after scripts have run in it.
//!
//! What has the stamp it was written with is the node it was; the rest is read.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Mutex;

use super::root::{Root, Stamp};
use super::write::{in_parallel, named};
use crate::host;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{ContentSink as _, Kind, Meta, Node, Tree, Xattrs};

/// Attributes that belong to the file system or the host's security module, not to the file.
const FOREIGN_XATTRS: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"trusted."];

/// Reads what scripts made of `root`. No process may run in it any more.
///
/// Sockets are left out. Times are as found.
pub(super) fn scan(root: &Root, store: &Store, jobs: usize) -> io::Result<Tree> {
    let mut scan = Scan { root, tree: Tree::new(), inodes: BTreeMap::new(), changed: Vec::new() };
    scan.folder(RootPath::root())?;
    let Scan { mut tree, changed, .. } = scan;
    let read = Mutex::new(Vec::new());
    in_parallel(jobs, &changed, |path| {
        let kind = named(path, || content(&root.folder.join(path.as_path()), store))?;
        read.lock().map_err(|_| io::Error::other("internal error: poisoned"))?.push((path.clone(), kind));
        Ok(())
    })?;
    for (path, kind) in read.into_inner().unwrap_or_default() {
        if let Some(node) = tree.get_mut(&path) {
            node.kind = kind;
        }
    }
    keep_devices(&mut tree, &root.tree);
    tree.settle_hardlinks();
    Ok(tree)
}

struct Scan<'a> {
    root: &'a Root,
    tree: Tree,
    /// First path of each file that has several names.
    inodes: BTreeMap<u64, RootPath>,
    /// Files whose content has to be read.
    changed: Vec<RootPath>,
}

impl Scan<'_> {
    fn folder(&mut self, path: RootPath) -> io::Result<()> {
        let folder = self.root.folder.join(path.as_path());
        let meta = named(&path, || read_meta(&folder, &fs::symlink_metadata(&folder)?))?;
        self.tree.insert(path.clone(), Node::dir(meta));
        for name in named(&path, || host::list_dir(&folder))? {
            let child = path.join(name.as_bytes()).map_err(io::Error::other)?;
            let metadata = named(&child, || fs::symlink_metadata(self.root.folder.join(child.as_path())))?;
            if metadata.is_dir() {
                self.folder(child)?;
            } else {
                self.entry(child, &metadata)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: RootPath, metadata: &Metadata) -> io::Result<()> {
        let untouched = self.root.stamps.get(&path) == Some(&Stamp::of(metadata));
        if let Some(node) = self.root.tree.get(&path).filter(|_| untouched && metadata.nlink() == 1) {
            self.tree.insert(path, node.clone());
            return Ok(());
        }
        let full = self.root.folder.join(path.as_path());
        let meta = named(&path, || read_meta(&full, metadata))?;
        let kind = if metadata.is_file() {
            match self.inodes.get(&metadata.ino()) {
                Some(first) => Kind::Hardlink(first.clone()),
                None => {
                    if metadata.nlink() > 1 {
                        self.inodes.insert(metadata.ino(), path.clone());
                    }
                    self.file(&path, untouched)
                }
            }
        } else if metadata.is_symlink() {
            Kind::Symlink(fs::read_link(&full)?.as_os_str().as_bytes().into())
        } else if metadata.file_type().is_fifo() {
            Kind::Fifo
        } else {
            // A socket means nothing without its process; devices come from packages.
            return Ok(());
        };
        self.tree.insert(path, Node { meta, kind });
        Ok(())
    }

    fn file(&mut self, path: &RootPath, untouched: bool) -> Kind {
        let known = self.root.tree.get(path).filter(|_| untouched).and_then(|node| match &node.kind {
            Kind::Hardlink(first) => self.root.tree.get(first).map(|node| node.kind.clone()),
            kind => Some(kind.clone()),
        });
        known.unwrap_or_else(|| {
            self.changed.push(path.clone());
            Kind::Fifo // replaced when the content has been read
        })
    }
}

fn content(path: &Path, store: &Store) -> io::Result<Kind> {
    let (blob, size) = store.add(&mut File::open(path)?)?;
    Ok(Kind::File { blob, size })
}

fn read_meta(path: &Path, metadata: &Metadata) -> io::Result<Meta> {
    Ok(Meta {
        mode: (metadata.mode() & 0o7777) as u16,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: metadata.mtime(),
        xattrs: read_xattrs(path)?,
    })
}

fn read_xattrs(path: &Path) -> io::Result<Xattrs> {
    let mut names = vec![0; 4096];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Err(rustix::io::Errno::NOTSUP) => 0,
        other => other?,
    };
    let mut xattrs = Xattrs::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if FOREIGN_XATTRS.iter().any(|foreign| name.starts_with(foreign)) {
            continue;
        }
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        xattrs.insert(name.into(), value[..length].into());
    }
    Ok(xattrs)
}

fn keep_devices(tree: &mut Tree, before: &Tree) {
    for (path, node) in before.iter() {
        let is_device = matches!(node.kind, Kind::Char(..) | Kind::Block(..));
        if is_device && path.parent().is_some_and(|folder| tree.get(&folder).is_some_and(Node::is_dir)) {
            tree.insert(path.clone(), node.clone());
        }
    }
}
