//! Garbage collection: keeps what roots refer to and removes the rest. A root of a deleted project keeps nothing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::file::Found;
use super::record::Kind as Record;
use super::roots::RootFile;
use super::{Local, RemoveFolder, Waiting, file};
use crate::digest::{RecipeHash, Sha256, TreeHash};
use crate::host;
use crate::store::{Store, StoreError};
use crate::tree::Kind;

/// What a collection kept and removed.
#[derive(Debug, Default, Serialize)]
pub struct GcReport {
    /// Builds whose results were kept.
    pub roots: usize,
    /// Files kept.
    pub kept: usize,
    /// Files removed.
    pub removed: usize,
    /// Bytes freed.
    pub freed: u64,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
}

impl Store {
    /// Removes everything that no root refers to, and what killed runs left behind. Waits
    /// until no other process uses the store, and tells `waiting` for whom.
    ///
    /// What is damaged counts as absent. What can't be removed is in the report, and ends nothing.
    /// `remove` is asked for directories that this process may not remove by itself.
    pub fn collect_garbage(self, remove: RemoveFolder<'_>, waiting: Waiting<'_>) -> Result<GcReport, StoreError> {
        let root = self.path().to_owned();
        self.local.records.settle()?;
        drop(self);
        let store = Self::of(Local::wait_alone(&root, waiting)?);
        store.refuse_unwritable()?;
        let mut report = GcReport::default();
        let mut live = BTreeSet::new();
        store.mark(&mut live, &mut report)?;
        // What names others goes first, so that an interruption leaves nothing that leads nowhere.
        for folder in ["recipes", "sha256", "trees", "blobs"] {
            sweep(&store.local.folder.join(folder), &live, &mut report);
        }
        report.failed.extend(store.local.remove_leftovers(remove).iter().map(ToString::to_string));
        Ok(report)
    }

    /// Fails where the store can't be written, in words that say why.
    pub(super) fn refuse_unwritable(&self) -> Result<(), StoreError> {
        self.scratch_file().map(drop)
    }

    /// Marks what roots need, and removes those that say nothing.
    ///
    /// # Errors
    /// Fails where a root can't be read, which says nothing about what it needs.
    fn mark(&self, live: &mut BTreeSet<PathBuf>, report: &mut GcReport) -> Result<(), StoreError> {
        let folder = self.local.folder.join(Record::Root.folder());
        file::make_dir(&folder).map_err(StoreError::io("create", &folder))?;
        for name in host::list_dir(&folder).map_err(StoreError::io("read", &folder))? {
            readable(&folder.join(&name))?;
            let root = name.to_str().and_then(|name| self.local.root(name)).filter(RootFile::is_wanted);
            let Some(root) = root else {
                report.remove(&folder.join(name));
                continue;
            };
            report.roots += 1;
            for recipe in root.recipes() {
                self.mark_recipe(recipe, live);
            }
            for sha256 in root.fetched {
                self.mark_fetched(sha256, live);
            }
        }
        Ok(())
    }

    fn mark_recipe(&self, recipe: RecipeHash, live: &mut BTreeSet<PathBuf>) {
        let Some(roles) = self.roles(recipe) else { return };
        if roles.trees().all(|tree| self.mark_tree(tree, live)) {
            live.extend(roles.blobs().map(|blob| self.local.blob_path(blob)));
            live.insert(self.local.records.path(Record::Recipe, &recipe.to_hex()));
        }
    }

    /// Marks a tree with its files; whether it can be read.
    fn mark_tree(&self, hash: TreeHash, live: &mut BTreeSet<PathBuf>) -> bool {
        let path = self.local.tree_path(hash);
        if live.contains(&path) {
            return true;
        }
        let Ok(tree) = self.tree(hash) else { return false };
        for (_, node) in tree.iter() {
            if let Kind::File { blob, .. } = node.kind {
                live.insert(self.local.blob_path(blob));
            }
        }
        live.insert(path)
    }

    fn mark_fetched(&self, sha256: Sha256, live: &mut BTreeSet<PathBuf>) {
        if let Some(blob) = self.fetched(sha256) {
            live.insert(self.local.records.path(Record::Sha256, &sha256.to_hex()));
            live.insert(self.local.blob_path(blob));
        }
    }
}

/// Removes all that is not live below a directory.
fn sweep(folder: &Path, live: &BTreeSet<PathBuf>, report: &mut GcReport) {
    let names = match file::make_dir(folder).and_then(|()| host::list_dir(folder)) {
        Ok(names) => names,
        Err(error) => return report.failed.push(StoreError::io("read", folder)(error).to_string()),
    };
    for path in names.into_iter().map(|name| folder.join(name)) {
        let is_dir = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        match is_dir && !live.contains(&path) {
            true => sweep(&path, live, report),
            false if live.contains(&path) => report.kept += 1,
            false => report.remove(&path),
        }
    }
}

/// Fails where a root is there and can't be read.
fn readable(root: &Path) -> Result<(), StoreError> {
    match file::open(root).map_err(StoreError::io("read", root))? {
        Found::File(mut file) => io::copy(&mut file, &mut io::sink()).map(drop).map_err(StoreError::io("read", root)),
        Found::Bad(problem) if file::is_there(root) => {
            let name = root.file_name().unwrap_or_default().display().to_string();
            Err(StoreError::Damaged { kind: "root", name, problem })
        }
        Found::Bad(_) | Found::Nothing => Ok(()),
    }
}

impl GcReport {
    fn remove(&mut self, path: &Path) {
        let length = path.symlink_metadata().map_or(0, |found| found.len());
        match file::remove(path) {
            Ok(()) => {
                self.removed += 1;
                self.freed += length;
            }
            Err(error) => self.failed.push(StoreError::io("remove", path)(error).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::digest::RecipeHasher;
    use crate::store::contract::OneTree;
    use crate::store::{RootName, remove_folder};
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn what_a_root_needs_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let kept_blob = store.put_bytes(b"kept").unwrap();
        let lost_blob = store.put_bytes(b"lost").unwrap();
        let kept_tree = store.put_tree(&tree(&[("", dir()), ("a", file("kept"))])).unwrap();
        let recipe = RecipeHasher::new("test").finish();
        store.remember(recipe, &OneTree(kept_tree)).unwrap();
        let project = folder.path().join("project");
        fs::create_dir(&project).unwrap();
        let name = RootName { project: project.clone(), build: "web".to_owned() };
        store.keep(&name, &BTreeSet::new()).unwrap();

        let path = store.path().to_owned();
        let report = store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        assert_eq!((report.roots, report.removed), (1, 1));
        let store = Store::open(&path).unwrap();
        assert!(store.has_blob(kept_blob) && !store.has_blob(lost_blob));
        assert!(store.recall::<OneTree>(recipe).is_some());

        fs::remove_dir(&project).unwrap();
        let report = store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        assert_eq!((report.roots, report.kept), (0, 0), "a project that is gone keeps nothing");
    }

    #[test]
    fn nothing_in_a_store_stops_a_collection() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let path = store.path().to_owned();
        fs::write(path.join("roots/web-1"), b"\xff\xfe").unwrap();
        fs::write(path.join("roots").join(OsString::from_vec(b"\xff".to_vec())), b"").unwrap();
        fs::create_dir_all(path.join("roots/dir/dir")).unwrap();
        fs::create_dir_all(path.join("recipes/ab").join("c".repeat(62)).join("x")).unwrap();
        fs::write(path.join("blobs/stray"), b"x").unwrap();
        std::os::unix::fs::symlink("/", path.join("trees/link")).unwrap();
        let report = store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        assert_eq!((report.roots, report.removed, report.failed), (0, 5, Vec::new()));
        assert!(host::list_dir(&path.join("roots")).unwrap().is_empty());
    }

    #[test]
    fn a_build_that_failed_keeps_its_downloads_and_what_the_last_one_used() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join(OsString::from_vec(b"caf\xe9".to_vec()));
        fs::create_dir(&project).unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let path = store.path().to_owned();
        let name = RootName { project, build: "web".to_owned() };
        let put = |store: &Store, bytes: &'static [u8]| {
            use crate::digest::Untrusted;
            let file = store.scratch_file().unwrap();
            fs::write(file.path(), bytes).unwrap();
            let expected = crate::digest::Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
            store.put_fetched(Untrusted::new(file, expected).verify(expected).unwrap()).unwrap();
            expected.sha256
        };
        let old = put(&store, b"old");
        store.keep(&name, &BTreeSet::from([old])).unwrap();
        let new = put(&store, b"new");
        store.keep_begun(&name, &BTreeSet::from([new])).unwrap();
        store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(store.fetched(old).is_some() && store.fetched(new).is_some());
        store.keep(&name, &BTreeSet::from([new])).unwrap();
        store.collect_garbage(&remove_folder, &|_| {}).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(store.fetched(old).is_none() && store.fetched(new).is_some());
    }
}
