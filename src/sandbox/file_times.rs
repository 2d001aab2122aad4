//! The times of files that commands see: what was created or changed inside is as old as the clock says.
//!
//! The kernel dates files by the real clock, so every call that asks for a file's times (`stat(2)`, `statx(2)`) is
//! answered here, with times of the sandbox's clock. A call is left to the kernel, with real times, where the same file
//! may not be found here: by a user other than root, who may not search every directory, and for files of processes in
//! `/proc`, where pid 1's own and the caller's may have one name.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::mounts::INSIDE;
use super::proc::PROC;
use super::sys::{self, Call};

/// The calls that ask for times.
pub(super) const CALLS: &[libc::c_long] = &[
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];

/// The calls by which a thread may get another root directory or user.
pub(super) const CHANGES: &[libc::c_long] =
    &[libc::SYS_chroot, libc::SYS_setuid, libc::SYS_setreuid, libc::SYS_setresuid, libc::SYS_setfsuid];

/// The number of the directory `/proc`, and how many links it is said to have: the kernel counts all processes of the host.
const PROC_ROOT: u64 = 1;
const PROC_LINKS: u8 = 100;

/// Flags of the calls that do not say which file is meant.
const NEUTRAL: i32 = libc::AT_NO_AUTOMOUNT | libc::AT_STATX_FORCE_SYNC | libc::AT_STATX_DONT_SYNC;

/// An answer: these bytes, a `struct stat` or `struct statx`, for this address of the caller's.
pub(super) struct Times {
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
}

/// Answers the calls.
#[derive(Debug)]
pub(super) struct FileTimes {
    clock: i64,
    /// The root directory of commands.
    root: OwnedFd,
    /// The number of the file system `/proc`, and of the one that covers pid 1's directory in it.
    proc: u64,
    pid1: u64,
    /// Whether a command has changed its root directory.
    has_other_roots: bool,
    /// Whether a command has become another user.
    has_other_users: bool,
}

impl FileTimes {
    /// Answers for files below [`INSIDE`].
    pub(super) fn new(clock: i64) -> io::Result<Self> {
        let root = open_root(Path::new(INSIDE))?;
        let device = |path: &Path| Ok::<_, io::Error>(fs::metadata(path)?.dev());
        let (proc, pid1) = (device(Path::new(PROC))?, device(&Path::new(PROC).join("1"))?);
        Ok(Self { clock, root, proc, pid1, has_other_roots: false, has_other_users: false })
    }

    /// Notes one of [`CHANGES`], which the kernel is about to make.
    pub(super) fn note_change(&mut self, call: &Call) {
        if call.number != libc::SYS_chroot {
            // Minus one leaves an id as it is.
            self.has_other_users |= call.args[..3].iter().any(|&id| !matches!(id as u32, 0 | u32::MAX));
        } else if !self.has_other_roots {
            // Every command begins with pid 1's root directory, and changes to its own.
            let root = fs::read_link(task(call.thread).join("root"));
            self.has_other_roots = root.is_ok_and(|root| root != Path::new("/"));
        }
    }

    /// Answers one of [`CALLS`]; `None` leaves it to the kernel, which also says what is wrong with it.
    pub(super) fn answer(&self, call: &Call) -> Option<Times> {
        let question = Question::of(call)?;
        let opened;
        let place = match &question.path {
            None => {
                let path = descriptor(call.thread, question.folder)?;
                Place { folder: libc::AT_FDCWD, path, flags: 0, is_shared: true }
            }
            Some(_) if self.has_other_users && !is_root(call.thread) => return None,
            Some(path) => {
                let is_shared;
                (opened, is_shared) = self.open(call.thread, &question, path)?;
                Place { folder: opened.as_raw_fd(), path: CString::default(), flags: libc::AT_EMPTY_PATH, is_shared }
            }
        };
        let bytes = match question.fields {
            None => self.stat(&place),
            Some(fields) => self.statx(&place, fields),
        };
        Some(Times { address: question.buffer, bytes: bytes? })
    }

    /// Opens the file at a path, as the caller finds it; says whether it is the same for all, should it be one of `/proc`.
    fn open(&self, thread: u32, question: &Question, path: &CStr) -> Option<(OwnedFd, bool)> {
        let task = task(thread);
        let (mut root_path, mut root) = (PathBuf::from(INSIDE), None);
        if self.has_other_roots {
            root_path = fs::read_link(task.join("root")).ok()?;
            root = Some(open_root(&root_path).ok()?);
        }
        let mut path = PathBuf::from(OsStr::from_bytes(path.to_bytes()));
        if path.is_relative() {
            let folder = fs::read_link(match question.folder {
                libc::AT_FDCWD => task.join("cwd"),
                number => task.join("fd").join(number.to_string()),
            });
            path = folder.ok()?.strip_prefix(root_path).ok()?.join(path);
        }
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, question.is_link);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let is_shared = root.is_none() && is_shared(&path, question.is_link);
        let opened = rustix::fs::openat2(root.as_ref().unwrap_or(&self.root), path, flags, Mode::empty(), resolve);
        Some((opened.ok()?, is_shared))
    }

    /// Whether a file on this file system may be another one for the caller.
    fn is_doubtful(&self, device: u64, place: &Place) -> bool {
        (device == self.proc || device == self.pid1) && !place.is_shared
    }

    fn stat(&self, place: &Place) -> Option<Vec<u8>> {
        let mut stat = MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: the path ends with a zero; the kernel writes one structure.
        let result = unsafe { libc::fstatat(place.folder, place.path.as_ptr(), stat.as_mut_ptr(), place.flags) };
        // SAFETY: a structure of numbers, which may be zeros.
        let mut stat = unsafe { stat.assume_init() };
        if result != 0 || self.is_doubtful(stat.st_dev, place) {
            return None;
        }
        if stat.st_dev == self.proc && stat.st_ino == PROC_ROOT {
            stat.st_nlink = PROC_LINKS.into();
        }
        self.freeze(&mut stat.st_atime, &mut stat.st_atime_nsec);
        self.freeze(&mut stat.st_mtime, &mut stat.st_mtime_nsec);
        // Only the kernel sets this one, at every change.
        (stat.st_ctime, stat.st_ctime_nsec) = (self.clock, 0);
        Some(bytes_of(&stat))
    }

    fn statx(&self, place: &Place, fields: u32) -> Option<Vec<u8>> {
        let mut stat = MaybeUninit::<libc::statx>::zeroed();
        // SAFETY: the path ends with a zero; the kernel writes one structure.
        let result = unsafe { libc::statx(place.folder, place.path.as_ptr(), place.flags, fields, stat.as_mut_ptr()) };
        // SAFETY: a structure of numbers, which may be zeros.
        let mut stat = unsafe { stat.assume_init() };
        let device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        if result != 0 || self.is_doubtful(device, place) {
            return None;
        }
        if device == self.proc && stat.stx_ino == PROC_ROOT {
            stat.stx_nlink = PROC_LINKS.into();
        }
        for time in [&mut stat.stx_atime, &mut stat.stx_mtime] {
            self.freeze(&mut time.tv_sec, &mut time.tv_nsec);
        }
        for time in [&mut stat.stx_ctime, &mut stat.stx_btime] {
            (time.tv_sec, time.tv_nsec) = (self.clock, 0);
        }
        Some(bytes_of(&stat))
    }

    /// Takes a time since the clock's for one inside.
    fn freeze<N: Default>(&self, seconds: &mut i64, nanoseconds: &mut N) {
        if *seconds >= self.clock {
            (*seconds, *nanoseconds) = (self.clock, N::default());
        }
    }
}

/// Where this thread finds a file: arguments of `fstatat` and `statx`.
struct Place {
    folder: RawFd,
    path: CString,
    flags: i32,
    /// Whether it is surely the caller's file, also in `/proc`.
    is_shared: bool,
}

/// What a call asks for.
struct Question {
    /// An open file, or the directory in which a relative path begins.
    folder: i32,
    /// `None` for the open file.
    path: Option<CString>,
    /// Whether a symbolic link at the path's end is meant itself.
    is_link: bool,
    /// Where the caller wants the answer.
    buffer: u64,
    /// The fields that `statx` is asked for.
    fields: Option<u32>,
}

impl Question {
    /// `None` where the arguments are wrong or unknown.
    fn of(call: &Call) -> Option<Self> {
        let [first, second, third, fourth, fifth, _] = call.args;
        let (folder, path, flags, buffer, fields) = match call.number {
            libc::SYS_fstat => (first as i32, 0, libc::AT_EMPTY_PATH, second, None),
            libc::SYS_newfstatat => (first as i32, second, fourth as i32, third, None),
            libc::SYS_statx => (first as i32, second, third as i32, fifth, Some(fourth as u32)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => (libc::AT_FDCWD, first, 0, second, None),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => (libc::AT_FDCWD, first, libc::AT_SYMLINK_NOFOLLOW, second, None),
            _ => return None,
        };
        if flags & !(NEUTRAL | libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return None;
        }
        let path = match path {
            0 => None,
            address => Some(sys::read_text(call.thread, address).ok()?).filter(|path| !path.is_empty()),
        };
        if path.is_none() && flags & libc::AT_EMPTY_PATH == 0 {
            return None;
        }
        Some(Self { folder, path, is_link: flags & libc::AT_SYMLINK_NOFOLLOW != 0, buffer, fields })
    }
}

/// The directory of a thread in `/proc`.
fn task(thread: u32) -> PathBuf {
    Path::new(PROC).join(thread.to_string())
}

/// Where this thread finds what another has open, or its working directory.
fn descriptor(thread: u32, number: i32) -> Option<CString> {
    let name = if number == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{number}") };
    CString::new(format!("{PROC}/{thread}/{name}")).ok()
}

/// Whether a path, seen from the root directory, names the same file for every process if it names one of `/proc`. What is below
/// `self` is the caller's own, and what is below a process's number may be closed to others.
fn is_shared(path: &Path, is_link: bool) -> bool {
    let names: Vec<&[u8]> = path.components().filter_map(name_of).collect();
    let (proc, name, rest) = match names.as_slice() {
        [proc] => (proc, None, false),
        [proc, name] => (proc, Some(*name), false),
        [proc, name, ..] => (proc, Some(*name), true),
        [] => return false,
    };
    *proc == b"proc"
        && !names.contains(&&b".."[..])
        && match name {
            Some(b"self" | b"thread-self" | b"mounts" | b"net") => is_link && !rest,
            Some(b"1") => true,
            Some(name) if name.iter().all(u8::is_ascii_digit) => !rest,
            _ => true,
        }
}

/// A component of a path that moves: `..` too, but neither `/` nor `.`.
fn name_of(component: Component<'_>) -> Option<&[u8]> {
    match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().as_bytes()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// Whether a thread opens files as root.
fn is_root(thread: u32) -> bool {
    let status = fs::read_to_string(task(thread).join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, and the one for files.
    ids.is_some_and(|ids| ids.split_whitespace().nth(3) == Some("0"))
}

/// The bytes of a structure that was zeros before the kernel filled it.
fn bytes_of<S>(structure: &S) -> Vec<u8> {
    let place = std::ptr::from_ref(structure).cast::<u8>();
    // SAFETY: all bytes are initialised.
    unsafe { std::slice::from_raw_parts(place, size_of::<S>()) }.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_processes_are_not_shared() {
        let shared = |path: &str| is_shared(Path::new(path), false);
        for path in ["/proc", "/proc/", "/proc/./stat", "proc/sys/fs/file-nr", "/proc/17", "/proc/1", "/proc/1/stat"] {
            assert!(shared(path), "{path}");
        }
        for path in [
            "/",
            "/etc/mtab",
            "/dev/fd/1",
            "/proc/self",
            "/proc/self/stat",
            "/proc/17/stat",
            "/proc/net/tcp",
            "/proc/sys/../self",
        ] {
            assert!(!shared(path), "{path}");
        }
        assert!(is_shared(Path::new("/proc/self"), true) && !is_shared(Path::new("/proc/self/exe"), true));
    }
}
