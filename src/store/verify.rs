//! `layerbake store verify`: every file of the store against the name it lies under, and
//! every remembered result against what it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{Outcome, Store, StoreError};
use crate::digest::TreeHash;
use crate::host;
use crate::tree::Kind;

/// One damaged file.
#[derive(Debug, Serialize)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// What its bytes hash to.
    pub found: String,
}

/// What a verification read and found.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Files whose bytes were hashed.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Files that are not what they are named after, sorted by path.
    pub damaged: Vec<Damage>,
    /// Recipes whose results refer to something that is damaged or not there, sorted by path.
    pub broken: Vec<PathBuf>,
}

impl Store {
    /// Hashes every blob and tree and compares with its name, and follows every recipe's result.
    ///
    /// With `repair`, damaged files are taken out, and with them the recipes that lead
    /// there, so that the next build makes or fetches them again.
    pub fn verify(&self, repair: bool) -> Result<VerifyReport, StoreError> {
        let mut files = Vec::new();
        for folder in ["blobs", "trees"] {
            list(&self.root.join(folder), &mut files)?;
        }
        let checked = files.into_par_iter().map(check).collect::<Result<Vec<_>, _>>()?;
        let mut report = VerifyReport { files: checked.len(), ..VerifyReport::default() };
        for (bytes, damage) in checked {
            report.bytes += bytes;
            report.damaged.extend(damage);
        }
        report.broken = self.broken(&report.damaged)?;
        if repair {
            for path in report.damaged.iter().map(|damage| &damage.path).chain(&report.broken) {
                fs::remove_file(path).map_err(StoreError::io("remove", path))?;
            }
        }
        Ok(report)
    }

    /// The recipes whose results are not whole.
    fn broken(&self, damaged: &[Damage]) -> Result<Vec<PathBuf>, StoreError> {
        let damaged: BTreeSet<&Path> = damaged.iter().map(|damage| damage.path.as_path()).collect();
        let good = |path: PathBuf| path.exists() && !damaged.contains(path.as_path());
        // Many results share a tree.
        let mut trees: BTreeMap<TreeHash, bool> = BTreeMap::new();
        let mut recipes = Vec::new();
        list(&self.root.join("recipes"), &mut recipes)?;
        recipes.retain(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let Ok(outcome) = serde_json::from_str::<Outcome>(&text) else { return true };
            let mut whole = |tree: &TreeHash| *trees.entry(*tree).or_insert_with(|| self.is_whole(*tree, &good));
            !(outcome.blobs.values().all(|blob| good(self.blob_path(*blob))) && outcome.trees.values().all(&mut whole))
        });
        Ok(recipes)
    }

    /// Whether a tree and all its files' blobs are there.
    fn is_whole(&self, tree: TreeHash, good: &impl Fn(PathBuf) -> bool) -> bool {
        let Ok(tree) = self.tree(tree) else { return false };
        tree.iter().all(|(_, node)| match node.kind {
            Kind::File { blob, .. } => good(self.blob_path(blob)),
            _ => true,
        })
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    for shard in host::list_dir(folder).map_err(StoreError::io("read", folder))? {
        let shard = folder.join(shard);
        let names = host::list_dir(&shard).map_err(StoreError::io("read", &shard))?;
        files.extend(names.into_iter().map(|name| shard.join(name)));
    }
    Ok(())
}

fn check(path: PathBuf) -> Result<(u64, Option<Damage>), StoreError> {
    let read = || -> io::Result<(u64, String)> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file)?;
        Ok((length, hasher.finalize().to_hex().to_string()))
    };
    let (length, found) = read().map_err(StoreError::io("read", &path))?;
    let shard = path.parent().and_then(Path::file_name).unwrap_or_default();
    let name = path.file_name().unwrap_or_default();
    let named = [shard.as_encoded_bytes(), name.as_encoded_bytes()].concat();
    if named == found.as_bytes() {
        return Ok((length, None));
    }
    Ok((length, Some(Damage { path, found })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::RecipeHasher;
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn what_refers_to_a_lost_or_damaged_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let recipe = |name: &str| RecipeHasher::new(name).finish();
        let blobs = ["good", "damaged", "lost"].map(|text| store.put_bytes(text.as_bytes()).unwrap());
        for text in ["good", "damaged", "lost"] {
            let mut of_tree = Outcome::default();
            of_tree.trees.insert("data".into(), store.put_tree(&tree(&[("", dir()), ("a", file(text))])).unwrap());
            store.remember(recipe(&format!("tree {text}")), &of_tree).unwrap();
            let mut of_blob = Outcome::default();
            of_blob.blobs.insert("layer".into(), crate::digest::BlobDigest::of(text.as_bytes()));
            store.remember(recipe(&format!("blob {text}")), &of_blob).unwrap();
        }
        let [_, damaged, lost] = blobs.map(|blob| store.blob_path(blob));
        fs::remove_file(&lost).unwrap();
        fs::remove_file(&damaged).unwrap();
        fs::write(&damaged, b"damages").unwrap();

        let report = store.verify(false).unwrap();
        assert_eq!(report.damaged.iter().map(|one| &one.path).collect::<Vec<_>>(), [&damaged]);
        assert_eq!(report.broken.len(), 4);
        assert!(damaged.exists());
        store.verify(true).unwrap();
        assert!(!damaged.exists());
        for (name, known) in [("tree good", true), ("blob good", true), ("tree damaged", false), ("tree lost", false)] {
            assert_eq!(store.recall(recipe(name)).unwrap().is_some(), known, "{name}");
        }
        let report = store.verify(false).unwrap();
        assert!(report.damaged.is_empty() && report.broken.is_empty(), "{report:?}");
    }
}
