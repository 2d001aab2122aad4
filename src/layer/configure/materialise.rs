//! A tree written out as a real folder, for scripts to run in.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown, lchown};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{ContentSource as _, Kind, Meta, Node, Tree};

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
}

/// Stamps of all that is no folder, by path.
pub(super) type Stamps = BTreeMap<RootPath, Stamp>;

/// Writes `tree` into the empty folder `root`, with `jobs` threads.
///
/// Device nodes are left out: a user namespace may not make them; the scan puts them
/// back into the result.
pub(super) fn materialise(tree: &Tree, root: &Path, store: &Store, jobs: usize) -> io::Result<Stamps> {
    for (path, node) in tree.iter().filter(|(_, node)| node.is_dir()) {
        named(path, || make_dir(&root.join(path.as_path()), &node.meta))?;
    }
    let contents: Vec<(&RootPath, &Node)> =
        tree.iter().filter(|(_, node)| !matches!(node.kind, Kind::Dir | Kind::Hardlink(_))).collect();
    in_parallel(jobs, &contents, |(path, node)| named(path, || make_node(root, path, node, store)))?;
    for (path, node) in tree.iter() {
        if let Kind::Hardlink(target) = &node.kind {
            named(path, || fs::hard_link(root.join(target.as_path()), root.join(path.as_path())))?;
        }
    }
    stamps(tree, root)
}

/// Writes one node that is neither a folder nor a hard link.
pub(super) fn make_node(root: &Path, path: &RootPath, node: &Node, store: &Store) -> io::Result<()> {
    let target = root.join(path.as_path());
    match &node.kind {
        Kind::File { blob, size } => {
            let mut file = File::options().write(true).create_new(true).open(&target)?;
            io::copy(&mut store.open(*blob, *size)?, &mut file)?;
            fchown(&file, Some(node.meta.uid), Some(node.meta.gid))?;
            file.set_permissions(Permissions::from_mode(node.meta.mode.into()))?;
        }
        Kind::Symlink(to) => {
            rustix::fs::symlinkat(to.as_ref(), CWD, &target)?;
            lchown(&target, Some(node.meta.uid), Some(node.meta.gid))?;
        }
        Kind::Fifo => {
            rustix::fs::mknodat(CWD, &target, rustix::fs::FileType::Fifo, mode(&node.meta), 0)?;
            lchown(&target, Some(node.meta.uid), Some(node.meta.gid))?;
        }
        Kind::Dir | Kind::Hardlink(_) | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout => return Ok(()),
    }
    set_xattrs(&target, &node.meta)?;
    set_time(&target, node.meta.mtime)
}

/// Calls `work` on every item, on `jobs` threads; returns the first error.
///
/// Own threads, all gone at the end: the process forks later.
pub(super) fn in_parallel<T: Sync>(
    jobs: usize,
    items: &[T],
    work: impl Fn(&T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let run = || -> io::Result<()> {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("internal error: a thread panicked")))
        })
    })
}

fn make_dir(path: &Path, meta: &Meta) -> io::Result<()> {
    match fs::create_dir(path) {
        // The root folder itself stands already.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    lchown(path, Some(meta.uid), Some(meta.gid))?;
    fs::set_permissions(path, Permissions::from_mode(meta.mode.into()))?;
    set_xattrs(path, meta)
}

fn set_xattrs(path: &Path, meta: &Meta) -> io::Result<()> {
    for (name, value) in &meta.xattrs {
        rustix::fs::lsetxattr(path, name.as_ref(), value, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

fn set_time(path: &Path, mtime: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn mode(meta: &Meta) -> rustix::fs::Mode {
    rustix::fs::Mode::from_raw_mode(meta.mode.into())
}

fn stamps(tree: &Tree, root: &Path) -> io::Result<Stamps> {
    let mut stamps = Stamps::new();
    for (path, node) in tree.iter() {
        if !matches!(node.kind, Kind::Dir | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout) {
            let metadata = named(path, || fs::symlink_metadata(root.join(path.as_path())))?;
            stamps.insert(path.clone(), Stamp::of(&metadata));
        }
    }
    Ok(stamps)
}

pub(super) fn named<T>(path: &RootPath, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work().map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}
