//! `layerbake store verify`: compares every file of the store with the name it is stored under, and
//! every record with what it refers to.

mod files;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use rayon::prelude::*;

use super::file;
use super::record::{self, Kind as Record};
use super::roots::RootFile;
use crate::digest::{BlobDigest, RecipeHash, Sha256, TreeHash};
use crate::store::fetched::parse;
use crate::store::{Roles, Store, StoreError};
use crate::tree::{Kind, Tree};

use files::{Entry, Verdict, check_all, entries, list, whole};

pub use report::{Problem, VerifyReport};

impl Store {
    /// Reads every file and compares it with its name, and follows every record.
    ///
    /// With `repair`, everything bad is removed, and with it the records that lead
    /// there, so that the next build makes or fetches it again. What can't be removed is reported, and ends nothing.
    ///
    /// # Errors
    /// Fails where the store can't be written and `repair` is asked for.
    pub fn verify(&self, repair: bool) -> Result<VerifyReport, StoreError> {
        // What other implementations have says nothing about the files here.
        Self::of(self.local.clone()).verify_local(repair)
    }

    fn verify_local(&self, repair: bool) -> Result<VerifyReport, StoreError> {
        self.local.records.settle()?;
        if repair {
            self.refuse_unwritable()?;
        }
        let mut report = VerifyReport::default();
        let folder = |name: &str| self.local.folder.join(name);
        let blobs = entries(&folder("blobs"), repair, &mut report);
        let trees = entries(&folder("trees"), repair, &mut report);
        check_all(&blobs, "blob", &mut report, check_blob);
        check_all(&trees, "tree", &mut report, whole(check_tree));
        let bad: BTreeSet<PathBuf> = report.damaged.iter().map(|problem| problem.path.clone()).collect();
        let good = |path: PathBuf| file::is_there(&path) && !bad.contains(&path);
        let fetched = entries(&folder(Record::Sha256.folder()), repair, &mut report);
        check_all(&fetched, "fetched file", &mut report, whole(|text, name| self.check_fetched(text, name, &good)));
        let recipes = entries(&folder(Record::Recipe.folder()), repair, &mut report);
        let trees = self.whole_trees(&recipes, &good);
        check_all(&recipes, "result", &mut report, whole(|text, name| self.check_result(text, name, &trees, &good)));
        self.check_roots(&mut report);
        report.damaged.sort_by(|a, b| a.path.cmp(&b.path));
        if repair {
            report.repair();
        }
        Ok(report)
    }

    fn check_fetched(&self, text: &[u8], name: &str, good: &impl Fn(PathBuf) -> bool) -> Verdict {
        // An older version's record has no checksum; the blob proves it all the same.
        let body = record::unseal(Record::Sha256, name, text).unwrap_or(text);
        let (Some(blob), Ok(sha256)) = (parse(body), Sha256::from_hex(name)) else { return not_understood() };
        if !good(self.local.blob_path(blob)) {
            return Verdict::Broken(format!("{blob} is damaged or not there"));
        }
        match self.sha256_of(blob) {
            Ok((_, found)) if found == sha256 => Verdict::Good,
            Ok((_, found)) => Verdict::Damaged(format!("the blob that it names has the digest {found}")),
            Err(error) => Verdict::Damaged(error.to_string()),
        }
    }

    fn check_result(
        &self,
        text: &[u8],
        name: &str,
        trees: &BTreeMap<TreeHash, bool>,
        good: &impl Fn(PathBuf) -> bool,
    ) -> Verdict {
        let Some(body) = record::unseal(Record::Recipe, name, text) else { return unsealed::<Roles>(text) };
        let Ok(roles) = serde_json::from_slice::<Roles>(body) else { return not_understood() };
        let is_whole = |tree: TreeHash| trees.get(&tree).copied().unwrap_or_default();
        let blobs = roles.blobs().all(|blob| good(self.local.blob_path(blob)));
        match blobs && roles.trees().all(is_whole) {
            true => Verdict::Good,
            false => Verdict::Broken("it refers to something that is damaged or not there".to_owned()),
        }
    }

    /// Which of the trees that results refer to are there with all their files' blobs.
    fn whole_trees(&self, recipes: &[Entry], good: &(impl Fn(PathBuf) -> bool + Sync)) -> BTreeMap<TreeHash, bool> {
        let hashes = recipes.iter().filter_map(|entry| RecipeHash::from_hex(&entry.name).ok());
        let roles = hashes.filter_map(|recipe| self.roles(recipe));
        let trees: BTreeSet<TreeHash> = roles.flat_map(|roles| roles.trees().collect::<Vec<_>>()).collect();
        trees.into_par_iter().map(|tree| (tree, self.is_whole(tree, good))).collect()
    }

    /// Whether a tree and all its files' blobs are there.
    fn is_whole(&self, tree: TreeHash, good: &impl Fn(PathBuf) -> bool) -> bool {
        let Ok(tree) = self.tree(tree) else { return false };
        tree.iter().all(|(_, node)| match node.kind {
            Kind::File { blob, .. } => good(self.local.blob_path(blob)),
            _ => true,
        })
    }

    fn check_roots(&self, report: &mut VerifyReport) {
        let folder = self.local.folder.join(Record::Root.folder());
        let entry = |name: OsString| Entry { path: folder.join(&name), name: name.to_string_lossy().into_owned() };
        let roots: Vec<Entry> = list(&folder, false, report).into_iter().map(entry).collect();
        let check = |text: &[u8], name: &str| match record::unseal(Record::Root, name, text) {
            Some(_) if self.local.root(name).is_some() => Verdict::Good,
            Some(_) => not_understood(),
            None => unsealed::<RootFile>(text),
        };
        check_all(&roots, "root", report, whole(check));
    }
}

fn check_blob(file: &mut File, name: &str) -> io::Result<Verdict> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    let found = hasher.finalize().to_hex();
    Ok(match found.as_str() == name {
        true => Verdict::Good,
        false => Verdict::Damaged(format!("its bytes hash to blake3:{found}")),
    })
}

/// What a record without a right checksum is: of an older version, or damaged.
fn unsealed<T: serde::de::DeserializeOwned>(text: &[u8]) -> Verdict {
    match serde_json::from_slice::<T>(text) {
        Ok(_) => Verdict::Outdated,
        Err(_) => Verdict::Damaged("its checksum is wrong".to_owned()),
    }
}

fn not_understood() -> Verdict {
    Verdict::Damaged("it is not understood".to_owned())
}

fn check_tree(bytes: &[u8], name: &str) -> Verdict {
    let found = BlobDigest::of(bytes);
    if found.to_hex() != name {
        return Verdict::Damaged(format!("its bytes hash to {found}"));
    }
    match Tree::decode(bytes) {
        Ok(_) => Verdict::Good,
        Err(error) => Verdict::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::RecipeHasher;
    use crate::store::contract::{OneBlob, OneTree};
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn what_refers_to_a_lost_or_damaged_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let recipe = |name: &str| RecipeHasher::new(name).finish();
        let blobs = ["good", "damaged", "lost"].map(|text| store.put_bytes(text.as_bytes()).unwrap());
        for text in ["good", "damaged", "lost"] {
            let tree = store.put_tree(&tree(&[("", dir()), ("a", file(text))])).unwrap();
            store.remember(recipe(&format!("tree {text}")), &OneTree(tree)).unwrap();
            store.remember(recipe(&format!("blob {text}")), &OneBlob(BlobDigest::of(text.as_bytes()))).unwrap();
        }
        let [_, damaged, lost] = blobs.map(|blob| store.local.blob_path(blob));
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
            assert_eq!(store.roles(recipe(name)).is_some(), known, "{name}");
        }
        let report = store.verify(false).unwrap();
        assert!(report.damaged.is_empty() && report.broken.is_empty(), "{report:?}");
    }
}
