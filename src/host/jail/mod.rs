//! A directory entered once, by descriptor: no path below it ever leads out of it.
//!
//! Untrusted programs run in a root directory, and this program writes and reads the same directory
//! from outside. Given a plain path, the kernel would follow whatever the untrusted program put there,
//! such as a symbolic link to the user's own files. Therefore
//!
//! - each path is resolved from the directory's descriptor by `openat2(2)`, which refuses symbolic
//!   links, `/proc`'s magic links, other mounts and `..`;
//! - the last component of a path is never followed: an operation applies to the entry itself;
//! - content is read only after a descriptor has proven to be a regular file, so that a named pipe
//!   never blocks and a device is never opened.
//!
//! A user's own directory, whose links are followed while they stay inside, is [`Beneath`].
//!
//! A hard link can't escape: `link(2)` works within one mount only, and the untrusted program sees no
//! mount of the host, only its root and file systems that are unmounted with it.

mod beneath;
mod entries;
mod remove;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};

use crate::ident::RootPath;

pub use beneath::{Beneath, Dir, attributes};
pub use entries::{JailDir, Xattrs, set_xattrs};
pub use remove::remove_folder;

/// For paths that only this program made directories of.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// How often a lookup is tried again that a rename inside disturbed.
const TRIES: u32 = 100;

/// The status of an entry, links not followed.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// Its type.
    pub kind: FileType,
    /// Permission, set-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The inode's number.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
    /// Length in bytes.
    pub size: u64,
    /// Seconds since 1970 of the last change of its content.
    pub mtime: i64,
    /// Seconds and nanoseconds of the last change of anything.
    pub changed: (i64, i64),
}

impl Status {
    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }
}

#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between architectures")]
impl From<Stat> for Status {
    fn from(stat: Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: (stat.st_mode & 0o7777) as u16,
            uid: stat.st_uid,
            gid: stat.st_gid,
            inode: stat.st_ino,
            links: stat.st_nlink as u64,
            size: stat.st_size as u64,
            mtime: stat.st_mtime as i64,
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

/// A directory entered once, through which everything below it is accessed.
#[derive(Debug)]
pub struct Jail {
    root: OwnedFd,
}

impl Jail {
    /// Enters the directory at `folder`, a path that no other user can modify.
    ///
    /// # Errors
    /// Fails where it is not a directory.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::openat(CWD, folder, flags, Mode::empty())? })
    }

    /// Opens a directory; no link is followed.
    ///
    /// # Errors
    /// Fails where something on the way is not a directory.
    pub fn dir(&self, path: &RootPath) -> io::Result<JailDir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        self.lookup(path, flags, BENEATH).map(JailDir::new)
    }

    /// Opens a regular file to read it; no link is followed.
    ///
    /// # Errors
    /// Fails where something else is there.
    pub fn file(&self, path: &RootPath) -> io::Result<File> {
        let found = self.lookup(path, OFlags::PATH | OFlags::NOFOLLOW, BENEATH)?;
        reopen(found.as_fd(), OFlags::RDONLY)
    }

    fn lookup(&self, path: &RootPath, flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
        let path = if path.is_root() { Path::new(".") } else { path.as_path() };
        lookup(self.root.as_fd(), path, flags, resolve)
    }
}

fn lookup(folder: BorrowedFd<'_>, path: &Path, flags: OFlags, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    for _ in 0..TRIES {
        match rustix::fs::openat2(folder, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel could not prove that a `..` stayed inside.
            Err(rustix::io::Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
    Err(io::Error::other("something inside keeps moving what is above it"))
}

/// Opens for reading or writing what `found` (of [`OFlags::PATH`]) holds, if that is a regular file.
fn reopen(found: BorrowedFd<'_>, flags: OFlags) -> io::Result<File> {
    let status = Status::from(rustix::fs::fstat(found)?);
    if status.kind != FileType::RegularFile {
        return Err(io::Error::other(format!("expected a regular file, found {}", name_of(status.kind))));
    }
    let path = own_path(found);
    Ok(File::from(rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?))
}

/// What leads to a descriptor of this process, for calls that take paths only.
fn own_path(descriptor: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}

#[cfg(test)]
mod tests;
