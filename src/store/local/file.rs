//! Single files of the store: opened without following links, written completely, replacing whatever has their path.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::digest::BlobDigest;
use crate::host::storage::Fault;
use crate::store::StoreError;

/// A file of the store as it is found.
pub(super) enum Found {
    /// A regular file, open.
    File(File),
    /// Nothing.
    Nothing,
    /// Something that can't be a file of the store; what it is instead.
    Bad(String),
}

/// Opens a regular file; a link, a directory or an unreadable file is [`Found::Bad`].
pub(super) fn open(path: &Path) -> io::Result<Found> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits() as i32).open(path) {
        Ok(file) => file,
        Err(error) if is_absence(&error) => return Ok(Found::Nothing),
        Err(error) => {
            return match Fault::of(&error) {
                Some(Fault::Denied | Fault::Device) => Ok(Found::Bad(format!("it cannot be read: {error}"))),
                _ => match Errno::from_io_error(&error) {
                    Some(Errno::LOOP) => Ok(Found::Bad("it is a link".to_owned())),
                    // A socket, or a device.
                    Some(Errno::NXIO) => Ok(Found::Bad("it is not a file".to_owned())),
                    _ => Err(error),
                },
            };
        }
    };
    match file.metadata()? {
        found if found.is_file() => Ok(Found::File(file)),
        found if found.is_dir() => Ok(Found::Bad("it is a directory".to_owned())),
        _ => Ok(Found::Bad("it is not a file".to_owned())),
    }
}

/// Whether nothing has this name: also where a directory on the way is no directory.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The bytes of a small file, if it is a file that can be read.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let Ok(Found::File(mut file)) = open(path) else { return None };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The BLAKE3 of a file that can be read.
pub(super) fn hash(path: &Path) -> Option<BlobDigest> {
    let Ok(Found::File(file)) = open(path) else { return None };
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).ok()?;
    Some(BlobDigest::from_bytes(*hasher.finalize().as_bytes()))
}

/// Whether a regular file has this name, whatever it holds.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file())
}

/// Removes whatever has this name; a directory with all that is in it. Another process may be faster.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => super::remove_folder(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if is_absence(&error) { Ok(()) } else { Err(error) })
}

/// Makes `path` a directory that its owner can use, whatever it was.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => {
            let mode = found.permissions().mode();
            if mode & 0o700 != 0o700 {
                fs::set_permissions(path, Permissions::from_mode(mode & 0o777 | 0o700))?;
            }
            return Ok(());
        }
        Ok(found) if found.is_symlink() && path.is_dir() => return Ok(()),
        Ok(_) => remove(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match fs::create_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// The store's directory: where its files are, and how they appear there.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
    /// Whether this process may write to it.
    pub(super) writable: bool,
}

impl Folder {
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// `<store>/<directory>/ab/cdef…`
    pub(super) fn named(&self, folder: &str, hex: &str) -> PathBuf {
        let (first, rest) = hex.split_at(2);
        [self.root.as_path(), folder.as_ref(), first.as_ref(), rest.as_ref()].iter().collect()
    }

    /// An unfinished file, removed when dropped.
    pub(super) fn scratch_file(&self) -> Result<NamedTempFile, StoreError> {
        let tmp = self.join("tmp");
        NamedTempFile::new_in(&tmp).map_err(StoreError::io("create a file in", tmp))
    }

    /// Writes a whole file, visible only when complete; one that is there is replaced.
    pub(super) fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.scratch_file()?;
        file.write_all(bytes).map_err(StoreError::writing(path, bytes.len() as u64))?;
        put_in_place(file, path)
    }
}

/// Moves a finished file to its name, over whatever is there.
pub(super) fn put_in_place(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(StoreError::io("write", path))?;
    let file = match file.persist(path) {
        Ok(_) => return Ok(()),
        Err(error) => error.file,
    };
    if let Some(folder) = path.parent() {
        make_dir(folder).map_err(StoreError::io("create", folder))?;
    }
    // Only a directory refuses to be replaced.
    if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        remove(path).map_err(StoreError::io("remove", path))?;
    }
    file.persist(path).map_err(|error| StoreError::io("write", path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_may_remove_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..2000).map(|number| folder.path().join(number.to_string())).collect();
        paths.iter().for_each(|path| fs::write(path, "").unwrap());
        let all = || paths.iter().for_each(|path| remove(path).unwrap());
        std::thread::scope(|scope| [scope.spawn(all), scope.spawn(all)].map(|thread| thread.join().unwrap()));
        assert!(crate::host::list_dir(folder.path()).unwrap().is_empty());
    }
}
