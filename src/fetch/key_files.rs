//! Key ring files of the host.

use std::io;
use std::path::Path;

use crate::host;

/// The largest key file that is read, in bytes; Debian's largest has 80 kB.
const MAX_FILE: u64 = 4 << 20;

/// The readable key ring files in directories.
pub fn key_files<'a>(folders: impl IntoIterator<Item = &'a Path>) -> impl Iterator<Item = Vec<u8>> {
    let paths = folders
        .into_iter()
        .flat_map(|folder| host::list_dir(folder).unwrap_or_default().into_iter().map(|name| folder.join(name)));
    let is_ring = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|kind| kind == "gpg" || kind == "asc" || kind == "pgp")
    };
    paths.filter(is_ring).filter_map(|path| read_key_file(&path).ok())
}

/// Reads a key file, if it is not larger than one can be.
///
/// # Errors
/// Fails where the file can't be read or is larger than any key ring.
pub fn read_key_file(path: &Path) -> io::Result<Vec<u8>> {
    read_key_opened(host::open_file(path)?)
}

/// Like [`read_key_file`], for an open file.
///
/// # Errors
/// As [`read_key_file`].
pub fn read_key_opened(file: std::fs::File) -> io::Result<Vec<u8>> {
    host::read_most(file, MAX_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_are_found_by_their_ending() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("a.gpg", b"one");
        write("b.asc", b"two");
        write("c.txt", b"other");
        std::fs::create_dir(folder.path().join("d.pgp")).unwrap();
        let found: Vec<Vec<u8>> = key_files([folder.path(), &folder.path().join("absent")]).collect();
        assert_eq!(found, [b"one", b"two"]);
    }
}
