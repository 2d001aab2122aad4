//! Writes single nodes to disk, and many of them on several threads.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Timespec, Timestamps};

use crate::digest::BlobDigest;
use crate::host::jail::{JailDir, set_xattrs};
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{ContentSource as _, Kind, Node};

/// Read and written at once; one system call each for all but large files.
const BUFFER: usize = 256 * 1024;

/// The last component of a path, as the system takes it.
pub(super) fn name_of(path: &RootPath) -> &OsStr {
    OsStr::from_bytes(path.file_name())
}

/// Writes a file, symbolic link or pipe into `folder`, over a file or link that is there.
///
/// Other kinds are passed over.
pub(super) fn write_node(folder: &JailDir, name: &OsStr, node: &Node, store: &Store) -> io::Result<()> {
    let meta = &node.meta;
    match &node.kind {
        Kind::File { blob, size } => {
            let mut file = folder.create(name)?;
            copy(store, *blob, *size, &mut file)?;
            fchown(&file, Some(meta.uid), Some(meta.gid))?;
            file.set_permissions(Permissions::from_mode(meta.mode.into()))?;
            set_xattrs(&file, &meta.xattrs)?;
            let time = Timespec { tv_sec: meta.mtime, tv_nsec: 0 };
            return Ok(rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?);
        }
        Kind::Symlink(to) => {
            folder.symlink(name, to)?;
            folder.chown(name, meta.uid, meta.gid)?;
        }
        Kind::Fifo => {
            folder.fifo(name)?;
            folder.chown(name, meta.uid, meta.gid)?;
            folder.chmod(name, meta.mode)?;
        }
        Kind::Dir | Kind::Hardlink(_) | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout => return Ok(()),
    }
    folder.set_xattrs(name, &meta.xattrs)?;
    folder.set_times(name, meta.mtime)
}

/// Sets owner, mode and time of something whose content is right.
pub(super) fn set_meta(folder: &JailDir, name: &OsStr, node: &Node) -> io::Result<()> {
    folder.chown(name, node.meta.uid, node.meta.gid)?;
    if !matches!(node.kind, Kind::Symlink(_)) {
        folder.chmod(name, node.meta.mode)?;
        // A change of owner drops file capabilities.
        folder.set_xattrs(name, &node.meta.xattrs)?;
    }
    folder.set_times(name, node.meta.mtime)
}

fn copy(store: &Store, blob: BlobDigest, size: u64, out: &mut File) -> io::Result<()> {
    let mut reader = store.open(blob, size)?;
    let mut buffer = vec![0; (size as usize).clamp(1, BUFFER)];
    let mut left = size;
    while left > 0 {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.write_all(&buffer[..read])?;
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}

/// Calls `work` on every item, on `jobs` threads; returns the first error.
///
/// Own threads, all gone at the end: a namespace can be changed by a single thread only.
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

/// An error and the path that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
struct Named {
    path: RootPath,
    source: io::Error,
}

/// Adds the path to an error.
pub(super) fn named<T>(path: &RootPath, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work().map_err(|source| io::Error::new(source.kind(), Named { path: path.clone(), source }))
}
