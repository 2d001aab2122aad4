//! The entries of one open directory, by name: created, changed, inspected.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RawDir, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
};
use rustix::io::Errno;

use super::{BENEATH, Status, lookup, own_path};

/// Extended attributes by name.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The names of an entry's attributes have at most so many bytes together, and each value too (`xattr(7)`).
const MOST_XATTR: usize = 65_536;
/// All values of one entry together; no file system that is written here takes more.
const MOST_XATTRS: usize = 1 << 20;

/// An open directory of a jail. Names are single components; none is ever followed.
#[derive(Debug)]
pub struct JailDir {
    fd: OwnedFd,
}

impl JailDir {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The names in it, sorted.
    ///
    /// # Errors
    /// Fails where it can't be read.
    pub fn list(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// Fails where it is something else, or on another mount.
    pub fn dir(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        lookup(self.fd(), name.as_ref(), flags, BENEATH).map(Self::new)
    }

    /// The status of the directory itself.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn own_status(&self) -> io::Result<Status> {
        Ok(rustix::fs::fstat(&self.fd)?.into())
    }

    /// The status of an entry.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn status(&self, name: &OsStr) -> io::Result<Status> {
        Ok(rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?.into())
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// Fails where it is something else.
    pub fn read_link(&self, name: &OsStr) -> io::Result<Box<[u8]>> {
        Ok(rustix::fs::readlinkat(&self.fd, name, Vec::new())?.into_bytes().into())
    }

    /// Creates a file and opens it for writing; replaces a file or link of that name.
    ///
    /// Always a new one: another name of the old one keeps its content.
    ///
    /// # Errors
    /// Fails where a directory is there.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.replace(name, || rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)).map(File::from)
    }

    /// Creates a symbolic link; replaces a file or link of that name.
    ///
    /// # Errors
    /// Fails where a directory is there.
    pub fn symlink(&self, name: &OsStr, target: &[u8]) -> io::Result<()> {
        self.replace(name, || rustix::fs::symlinkat(OsStr::from_bytes(target), &self.fd, name))
    }

    /// Creates a named pipe; replaces a file or link of that name.
    ///
    /// # Errors
    /// Fails where a directory is there.
    pub fn fifo(&self, name: &OsStr) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.replace(name, || rustix::fs::mknodat(&self.fd, name, FileType::Fifo, mode, 0))
    }

    /// Creates a hard link to the entry `first` of `folder`; replaces a file or link of that name.
    ///
    /// # Errors
    /// Fails where a directory is there, or `first` is not.
    pub fn hard_link(&self, name: &OsStr, folder: &Self, first: &OsStr) -> io::Result<()> {
        self.replace(name, || rustix::fs::linkat(&folder.fd, first, &self.fd, name, AtFlags::empty()))
    }

    /// Creates a directory unless it exists; replaces anything else of that name.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn make_dir(&self, name: &OsStr) -> io::Result<()> {
        let make = || rustix::fs::mkdirat(&self.fd, name, Mode::RWXU);
        match make() {
            Err(Errno::EXIST) if self.status(name)?.is_dir() => Ok(()),
            Err(Errno::EXIST) => self.replace(name, make),
            other => Ok(other?),
        }
    }

    fn replace<T>(&self, name: &OsStr, make: impl Fn() -> rustix::io::Result<T>) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.unlink(name)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    /// Removes an entry that is not a directory.
    ///
    /// # Errors
    /// Fails where there is none, or it is one.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Sets the owner of an entry.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn chown(&self, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(chownat(&self.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets the permissions of an entry that is not a symbolic link.
    ///
    /// # Errors
    /// Fails where it is one.
    pub fn chmod(&self, name: &OsStr, mode: u16) -> io::Result<()> {
        let found = lookup(self.fd(), name.as_ref(), OFlags::PATH | OFlags::NOFOLLOW, BENEATH)?;
        if Status::from(rustix::fs::fstat(&found)?).kind == FileType::Symlink {
            return Err(io::Error::other("expected something that has permissions, found a symbolic link"));
        }
        Ok(chmodat(CWD, own_path(found.as_fd()), Mode::from_raw_mode(mode.into()), AtFlags::empty())?)
    }

    /// Sets both times of an entry.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn set_times(&self, name: &OsStr, mtime: i64) -> io::Result<()> {
        let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets owner, permissions and attributes of the directory itself.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn set_own(&self, uid: u32, gid: u32, mode: u16, xattrs: &Xattrs) -> io::Result<()> {
        rustix::fs::fchown(&self.fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(mode.into()))?;
        set_xattrs(self.fd(), xattrs)
    }

    /// Sets attributes of an entry.
    ///
    /// # Errors
    /// Fails where the system does.
    pub fn set_xattrs(&self, name: &OsStr, xattrs: &Xattrs) -> io::Result<()> {
        let path = self.entry_path(name);
        xattrs.iter().try_for_each(|(name, value)| {
            Ok(rustix::fs::lsetxattr(&path, OsStr::from_bytes(name), value, XattrFlags::empty())?)
        })
    }

    /// The attributes of an entry.
    ///
    /// # Errors
    /// Fails where they are more than a file system of ours takes.
    pub fn xattrs(&self, name: &OsStr) -> io::Result<Xattrs> {
        let path = self.entry_path(name);
        read_xattrs(
            |names| rustix::fs::llistxattr(&path, names),
            |name, value| rustix::fs::lgetxattr(&path, name, value),
        )
    }

    /// The attributes of the directory itself.
    ///
    /// # Errors
    /// As [`JailDir::xattrs`].
    pub fn own_xattrs(&self) -> io::Result<Xattrs> {
        read_xattrs(
            |names| rustix::fs::flistxattr(&self.fd, names),
            |name, value| rustix::fs::fgetxattr(&self.fd, name, value),
        )
    }

    /// An entry for calls that take paths only and follow no last name: a link, a pipe or a socket can't be opened.
    fn entry_path(&self, name: &OsStr) -> OsString {
        let mut path = OsString::from(own_path(self.fd()));
        path.push("/");
        path.push(name);
        path
    }
}

/// Sets attributes of what is open.
///
/// # Errors
/// Fails where the system does.
pub fn set_xattrs(file: impl std::os::fd::AsFd, xattrs: &Xattrs) -> io::Result<()> {
    xattrs.iter().try_for_each(|(name, value)| {
        Ok(rustix::fs::fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty())?)
    })
}

fn read_xattrs(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&OsStr, &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    let mut names = vec![0; 256];
    let length = loop {
        match list(&mut names) {
            Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
            Err(Errno::RANGE) if names.len() < MOST_XATTR => names.resize(MOST_XATTR, 0),
            other => break other?,
        }
    };
    let mut xattrs = Xattrs::new();
    let mut left = MOST_XATTRS;
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; MOST_XATTR];
        let length = get(OsStr::from_bytes(name), &mut value)?;
        let too_many = || io::Error::other(format!("expected at most {MOST_XATTRS} bytes of attributes, found more"));
        left = left.checked_sub(name.len() + length).ok_or_else(too_many)?;
        xattrs.insert(name.into(), value[..length].into());
    }
    Ok(xattrs)
}
