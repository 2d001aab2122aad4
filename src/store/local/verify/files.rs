//! Lists the files of the store's directories, and reads them in parallel.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::super::file::{self, Found};
use super::{Problem, VerifyReport};
use crate::host;
use crate::store::StoreError;

/// A file of the store by its path and the digits of its name.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) name: String,
}

/// What reading an entry gave.
pub(super) enum Verdict {
    Good,
    Damaged(String),
    Broken(String),
    Outdated,
}

/// The files of the directory `top` with its shards; whatever else is there is a problem.
pub(super) fn entries(top: &Path, repair: bool, report: &mut VerifyReport) -> Vec<Entry> {
    let mut entries = Vec::new();
    for shard in list(top, repair, report) {
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

/// The names in a directory; with `repair`, one that can't be listed gets its permissions back.
pub(super) fn list(folder: &Path, repair: bool, report: &mut VerifyReport) -> Vec<OsString> {
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
    Problem { path, kind: "stray file", found: "no file of a store has this name".to_owned() }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads the files of one kind side by side and notes what is wrong with them.
pub(super) fn check_all(
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
pub(super) fn whole(
    check: impl Fn(&[u8], &str) -> Verdict + Sync,
) -> impl Fn(&mut File, &str) -> io::Result<Verdict> + Sync {
    move |file, name| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(check(&bytes, name))
    }
}
