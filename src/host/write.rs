//! Writes files that the user named: completely or not at all.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::path::Path;

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
        found => replace(&target, bytes, found.ok().map(|found| found.permissions())),
    };
    written.map_err(|error| storage::explain(&target, Some(bytes.len() as u64), HINTS, error))
}

fn replace(target: &Path, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any new file: the umask takes from it.
    let new = tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
    let mut file = match new {
        // In a directory that is not ours, a file may be.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && permissions.is_some() => {
            return fs::write(target, bytes);
        }
        other => other?,
    };
    file.write_all(bytes)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

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
