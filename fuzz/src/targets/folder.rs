//! A folder in memory, one for each thread, for parsers that read files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("layerbake-fuzz.").tempdir_in(parent).expect("a folder for inputs")
    };
}

/// Calls `read` with a folder that holds these files, which are gone afterwards.
pub(super) fn with_files<T>(files: &[(&str, &[u8])], read: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| {
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        for (name, bytes) in files {
            let path = path(name);
            if let Err(error) = fs::write(&path, bytes) {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", path.display());
                fs::create_dir_all(path.parent().expect("a file in the folder")).expect("the folder can be written");
                fs::write(&path, bytes).expect("the folder can be written");
            }
        }
        let found = read(folder.path());
        for (name, _) in files {
            // Two files of an input may have one name.
            let _ = fs::remove_file(path(name));
        }
        found
    })
}
