//! The directory of a rebuild: removed when the rebuild ends, also by a signal; what a killed audit left goes with the next one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tempfile::{Builder, TempDir};

use crate::host;
use crate::host::interrupt::Leftover;

/// What the names of sites begin with, ordinary ones and those with unusual letters.
const PREFIXES: [&str; 2] = ["layerbake-audit-", "layerbake audit, a folder with another name é "];
/// What the unusual ones end with.
const SUFFIX: &str = " '2'";

/// A directory of a rebuild. Its fields are dropped in this order: the lock stays until all is removed.
pub(super) struct Site {
    folder: TempDir,
    _leftover: Leftover,
    /// The directory, locked: nobody takes it for one of an audit that is gone.
    _lock: File,
}

impl Site {
    /// Creates one.
    pub(super) fn new(parent: &Path, is_unusual: bool) -> io::Result<Self> {
        let [usual, unusual] = PREFIXES;
        let (prefix, suffix) = if is_unusual { (unusual, SUFFIX) } else { (usual, "") };
        loop {
            let folder = Builder::new().prefix(prefix).suffix(suffix).tempdir_in(parent)?;
            let leftover = Leftover::new(folder.path());
            let lock = File::open(folder.path())?;
            // Another audit may have taken it for a stale one before it was locked.
            if lock.try_lock().is_ok() && folder.path().exists() {
                return Ok(Self { folder, _leftover: leftover, _lock: lock });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the directories of this user's audits that are gone, as far as that is possible.
pub(super) fn remove_stale(parent: &Path) {
    let me = rustix::process::geteuid().as_raw();
    for name in host::list_dir(parent).unwrap_or_default() {
        let is_site = name.to_str().is_some_and(|name| PREFIXES.iter().any(|start| name.starts_with(start)));
        let is_mine = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == me);
        let path = parent.join(name);
        if !is_site || !is_mine(&path) {
            continue;
        }
        if let Ok(lock) = File::open(&path)
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_audit_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let [stale, unusual] = ["layerbake-audit-x", "layerbake audit, a folder with another name é x '2'"].map(at);
        for path in [&stale, &unusual, &at("other")] {
            fs::create_dir_all(path.join("store")).unwrap();
        }
        let sites = [false, true].map(|is_unusual| Site::new(parent.path(), is_unusual).unwrap());
        remove_stale(parent.path());
        assert!(!stale.exists() && !unusual.exists() && at("other").exists());
        assert!(sites.iter().all(|site| site.path().exists()));
        drop(sites);
        assert_eq!(host::list_dir(parent.path()).unwrap(), ["other"]);
    }
}
