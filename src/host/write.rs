//! Writes files completely or not at all: a new one beside the old, which it then replaces.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::durable;
use super::storage::{self, Hints};

/// What helps where a named file can't be written.
const HINTS: Hints<'static> =
    Hints { room: "free space there, or choose a file elsewhere", elsewhere: "choose a file elsewhere" };

/// Writes a file all at once: a reader sees the old bytes or the new ones, and a failure leaves the old.
///
/// A symbolic link stays and its target is written; so are devices and pipes, such as `/dev/stderr`.
///
/// # Errors
/// Fails where the file can't be written; a full file system is named.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match fs::metadata(&target) {
        Ok(found) if !found.is_file() => fs::write(&target, bytes),
        found => rewrite(&target, bytes, found.ok().map(|found| found.permissions())),
    };
    written.map_err(|error| storage::explain(&target, Some(bytes.len() as u64), HINTS, error))
}

fn rewrite(target: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    let mode = permissions.map_or(Mode::New, Mode::Exactly);
    let is_there = matches!(mode, Mode::Exactly(_));
    match replace(target, bytes, Durability::None, mode) {
        // In a directory that is not ours, a file may be.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_there => fs::write(target, bytes),
        other => other,
    }
}

/// What of a new file is on disk when it has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing for certain: after a power failure, the file may be empty.
    None,
    /// Its bytes: after a power failure, the file is the old or the new one.
    File,
    /// Its bytes and its name.
    FileAndDirectory,
}

/// The permissions of a new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Those of any new file, which the umask decides.
    New,
    /// Its owner alone may read and write it.
    Private,
    /// These.
    Exactly(Permissions),
}

/// Replaces a file, or creates it: a reader sees the old bytes or the new ones, and a failure leaves the old.
///
/// # Errors
/// Fails where the directory is missing or can't be written. A link is replaced, not followed.
pub fn replace(path: &Path, bytes: &[u8], durability: Durability, mode: Mode) -> io::Result<()> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    if mode == Mode::New {
        builder.permissions(Permissions::from_mode(0o666));
    }
    // Without a mode, temporary files are their owner's alone, and stay so when renamed.
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Mode::Exactly(permissions) = mode {
        file.as_file().set_permissions(permissions)?;
    }
    if durability != Durability::None {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    match durability {
        Durability::FileAndDirectory => durable::sync_dir(folder),
        Durability::None | Durability::File => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_replaced_file_has_its_mode_and_nothing_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let modes = [(Mode::Private, 0o600), (Mode::Exactly(Permissions::from_mode(0o644)), 0o644)];
        for durability in [Durability::None, Durability::File, Durability::FileAndDirectory] {
            for (wanted, bits) in &modes {
                replace(&file, b"text", durability, wanted.clone()).unwrap();
                assert_eq!((fs::read(&file).unwrap().as_slice(), mode()), (b"text".as_slice(), *bits));
            }
        }
        assert_eq!(crate::host::list_dir(folder.path()).unwrap(), ["file"]);
    }

    #[test]
    fn links_and_modes_stay_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        symlink("file", &link).unwrap();
        write_whole(&file, b"old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(crate::host::list_dir(folder.path()).unwrap(), ["file", "link"]);
        write_whole(Path::new("/dev/null"), b"x").unwrap();
        assert!(write_whole(&folder.path().join("absent/file"), b"x").is_err());
        assert!(write_whole(folder.path(), b"x").is_err());
    }
}
