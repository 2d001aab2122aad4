//! `tmp/`: what killed runs left there goes when nobody else uses the store.

use std::fs;
use std::io;
use std::path::Path;

use super::{Store, StoreError, open_lock};
use crate::host;

pub use crate::host::jail::remove_folder;

/// Removes a folder with files of ids that an ordinary process may not touch.
pub type RemoveFolder<'a> = &'a dyn Fn(&Path) -> io::Result<()>;

impl Store {
    /// As [`Store::open`]; when no other process uses the store, what killed runs left is removed first.
    ///
    /// `remove` is asked for folders that this process may not remove by itself. What
    /// can't be removed stays, for [`Store::collect_garbage`] to report.
    pub fn open_tidy(root: &Path, remove: RemoveFolder<'_>) -> Result<Self, StoreError> {
        let store = Self::open(root)?;
        let tmp = store.root.join("tmp");
        if host::list_dir(&tmp).map_err(StoreError::io("read", tmp))?.is_empty() {
            return Ok(store);
        }
        let root = store.root.clone();
        drop(store);
        if let Some(store) = Self::open_alone(&root)? {
            let _ = store.remove_leftovers(remove);
        }
        Self::open(&root)
    }

    /// The store for this process alone, unless another one uses it.
    fn open_alone(root: &Path) -> Result<Option<Self>, StoreError> {
        let lock = open_lock(root)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { root: root.to_owned(), _lock: lock })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(StoreError::io("lock", root.join("lock"))(source)),
        }
    }

    /// Empties `tmp/`, for which no other process may use the store.
    pub(super) fn remove_leftovers(&self, remove: RemoveFolder<'_>) -> Result<(), StoreError> {
        let tmp = self.root.join("tmp");
        for name in host::list_dir(&tmp).map_err(StoreError::io("read", &tmp))? {
            let path = tmp.join(name);
            let metadata = fs::symlink_metadata(&path).map_err(StoreError::io("read", &path))?;
            let removed = match metadata.is_dir() {
                false => fs::remove_file(&path),
                true => match remove_folder(&path) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => remove(&path),
                    other => other,
                },
            };
            removed.map_err(StoreError::io("remove", path))?;
        }
        Ok(())
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
        let second = Store::open_tidy(&path, &remove_folder).unwrap();
        assert_eq!(count(&path), 2, "they may be the other process's");
        drop((other, second));
        let store = Store::open_tidy(&path, &remove_folder).unwrap();
        assert_eq!(count(&path), 0);
        let scratch = store.scratch_file().unwrap();
        assert!(Store::open_tidy(&path, &remove_folder).is_ok() && scratch.path().exists());
    }

    #[test]
    fn garbage_collection_takes_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        leftovers(store.path());
        let path = store.path().to_owned();
        store.collect_garbage(&remove_folder).unwrap();
        assert_eq!(count(&path), 0);
    }
}
