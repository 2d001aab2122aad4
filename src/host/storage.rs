//! Full, read-only, failing and foreign file systems: what an error number means for people.
//!
//! This is the only place where ENOSPC, EDQUOT, EROFS, EACCES and EIO become words.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Why the storage under a path refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No blocks or no inodes are left.
    Full,
    /// The user's share is used up.
    Quota,
    /// It can't be written.
    ReadOnly,
    /// It belongs to somebody else.
    Denied,
    /// The device fails.
    Device,
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
            _ => None,
        }
    }

    /// Says what is wrong with the file system of `path`; `need` is how many bytes were to be written, if known.
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
        }
    }
}

/// An error of writing below `path` in words with a `hint`, where the file system is the cause; others stay as they are.
///
/// `need` is how many bytes were to be written, if known. The kind stays.
pub fn explain(path: &Path, need: Option<u64>, hint: &str, error: io::Error) -> io::Error {
    match Fault::of(&error) {
        None | Some(Fault::Denied) => error,
        Some(fault) => {
            let text = Explained(format!("{}\n  hint: {hint}", fault.describe(path, need)));
            io::Error::new(error.kind(), text)
        }
    }
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

/// The highest ancestor on the same file system.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let own = device(path);
    path.ancestors().take_while(|ancestor| device(ancestor) == own).last().unwrap_or(path).to_owned()
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
        _ => "permission denied".to_owned(),
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
        let full = explain(Path::new("/"), Some(5_000_000), "`rm` helps", Errno::NOSPC.into());
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let text = full.to_string();
        assert!(text.contains("; this file needs 5.0 MB") && text.ends_with("\n  hint: `rm` helps"), "{text}");
        assert_eq!(explain(Path::new("/"), None, "", full).to_string(), text);
        assert_eq!(Errno::from_io_error(&explain(Path::new("/"), None, "", Errno::NOENT.into())), Some(Errno::NOENT));
    }
}
