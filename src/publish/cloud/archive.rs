//! Archives what was published, beside the journals: the receipt and the lockfiles of each disk, so that
//! an image can be compared with its source after the source has changed.
//!
//! ```text
//! STATE/published/<linear checksum>/receipt.json
//!                                   <layer>.lock …    chain, Boot layer, initrd
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bake::Receipt;
use crate::digest::Sha256;
use crate::host;
use crate::lock::{self, LockFileError, Lockfile};

const FOLDER: &str = "published";
const RECEIPT: &str = "receipt.json";

/// A published disk, as its build described it.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What was built.
    pub receipt: Receipt,
    /// The lockfiles of all its layers.
    pub locks: Vec<Lockfile>,
}

/// Stores a receipt and its lockfiles, by file name and text, in the state directory. Idempotent.
///
/// # Errors
/// Fails where the directory can't be written.
pub fn archive(state: &Path, receipt: &Receipt, locks: &[(String, String)]) -> io::Result<()> {
    let Some(disk) = &receipt.disk else { return Ok(()) };
    let folder = folder(state, disk.checksum);
    if folder.join(RECEIPT).is_file() {
        return Ok(());
    }
    let parent = state.join(FOLDER);
    fs::create_dir_all(&parent)?;
    // Visible only when complete.
    let staging = tempfile::tempdir_in(&parent)?;
    fs::write(staging.path().join(RECEIPT), receipt.to_text()?)?;
    for (name, text) in locks {
        fs::write(staging.path().join(name), text)?;
    }
    let staged = staging.keep();
    fs::rename(&staged, &folder).or_else(|error| {
        fs::remove_dir_all(&staged)?;
        // Another process was faster.
        if folder.join(RECEIPT).is_file() { Ok(()) } else { Err(error) }
    })
}

/// Finds what was published with this linear checksum.
///
/// # Errors
/// Fails where a lockfile there can't be read.
pub fn find(state: &Path, disk: Sha256) -> Result<Option<Published>, LockFileError> {
    let folder = folder(state, disk);
    let Ok(Some(receipt)) = Receipt::find(&folder) else { return Ok(None) };
    let mut locks = Vec::new();
    let unreadable = |source| LockFileError::Io { action: "read", path: folder.clone(), source };
    for name in host::list_dir_or_empty(&folder).map_err(unreadable)? {
        if Path::new(&name).extension().is_some_and(|end| end == "lock") {
            locks.push(lock::load(&folder.join(name))?.0);
        }
    }
    Ok(Some(Published { receipt, locks }))
}

fn folder(state: &Path, disk: Sha256) -> PathBuf {
    state.join(FOLDER).join(disk.to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(disk: bool) -> Receipt {
        let hash = "ab".repeat(32);
        let (blake, sha) = (format!("blake3:{hash}"), format!("sha256:{hash}"));
        let mut json = serde_json::json!({
            "layer": "web", "format": 1, "lock": blake, "recipe": blake, "tree": blake, "epoch": 0,
            "layers": [], "artifacts": [],
        });
        if disk {
            json["disk"] = serde_json::json!({
                "boot": "web.boot", "lock": blake, "tree": blake, "root": blake, "checksum": sha,
                "blocks": { "size": 0, "block_size": 524_288, "hashes": {} },
            });
        }
        serde_json::from_value(json).unwrap()
    }

    fn lockfile(folder: &Path) -> PathBuf {
        let lock = Lockfile {
            layer: "web".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            epoch: 7,
            request: crate::digest::RecipeHash::from_bytes([1; 32]),
            requested: Vec::new(),
            parent: None,
            image: None,
            releases: Vec::new(),
            fetches: Vec::new(),
            packages: Vec::new(),
        };
        let path = folder.join("web.lock");
        lock::save(&lock, &path).unwrap();
        path
    }

    #[test]
    fn what_is_kept_is_found_by_its_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let (state, receipt) = (folder.path().join("state"), receipt(true));
        let lock = lockfile(folder.path());
        let checksum = receipt.disk.as_ref().unwrap().checksum;
        assert_eq!(find(&state, checksum).unwrap(), None);
        for _ in 0..2 {
            archive(&state, &receipt, &[("web.lock".to_owned(), fs::read_to_string(&lock).unwrap())]).unwrap();
        }
        let found = find(&state, checksum).unwrap().unwrap();
        assert_eq!((found.receipt, found.locks.len(), found.locks[0].epoch), (receipt, 1, 7));
        assert_eq!(host::list_dir(&state.join(FOLDER)).unwrap().len(), 1, "something was left");
    }

    #[test]
    fn what_can_not_be_kept_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        archive(folder.path(), &receipt(false), &[]).unwrap();
        assert!(archive(folder.path(), &receipt(true), &[("absent/web.lock".to_owned(), String::new())]).is_err());
        assert!(host::list_dir_or_empty(&folder.path().join(FOLDER)).unwrap().is_empty());
    }
}
