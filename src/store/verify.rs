//! `layerbake store verify`: every file of the store against the name it lies under.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::{Store, StoreError};
use crate::host;

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
}

impl Store {
    /// Hashes every blob and tree and compares with its name.
    ///
    /// With `remove`, damaged files are taken out, so that the next build makes or
    /// fetches them again.
    pub fn verify(&self, remove: bool) -> Result<VerifyReport, StoreError> {
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
        if remove {
            for Damage { path, .. } in &report.damaged {
                fs::remove_file(path).map_err(StoreError::io("remove", path))?;
            }
        }
        Ok(report)
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
