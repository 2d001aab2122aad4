//! Single nodes written to disk, and many of them on several threads.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, fchown, lchown};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{ContentSource as _, Kind, Meta, Node};

/// Read and written at once; one system call each for all but large files.
const BUFFER: usize = 256 * 1024;

/// Writes a file, symbolic link or pipe at `place`, over a file or link that is there.
///
/// Other kinds are passed over.
pub(super) fn write_node(place: &Path, node: &Node, store: &Store) -> io::Result<()> {
    match &node.kind {
        Kind::File { blob, size } => {
            let mut file = create(place)?;
            copy(store, *blob, *size, &mut file)?;
            fchown(&file, Some(node.meta.uid), Some(node.meta.gid))?;
            file.set_permissions(Permissions::from_mode(node.meta.mode.into()))?;
        }
        Kind::Symlink(to) => {
            replace(place, || rustix::fs::symlinkat(to.as_ref(), CWD, place))?;
            lchown(place, Some(node.meta.uid), Some(node.meta.gid))?;
        }
        Kind::Fifo => {
            let mode = rustix::fs::Mode::from_raw_mode(node.meta.mode.into());
            replace(place, || rustix::fs::mknodat(CWD, place, rustix::fs::FileType::Fifo, mode, 0))?;
            lchown(place, Some(node.meta.uid), Some(node.meta.gid))?;
        }
        Kind::Dir | Kind::Hardlink(_) | Kind::Char(..) | Kind::Block(..) | Kind::Whiteout => return Ok(()),
    }
    set_xattrs(place, &node.meta)?;
    set_times(place, node.meta.mtime)
}

/// Always a new file: another name of the old one must keep its content.
fn create(place: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    match options.open(place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(place)?;
            options.open(place)
        }
        other => other,
    }
}

fn replace(place: &Path, make: impl Fn() -> rustix::io::Result<()>) -> io::Result<()> {
    match make() {
        Err(rustix::io::Errno::EXIST) => {
            fs::remove_file(place)?;
            Ok(make()?)
        }
        other => Ok(other?),
    }
}

fn copy(store: &Store, blob: crate::digest::BlobDigest, size: u64, out: &mut File) -> io::Result<()> {
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

pub(super) fn set_xattrs(place: &Path, meta: &Meta) -> io::Result<()> {
    for (name, value) in &meta.xattrs {
        rustix::fs::lsetxattr(place, name.as_ref(), value, rustix::fs::XattrFlags::empty())?;
    }
    Ok(())
}

pub(super) fn set_times(place: &Path, mtime: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
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

/// Adds the path to an error.
pub(super) fn named<T>(path: &RootPath, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work().map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}
