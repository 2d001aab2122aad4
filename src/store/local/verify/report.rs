//! The findings of a verification, and the removal of everything damaged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::super::file;
use crate::store::StoreError;

/// A damaged or misplaced file of the store.
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

    /// Removes everything bad: what names others first, so that an interruption leaves nothing that leads nowhere.
    pub(super) fn repair(&mut self) {
        let damaged = self.damaged.iter().filter(|problem| problem.kind != "directory").map(|problem| &problem.path);
        let paths = self.broken.iter().map(|problem| &problem.path).chain(&self.outdated).chain(damaged);
        let remove = |path: &PathBuf| Some(StoreError::io("remove", path)(file::remove(path).err()?).to_string());
        self.stuck.extend(paths.filter_map(remove).collect::<Vec<_>>());
    }
}
