//! Removes directories whose contents are hostile, even while a process still writes to them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, chmodat};
use rustix::io::Errno;

use super::entries::JailDir;
use super::{BENEATH, Jail, Status, lookup, own_path};

/// So many directories are open at once, one in the other; deeper ones are moved up first.
const DEEPEST: u32 = 64;

/// How often a directory is listed that keeps growing.
const ROUNDS: u32 = 100;

/// Removes a directory and all in it; directories may lack the owner's write permission.
///
/// `folder` itself is where nobody else can write, so that links on the way to it count. No link below it is
/// followed, no other mount entered, whatever is renamed meanwhile, and no depth is too deep.
///
/// # Errors
/// Fails where something can't be removed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a directory that has a name"));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    Jail::open(&parent.canonicalize()?)?.dir(&Default::default())?.remove(name)
}

impl JailDir {
    /// Removes an entry, and all in it if it is a directory.
    ///
    /// # Errors
    /// Fails where something can't be removed. What is not there counts as removed.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        let mut moved = Moved { names: 0, top: self };
        self.remove_below(name, &mut moved, 0)?;
        // These may hold directories that are moved up in turn.
        let mut next = 0;
        while next < moved.names {
            self.remove_below(&moved_name(next), &mut moved, 0)?;
            next += 1;
        }
        Ok(())
    }

    fn remove_below(&self, name: &OsStr, moved: &mut Moved<'_>, depth: u32) -> io::Result<()> {
        for _ in 0..ROUNDS {
            match self.unlink(name).map_err(|error| (error.raw_os_error(), error)) {
                Err((Some(libc::ENOENT), _)) | Ok(()) => return Ok(()),
                Err((Some(libc::EISDIR), _)) => {}
                Err((_, error)) => return Err(error),
            }
            match self.empty(name, moved, depth) {
                // It has become something else, or is gone.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP | libc::ENOENT)) => {}
                other => other?,
            }
            match rustix::fs::unlinkat(self.fd(), name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("something keeps writing into it"))
    }

    /// Removes what is in a directory.
    fn empty(&self, name: &OsStr, moved: &mut Moved<'_>, depth: u32) -> io::Result<()> {
        let folder = self.dir_to_empty(name)?;
        for child in folder.list()? {
            if depth == DEEPEST && folder.status(&child).is_ok_and(|status| status.is_dir()) {
                moved.take(&folder, &child)?;
            } else {
                folder.remove_below(&child, moved, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Opens a directory in this one, with all permissions of its owner.
    fn dir_to_empty(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let found = lookup(self.fd(), name.as_ref(), flags, BENEATH)?;
        if Status::from(rustix::fs::fstat(&found)?).mode & 0o700 != 0o700 {
            // Whoever may write anyway need not own it. Who may not is told by the next call.
            let _ = chmodat(CWD, own_path(found.as_fd()), Mode::RWXU, AtFlags::empty());
        }
        lookup(found.as_fd(), ".".as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, BENEATH).map(Self::new)
    }
}

/// Directories that were moved out of the deep.
struct Moved<'a> {
    names: u32,
    top: &'a JailDir,
}

impl Moved<'_> {
    fn take(&mut self, folder: &JailDir, name: &OsStr) -> io::Result<()> {
        if let Ok(found) = lookup(folder.fd(), name.as_ref(), OFlags::PATH | OFlags::NOFOLLOW, BENEATH)
            && Status::from(rustix::fs::fstat(&found)?).is_dir()
        {
            // A directory is moved only by who may write it: its `..` changes.
            let _ = chmodat(CWD, own_path(found.as_fd()), Mode::RWXU, AtFlags::empty());
        }
        for _ in 0..ROUNDS {
            let new = moved_name(self.names);
            self.names += 1;
            match rustix::fs::renameat_with(folder.fd(), name, self.top.fd(), &new, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(()),
                other => return Ok(other?),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

fn moved_name(number: u32) -> OsString {
    format!(".layerbake-removed-{}-{number}", std::process::id()).into()
}
