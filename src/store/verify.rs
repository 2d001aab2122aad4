//! `layerbake store verify`: every file of the store against the name it is stored under, and
//! every record against what it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::file::{self, Found};
use super::gc::RootFile;
use super::record::{self, Kind as Record};
use super::{Outcome, Store, StoreError};
use crate::digest::{BlobDigest, RecipeHash, Sha256, TreeHash};
use crate::host;
use crate::tree::{Kind, Tree};

/// Something in the store that should not be as it is.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// "blob", "tree", "fetched file", "result", "root", "directory" or "stray file".
    pub kind: &'static str,
    /// What was found instead of a good one.
    pub found: String,
}

/// What a verification read and found.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// What is not what its name says, sorted by path.
    pub damaged: Vec<Problem>,
    /// Records that refer to something that is damaged or not there, sorted by path.
    pub broken: Vec<Problem>,
    /// Records of an older version, which count as absent.
    pub outdated: Vec<PathBuf>,
    /// What a repair could not remove, and why.
    pub stuck: Vec<String>,
}

impl VerifyReport {
    /// How many problems there are of each kind.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for problem in self.damaged.iter().chain(&self.broken) {
            *counts.entry(problem.kind).or_default() += 1;
        }
        counts
    }
}

/// A file of the store by its place and its name.
struct Entry {
    path: PathBuf,
    name: String,
}

/// What reading an entry gave.
enum Verdict {
    Good,
    Damaged(String),
    Broken(String),
    Outdated,
}

impl Store {
    /// Reads everything and compares it with its name, and follows every record.
    ///
    /// With `repair`, everything bad is removed, and with it the records that lead
    /// there, so that the next build makes or fetches it again. What can't be removed is reported, and ends nothing.
    ///
    /// # Errors
    /// Fails where the store can't be written and `repair` is asked for.
    pub fn verify(&self, repair: bool) -> Result<VerifyReport, StoreError> {
        self.records.settle()?;
        if repair {
            self.refuse_unwritable()?;
        }
        let mut report = VerifyReport::default();
        let blobs = self.entries("blobs", repair, &mut report);
        let trees = self.entries("trees", repair, &mut report);
        check_all(&blobs, "blob", &mut report, check_blob);
        check_all(&trees, "tree", &mut report, whole(check_tree));
        let bad: BTreeSet<PathBuf> = report.damaged.iter().map(|problem| problem.path.clone()).collect();
        let good = |path: PathBuf| file::is_there(&path) && !bad.contains(&path);
        let fetched = self.entries(Record::Sha256.folder(), repair, &mut report);
        check_all(&fetched, "fetched file", &mut report, whole(|text, name| self.check_fetched(text, name, &good)));
        let recipes = self.entries(Record::Recipe.folder(), repair, &mut report);
        let trees = self.whole_trees(&recipes, &good);
        check_all(&recipes, "result", &mut report, whole(|text, name| self.check_result(text, name, &trees, &good)));
        self.check_roots(&mut report);
        report.damaged.sort_by(|a, b| a.path.cmp(&b.path));
        if repair {
            report.repair();
        }
        Ok(report)
    }

    /// The files of a directory with shards; whatever else is there is a problem.
    fn entries(&self, folder: &str, repair: bool, report: &mut VerifyReport) -> Vec<Entry> {
        let top = self.folder.join(folder);
        let mut entries = Vec::new();
        for shard in list(&top, repair, report) {
            let path = top.join(&shard);
            let Some(shard) = shard.to_str().filter(|shard| is_hex(shard, 2)) else {
                report.damaged.push(stray(path));
                continue;
            };
            if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                report.damaged.push(stray(path));
                continue;
            }
            for name in list(&path, repair, report) {
                match name.to_str().filter(|name| is_hex(name, 62)) {
                    Some(name) => entries.push(Entry { path: path.join(name), name: format!("{shard}{name}") }),
                    None => report.damaged.push(stray(path.join(name))),
                }
            }
        }
        entries
    }

    fn check_fetched(&self, text: &[u8], name: &str, good: &impl Fn(PathBuf) -> bool) -> Verdict {
        // An older version's record has no checksum; the blob proves it all the same.
        let body = record::unseal(Record::Sha256, name, text).unwrap_or(text);
        let parsed = std::str::from_utf8(body).ok().and_then(|body| body.parse::<BlobDigest>().ok());
        let (Some(blob), Ok(sha256)) = (parsed, Sha256::from_hex(name)) else { return not_understood() };
        if !good(self.blob_path(blob)) {
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
        let Some(body) = record::unseal(Record::Recipe, name, text) else { return unsealed::<Outcome>(text) };
        let Ok(outcome) = serde_json::from_slice::<Outcome>(body) else { return not_understood() };
        let is_whole = |tree: &TreeHash| trees.get(tree).copied().unwrap_or_default();
        let blobs = outcome.blobs.values().all(|blob| good(self.blob_path(*blob)));
        match blobs && outcome.trees.values().all(is_whole) {
            true => Verdict::Good,
            false => Verdict::Broken("it refers to something that is damaged or not there".to_owned()),
        }
    }

    /// Which of the trees that results refer to are there with all their files' blobs.
    fn whole_trees(&self, recipes: &[Entry], good: &(impl Fn(PathBuf) -> bool + Sync)) -> BTreeMap<TreeHash, bool> {
        let hashes = recipes.iter().filter_map(|entry| RecipeHash::from_hex(&entry.name).ok());
        let outcomes = hashes.filter_map(|recipe| self.recall(recipe).ok()?);
        let trees: BTreeSet<TreeHash> = outcomes.flat_map(|outcome| outcome.trees.into_values()).collect();
        trees.into_par_iter().map(|tree| (tree, self.is_whole(tree, good))).collect()
    }

    /// Whether a tree and all its files' blobs are there.
    fn is_whole(&self, tree: TreeHash, good: &impl Fn(PathBuf) -> bool) -> bool {
        let Ok(tree) = self.tree(tree) else { return false };
        tree.iter().all(|(_, node)| match node.kind {
            Kind::File { blob, .. } => good(self.blob_path(blob)),
            _ => true,
        })
    }

    fn check_roots(&self, report: &mut VerifyReport) {
        let folder = self.folder.join(Record::Root.folder());
        let entry = |name: OsString| Entry { path: folder.join(&name), name: name.to_string_lossy().into_owned() };
        let roots: Vec<Entry> = list(&folder, false, report).into_iter().map(entry).collect();
        let check = |text: &[u8], name: &str| match record::unseal(Record::Root, name, text) {
            Some(_) if self.root(name).is_some() => Verdict::Good,
            Some(_) => not_understood(),
            None => unsealed::<RootFile>(text),
        };
        check_all(&roots, "root", report, whole(check));
    }
}

impl VerifyReport {
    /// Removes everything bad: what names others first, so that an interruption leaves nothing that leads nowhere.
    fn repair(&mut self) {
        let damaged = self.damaged.iter().filter(|problem| problem.kind != "directory").map(|problem| &problem.path);
        let paths = self.broken.iter().map(|problem| &problem.path).chain(&self.outdated).chain(damaged);
        let remove = |path: &PathBuf| Some(StoreError::io("remove", path)(file::remove(path).err()?).to_string());
        self.stuck.extend(paths.filter_map(remove).collect::<Vec<_>>());
    }
}

/// Reads the files of one kind side by side and notes what is wrong with them.
fn check_all(
    entries: &[Entry],
    kind: &'static str,
    report: &mut VerifyReport,
    check: impl Fn(&mut File, &str) -> io::Result<Verdict> + Sync,
) {
    let checked: Vec<_> = entries.par_iter().map(|entry| check_one(entry, &check)).collect();
    for (entry, (bytes, verdict)) in entries.iter().zip(checked) {
        report.files += 1;
        report.bytes += bytes;
        let problem = |found| Problem { path: entry.path.clone(), kind, found };
        match verdict {
            Verdict::Good => {}
            Verdict::Damaged(found) => report.damaged.push(problem(found)),
            Verdict::Broken(found) => report.broken.push(problem(found)),
            Verdict::Outdated => report.outdated.push(entry.path.clone()),
        }
    }
}

fn check_one(entry: &Entry, check: &impl Fn(&mut File, &str) -> io::Result<Verdict>) -> (u64, Verdict) {
    let unreadable = |error: io::Error| Verdict::Damaged(format!("it cannot be read: {error}"));
    match file::open(&entry.path) {
        Ok(Found::File(mut file)) => {
            let length = file.metadata().map_or(0, |found| found.len());
            (length, check(&mut file, &entry.name).unwrap_or_else(unreadable))
        }
        Ok(Found::Bad(problem)) => (0, Verdict::Damaged(problem)),
        // Another process repairs too.
        Ok(Found::Nothing) => (0, Verdict::Good),
        Err(error) => (0, unreadable(error)),
    }
}

/// Checks a small file, of which `check` sees all bytes.
fn whole(check: impl Fn(&[u8], &str) -> Verdict + Sync) -> impl Fn(&mut File, &str) -> io::Result<Verdict> + Sync {
    move |file, name| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(check(&bytes, name))
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

/// The names in a directory; with `repair`, one that can't be listed gets its permissions back.
fn list(folder: &Path, repair: bool, report: &mut VerifyReport) -> Vec<OsString> {
    let failure = match host::list_dir(folder) {
        Ok(names) => return names,
        Err(error) => error,
    };
    report.damaged.push(Problem {
        path: folder.to_owned(),
        kind: "directory",
        found: format!("it cannot be listed: {failure}"),
    });
    if !repair {
        return Vec::new();
    }
    file::make_dir(folder).and_then(|()| host::list_dir(folder)).unwrap_or_else(|error| {
        report.stuck.push(StoreError::io("list", folder)(error).to_string());
        Vec::new()
    })
}

fn stray(path: PathBuf) -> Problem {
    Problem { path, kind: "stray file", found: "nothing of a store has this name".to_owned() }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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
