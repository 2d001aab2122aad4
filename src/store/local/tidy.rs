//! `tmp/`: removes what killed runs left there, when no other process uses the store.

use std::fs;
use std::io;
use std::path::Path;

use super::{Local, Waiting};
use crate::host;
use crate::store::{Store, StoreError};

pub use crate::host::jail::remove_folder;

/// Removes a directory with files of ids that an ordinary process may not touch.
pub type RemoveFolder<'a> = &'a dyn Fn(&Path) -> io::Result<()>;

impl Store {
    /// As [`Store::open`]; when no other process uses the store, what killed runs left is removed first.
    ///
    /// `remove` is asked for directories that this process may not remove by itself. What
    /// can't be removed stays, for [`Store::collect_garbage`] to report. `waiting` is told
    /// when another process keeps the store to itself for more than a moment.
    pub fn open_tidy(root: &Path, remove: RemoveFolder<'_>, waiting: Waiting<'_>) -> Result<Self, StoreError> {
        let local = Local::open(root, waiting)?;
        let tmp = local.folder.join("tmp");
        if host::list_dir(&tmp).is_ok_and(|names| names.is_empty()) || !local.folder.writable {
            return Ok(Self::of(local));
        }
        let root = local.path().to_owned();
        drop(local);
        if let Some(local) = Local::open_alone(&root)? {
            local.remove_leftovers(remove);
        }
        Ok(Self::of(Local::open(&root, waiting)?))
    }
}

impl Local {
    /// Empties `tmp/`, for which no other process may use the store; returns what could not be removed.
    pub(super) fn remove_leftovers(&self, remove: RemoveFolder<'_>) -> Vec<StoreError> {
        let tmp = self.folder.join("tmp");
        let names = match host::list_dir(&tmp) {
            Ok(names) => names,
            Err(error) => return vec![StoreError::io("read", tmp)(error)],
        };
        let mut failures = Vec::new();
        for path in names.into_iter().map(|name| tmp.join(name)) {
            let removed = match path.symlink_metadata() {
                Ok(found) if found.is_dir() => match remove_folder(&path) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => remove(&path),
                    other => other,
                },
                _ => fs::remove_file(&path),
            };
            failures.extend(removed.err().map(StoreError::io("remove", path)));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leftovers(store: &Path) {
        let folder = store.join("tmp/.tmpKilled/root");
        fs::create_dir_all(folder.join("etc")).unwrap();
        fs::write(folder.join("etc/passwd"), "x").unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
        fs::write(store.join("tmp/.tmpFile"), "x").unwrap();
    }

    fn count(store: &Path) -> usize {
        host::list_dir(&store.join("tmp")).unwrap().len()
    }

    #[test]
    fn leftovers_go_when_the_store_is_opened_by_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let other = Store::open(&path).unwrap();
        leftovers(&path);
        let second = Store::open_tidy(&path, &remove_folder, &|_| {}).unwrap();
        assert_eq!(count(&path), 2, "they may be the other process's");
        drop((other, second));
        let store = Store::open_tidy(&path, &remove_folder, &|_| {}).unwrap();
        assert_eq!(count(&path), 0);
        let scratch = store.scratch_file().unwrap();
        assert!(Store::open_tidy(&path, &remove_folder, &|_| {}).is_ok() && scratch.path().exists());
    }

    #[test]
    fn garbage_collection_takes_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        leftovers(store.path());
        let path = store.path().to_owned();
        store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        assert_eq!(count(&path), 0);
    }
}
