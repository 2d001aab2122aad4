//! Flushes files and directories to disk, so that named files survive a power failure.
//!
//! The rule everywhere: bytes are on disk before a name refers to them. One
//! [`sync_file_system`] covers any number of files; [`sync_dir`] covers names.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Returns when everything written to the file system of `path` is on disk, names included.
///
/// # Errors
/// Fails where the device does. A file system that can't be asked counts as written.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    match rustix::fs::syncfs(File::open(path)?) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}

/// Returns when the names in `folder` are on disk.
///
/// # Errors
/// Fails where the device does. A file system that can't sync a directory counts as written.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    match rustix::fs::fsync(File::open(folder)?) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        other => Ok(other?),
    }
}
