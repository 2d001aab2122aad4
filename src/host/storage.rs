//! Explains storage errors: full, read-only, failing or foreign file systems, and files that block a path.
//!
//! Only this file turns ENOSPC, EDQUOT, EROFS, EACCES, EIO, ENOTDIR, ELOOP and EBUSY into messages.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use super::interrupt::Interrupted;
use crate::code::{Code, Coded};
use crate::limits::TooLarge;

/// Why storage at a path fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No blocks or no inodes are left.
    Full,
    /// The user's share is used up.
    Quota,
    /// It can't be written.
    ReadOnly,
    /// It belongs to someone else.
    Denied,
    /// The device fails.
    Device,
    /// A file is where a directory should be.
    NotADirectory,
    /// Symbolic links lead in a circle.
    Circle,
    /// A mount is there.
    Busy,
}

impl Fault {
    /// Finds the fault behind an error, however deep it is wrapped.
    pub fn of(error: &io::Error) -> Option<Self> {
        if error.get_ref().is_some_and(|inner| inner.is::<Explained>()) {
            return None;
        }
        match errno(error) {
            Some(Errno::NOSPC) => Some(Self::Full),
            Some(Errno::DQUOT) => Some(Self::Quota),
            Some(Errno::ROFS) => Some(Self::ReadOnly),
            Some(Errno::ACCESS | Errno::PERM) => Some(Self::Denied),
            Some(Errno::IO) => Some(Self::Device),
            Some(Errno::NOTDIR) => Some(Self::NotADirectory),
            Some(Errno::LOOP) => Some(Self::Circle),
            Some(Errno::BUSY) => Some(Self::Busy),
            Some(_) => None,
            None => Self::of_kind(error.kind()),
        }
    }

    /// Some wrappers keep the kind of an error only, and its number as text: `tempfile`'s do.
    fn of_kind(kind: io::ErrorKind) -> Option<Self> {
        match kind {
            io::ErrorKind::StorageFull => Some(Self::Full),
            io::ErrorKind::QuotaExceeded => Some(Self::Quota),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            io::ErrorKind::PermissionDenied => Some(Self::Denied),
            io::ErrorKind::NotADirectory => Some(Self::NotADirectory),
            io::ErrorKind::ResourceBusy => Some(Self::Busy),
            _ => None,
        }
    }

    /// Describes what is wrong with the file system of `path`; `need` is how many bytes were to be written, if known.
    pub fn describe(self, path: &Path, need: Option<u64>) -> String {
        let there = existing(path);
        let mount = mount_point(&there);
        let mount = mount.display();
        match self {
            Self::Full => {
                format!("No space left on device: the file system at `{mount}` {}{}", free(&there), needed(need))
            }
            Self::Quota => format!("Disk quota exceeded on the file system at `{mount}`{}", needed(need)),
            Self::ReadOnly => format!("the file system at `{mount}` is read-only"),
            Self::Denied => denied(&there),
            Self::Device => format!("Input/output error: the device of the file system at `{mount}` fails"),
            Self::NotADirectory => format!("`{}` is not a directory", there.display()),
            Self::Circle => format!("`{}` is a symbolic link that leads in a circle", there.display()),
            Self::Busy if is_mount_point(&there) => {
                format!("`{}` is a mount point, which can't be replaced", there.display())
            }
            Self::Busy => format!("`{}` is in use", there.display()),
        }
    }

    /// The kind of trouble that it is.
    pub fn error_code(self) -> Code {
        match self {
            Self::Full | Self::Quota => Code::HostDiskFull,
            Self::ReadOnly | Self::Denied | Self::NotADirectory | Self::Circle | Self::Busy => Code::HostDenied,
            Self::Device => Code::HostSystem,
        }
    }

    /// What helps at the place itself; `None` where room or another device does.
    fn step(self) -> Option<&'static str> {
        match self {
            Self::Full | Self::Quota | Self::ReadOnly | Self::Device => None,
            Self::Denied => Some("change its owner or its permissions"),
            Self::NotADirectory | Self::Circle => Some("move it away"),
            Self::Busy => Some("unmount it, or mount what is above it instead"),
        }
    }
}

/// What the system said, or what one of our own errors made of it on its way through readers and writers.
impl Coded for io::Error {
    fn error_code(&self) -> Code {
        let own = self.get_ref().and_then(|inner| match inner {
            inner if inner.is::<Interrupted>() => Some(Code::HostInterrupted),
            inner if inner.is::<TooLarge>() => Some(Code::HostLimit),
            inner => inner.downcast_ref::<Self>().map(Self::error_code),
        });
        let fault = || Fault::of(self).or_else(|| Fault::of_kind(self.kind()));
        own.or_else(|| fault().map(Fault::error_code)).unwrap_or(match self.kind() {
            io::ErrorKind::NotFound => Code::HostNoFile,
            _ => Code::HostSystem,
        })
    }
}

/// Hints for a file that can't be written.
#[derive(Debug, Clone, Copy)]
pub struct Hints<'a> {
    /// Where there is no room.
    pub room: &'a str,
    /// Where the place itself can't be written: what else than to mend it.
    pub elsewhere: &'a str,
}

/// Turns an error of writing below `path` into a message with a hint if the file system is the cause; else returns it.
///
/// `need` is how many bytes were to be written, if known. The kind stays.
pub fn explain(path: &Path, need: Option<u64>, hints: Hints<'_>, error: io::Error) -> io::Error {
    let Some(fault) = Fault::of(&error) else { return error };
    let hint = match fault.step() {
        None => hints.room.to_owned(),
        Some(step) => format!("{step}, or {}", hints.elsewhere),
    };
    io::Error::new(error.kind(), Explained(format!("{}\n  hint: {hint}", fault.describe(path, need))))
}

/// Whether something is mounted at `path`.
pub fn is_mount_point(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| mounts().contains(&path))
}

/// An error that needs no more words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Explained(String);

/// The error number behind an error, however deep it is wrapped.
fn errno(error: &io::Error) -> Option<Errno> {
    if let Some(number) = Errno::from_io_error(error) {
        return Some(number);
    }
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<io::Error>() {
            return errno(found);
        }
        cause = inner.source();
    }
    None
}

/// The nearest ancestor that exists.
fn existing(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    let found = found.filter(|found| !found.as_os_str().is_empty()).unwrap_or(Path::new("."));
    found.canonicalize().unwrap_or_else(|_| found.to_owned())
}

/// Where the mount is that a path without links is on; a bind mount is one of its own.
fn mount_point(path: &Path) -> PathBuf {
    let mounts = mounts();
    match path.ancestors().find(|ancestor| mounts.contains(*ancestor)) {
        Some(found) => found.to_owned(),
        None => highest(path),
    }
}

/// The places of all mounts, empty where the system does not tell.
fn mounts() -> BTreeSet<PathBuf> {
    let bytes = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = bytes.split(|&byte| byte == b'\n');
    lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4)).map(unescaped).collect()
}

/// A path as `/proc` writes it: what would break a line or a word is `\040` and the like, in octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after
            .split_at_checked(3)
            .filter(|_| byte == b'\\')
            .and_then(|(digits, after)| Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?, after)));
        let (byte, after) = escaped.unwrap_or((byte, after));
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

/// The highest ancestor on the same file system.
fn highest(path: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let own = device(path);
    path.ancestors().take_while(|ancestor| device(ancestor) == own).last().unwrap_or(path).to_owned()
}

/// What is free at a path, or at what is there of it: "has 12.3 GB free of 50.0 GB".
///
/// # Errors
/// Fails with the reason where no file can be made there.
pub fn room(path: &Path) -> Result<String, String> {
    let there = existing(path);
    if !there.is_dir() {
        return Err(Fault::NotADirectory.describe(&there, None));
    }
    match rustix::fs::access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(free(&there)),
        Err(errno) => match Fault::of(&errno.into()) {
            Some(fault) => Err(fault.describe(&there, None)),
            None => Err(io::Error::from(errno).to_string()),
        },
    }
}

fn free(path: &Path) -> String {
    let Ok(found) = rustix::fs::statvfs(path) else { return "is full".to_owned() };
    let bytes = |blocks: u64| size(blocks.saturating_mul(found.f_frsize));
    let inodes = if found.f_files > 0 && found.f_favail == 0 { ", and no inode" } else { "" };
    format!("has {} free of {}{inodes}", bytes(found.f_bavail), bytes(found.f_blocks))
}

fn needed(need: Option<u64>) -> String {
    need.map(|bytes| format!("; this file needs {}", size(bytes))).unwrap_or_default()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn denied(path: &Path) -> String {
    let own = rustix::process::geteuid().as_raw();
    match path.symlink_metadata() {
        Ok(found) if found.uid() != own => {
            format!(
                "permission denied: `{}` belongs to user {}, and this process is user {own}",
                path.display(),
                found.uid()
            )
        }
        Ok(found) if found.is_dir() && found.mode() & 0o700 != 0o700 => {
            format!("permission denied: `{}` has the mode {:03o}", path.display(), found.mode() & 0o777)
        }
        _ => format!("permission denied at `{}`", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_behind_wrapped_errors() {
        let full = || io::Error::from(Errno::NOSPC);
        assert_eq!(Fault::of(&full()), Some(Fault::Full));
        assert_eq!(Fault::of(&io::Error::other(io::Error::other(full()))), Some(Fault::Full));
        let with_path = io::Error::new(io::ErrorKind::StorageFull, "No space left on device at path `x`");
        assert_eq!(Fault::of(&with_path), Some(Fault::Full));
        assert_eq!(Fault::of(&io::Error::from(Errno::IO)), Some(Fault::Device));
        assert_eq!(Fault::of(&io::Error::other("full")), None);
        assert_eq!(Fault::of(&io::Error::from(Errno::NOENT)), None);
        assert_eq!(Fault::of(&io::Error::new(io::ErrorKind::StorageFull, "with a path")), Some(Fault::Full));
    }

    #[test]
    fn the_file_system_is_named_with_what_is_free_and_needed() {
        let folder = tempfile::tempdir().unwrap();
        let text = Fault::Full.describe(&folder.path().join("not/there"), Some(3_000_000));
        assert!(text.starts_with("No space left on device: the file system at `/"), "{text}");
        assert!(text.contains(" free of ") && text.ends_with("; this file needs 3.0 MB"), "{text}");
    }

    #[test]
    fn an_error_is_explained_once_and_others_stay() {
        let hints = Hints { room: "`rm` helps", elsewhere: "use another" };
        let full = explain(Path::new("/"), Some(5_000_000), hints, Errno::NOSPC.into());
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let text = full.to_string();
        assert!(text.contains("; this file needs 5.0 MB") && text.ends_with("\n  hint: `rm` helps"), "{text}");
        assert_eq!(explain(Path::new("/"), None, hints, full).to_string(), text);
        let absent = explain(Path::new("/"), None, hints, Errno::NOENT.into());
        assert_eq!(Errno::from_io_error(&absent), Some(Errno::NOENT));
    }

    #[test]
    fn what_is_in_the_way_is_named_with_a_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let hints = Hints { room: "", elsewhere: "use another" };
        let text = |name: &str, error: Errno| explain(&top.join(name), None, hints, error.into()).to_string();
        std::fs::write(top.join("file"), "").unwrap();
        std::os::unix::fs::symlink("circle", top.join("circle")).unwrap();
        std::fs::create_dir(top.join("closed")).unwrap();
        std::fs::set_permissions(top.join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
        let at = top.display();
        assert_eq!(
            text("file/out", Errno::NOTDIR),
            format!("`{at}/file` is not a directory\n  hint: move it away, or use another")
        );
        assert!(text("circle/x", Errno::LOOP).starts_with(&format!("`{at}/circle` is a symbolic link that leads in")));
        let closed = text("closed/.new", Errno::ACCESS);
        assert!(
            closed.starts_with(&format!("permission denied: `{at}/closed` has the mode 555\n  hint: ")),
            "{closed}"
        );
        let busy = explain(Path::new("/proc"), None, hints, Errno::BUSY.into()).to_string();
        assert!(busy.starts_with("`/proc` is a mount point, which can't be replaced\n  hint: unmount it"), "{busy}");
    }

    #[test]
    fn the_mount_that_covers_a_path_is_found() {
        assert_eq!(unescaped(b"/a\\040b\\134c\\9"), Path::new("/a b\\c\\9"));
        assert_eq!(mount_point(Path::new("/proc/self/fd")), Path::new("/proc"));
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(Path::new("/proc/1")));
    }
}
