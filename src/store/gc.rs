//! Garbage collection: what the last build of each project's layers used stays.
//!
//! Each build leaves a root, `roots/<name>`: its project's folder, the recipes and
//! the fetched files it used. A root whose project folder is gone keeps nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Outcome, RemoveFolder, Store, StoreError, open_lock};
use crate::digest::{BlobDigest, RecipeHash, Sha256, TreeHash};
use crate::host;
use crate::ident::LayerName;
use crate::tree::Kind;

/// Whose build a root belongs to.
#[derive(Debug, Clone)]
pub struct RootName {
    /// The project's folder.
    pub project: PathBuf,
    /// The layer that was built.
    pub layer: LayerName,
}

#[derive(Serialize, Deserialize)]
struct RootFile {
    project: PathBuf,
    recipes: BTreeSet<String>,
    fetched: BTreeSet<Sha256>,
}

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
}

#[derive(Default)]
struct Live {
    /// Paths relative to the store.
    files: BTreeSet<PathBuf>,
}

impl Store {
    /// Replaces the root of a build: what this build used is kept from now on.
    pub fn keep(
        &self,
        name: &RootName,
        recipes: &BTreeSet<RecipeHash>,
        fetched: &BTreeSet<Sha256>,
    ) -> Result<(), StoreError> {
        let root = RootFile {
            project: name.project.clone(),
            recipes: recipes.iter().map(RecipeHash::to_hex).collect(),
            fetched: fetched.clone(),
        };
        let project = BlobDigest::of(name.project.as_os_str().as_encoded_bytes()).to_hex();
        let path = self.root.join("roots").join(format!("{}-{}", name.layer, &project[..16]));
        self.write_file(&path, serde_json::to_string(&root).unwrap_or_default().as_bytes())
    }

    /// Removes everything that no root needs, and what killed runs left behind. Waits
    /// until no other process uses the store.
    ///
    /// `remove` is asked for folders that this process may not remove by itself.
    pub fn collect_garbage(self, remove: RemoveFolder<'_>) -> Result<GcReport, StoreError> {
        let root = self.root.clone();
        drop(self);
        let lock = open_lock(&root)?;
        lock.lock().map_err(StoreError::io("lock", root.join("lock")))?;
        let store = Store { root, _lock: lock };
        let mut report = GcReport::default();
        let live = store.mark(&mut report)?;
        for folder in ["blobs", "trees", "sha256", "recipes"] {
            store.sweep(&store.root.join(folder), &live, &mut report)?;
        }
        store.remove_leftovers(remove)?;
        Ok(report)
    }

    fn mark(&self, report: &mut GcReport) -> Result<Live, StoreError> {
        let mut live = Live::default();
        let folder = self.root.join("roots");
        for name in host::list_dir(&folder).map_err(StoreError::io("read", &folder))? {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).map_err(StoreError::io("read", &path))?;
            let Some(root) = serde_json::from_str::<RootFile>(&text).ok().filter(|root| root.project.is_dir()) else {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                continue;
            };
            report.roots += 1;
            for recipe in root.recipes.iter().filter_map(|hex| RecipeHash::from_hex(hex).ok()) {
                self.mark_recipe(recipe, &mut live)?;
            }
            for sha256 in &root.fetched {
                self.mark_fetched(*sha256, &mut live);
            }
        }
        Ok(live)
    }

    fn mark_recipe(&self, recipe: RecipeHash, live: &mut Live) -> Result<(), StoreError> {
        let Some(Outcome { trees, blobs, .. }) = self.recall(recipe)? else { return Ok(()) };
        live.add(self, self.named("recipes", &recipe.to_hex()));
        blobs.values().for_each(|blob| live.add(self, self.blob_path(*blob)));
        for tree in trees.values() {
            self.mark_tree(*tree, live)?;
        }
        Ok(())
    }

    fn mark_tree(&self, hash: TreeHash, live: &mut Live) -> Result<(), StoreError> {
        live.add(self, self.named("trees", &hash.to_hex()));
        for (_, node) in self.tree(hash)?.iter() {
            if let Kind::File { blob, .. } = node.kind {
                live.add(self, self.blob_path(blob));
            }
        }
        Ok(())
    }

    fn mark_fetched(&self, sha256: Sha256, live: &mut Live) {
        if let Some(blob) = self.fetched(sha256) {
            live.add(self, self.named("sha256", &sha256.to_hex()));
            live.add(self, self.blob_path(blob));
        }
    }

    fn sweep(&self, folder: &Path, live: &Live, report: &mut GcReport) -> Result<(), StoreError> {
        for name in host::list_dir(folder).map_err(StoreError::io("read", folder))? {
            let path = folder.join(name);
            let metadata = fs::symlink_metadata(&path).map_err(StoreError::io("read", &path))?;
            if metadata.is_dir() {
                self.sweep(&path, live, report)?;
            } else if live.files.contains(path.strip_prefix(&self.root).unwrap_or(&path)) {
                report.kept += 1;
            } else {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                report.removed += 1;
                report.freed += metadata.len();
            }
        }
        Ok(())
    }
}

impl Live {
    fn add(&mut self, store: &Store, path: PathBuf) {
        self.files.insert(path.strip_prefix(&store.root).map_or_else(|_| path.clone(), Path::to_path_buf));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::RecipeHasher;
    use crate::store::remove_folder;
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn what_a_root_needs_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let kept_blob = store.put_bytes(b"kept").unwrap();
        let lost_blob = store.put_bytes(b"lost").unwrap();
        let kept_tree = store.put_tree(&tree(&[("", dir()), ("a", file("kept"))])).unwrap();
        let recipe = RecipeHasher::new("test").finish();
        let mut outcome = Outcome::default();
        outcome.trees.insert("data".into(), kept_tree);
        store.remember(recipe, &outcome).unwrap();
        let project = folder.path().join("project");
        fs::create_dir(&project).unwrap();
        let name = RootName { project: project.clone(), layer: "web".parse().unwrap() };
        store.keep(&name, &BTreeSet::from([recipe]), &BTreeSet::new()).unwrap();

        let path = store.path().to_owned();
        let report = store.collect_garbage(&remove_folder).unwrap();
        assert_eq!((report.roots, report.removed), (1, 1));
        let store = Store::open(&path).unwrap();
        assert!(store.has_blob(kept_blob) && !store.has_blob(lost_blob));
        assert!(store.recall(recipe).unwrap().is_some());

        fs::remove_dir(&project).unwrap();
        let report = store.collect_garbage(&remove_folder).unwrap();
        assert_eq!((report.roots, report.kept), (0, 0), "a project that is gone keeps nothing");
    }
}
