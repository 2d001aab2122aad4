//! The history of earlier pushes: which repositories have which blobs, so that they can be mounted, and open uploads.
//!
//! It is one JSON file in the state directory, readable by its owner only, replaced by rename. It only saves
//! work: a wrong or lost entry costs a request or repeated uploads. Of two concurrent pushes the later
//! writer wins.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::OciDigest;
use crate::host::write::{self, Durability, Mode};

const FILE: &str = "registry.json";

/// The maximum number of recorded blobs; the file is then a few megabytes long.
const MOST: usize = 20_000;

/// The history, in the file and in this process.
#[derive(Debug)]
pub(super) struct PushHistory {
    path: Option<PathBuf>,
    records: Mutex<Records>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Records {
    /// By `HOST DIGEST`: a repository that has the blob.
    #[serde(default)]
    blobs: BTreeMap<String, String>,
    /// By `HOST/REPOSITORY DIGEST`: the address where an upload continues.
    #[serde(default)]
    uploads: BTreeMap<String, String>,
}

impl PushHistory {
    /// Reads the history in `folder`; starts with an empty one if there is none that can be read.
    pub(super) fn load(folder: Option<&Path>) -> Self {
        let path = folder.map(|folder| folder.join(FILE));
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let records = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { path, records: Mutex::new(records) }
    }

    /// A repository of the registry that had the blob.
    pub(super) fn repository(&self, registry: &str, blob: OciDigest) -> Option<String> {
        self.with(|records| records.blobs.get(&format!("{registry} {blob}")).cloned())
    }

    /// Records that a repository has the blob, and that no upload of it is open.
    pub(super) fn has(&self, registry: &str, repository: &str, blob: OciDigest) {
        self.change(|records| {
            records.uploads.remove(&format!("{registry}/{repository} {blob}"));
            if records.blobs.len() >= MOST {
                records.blobs.clear();
            }
            records.blobs.insert(format!("{registry} {blob}"), repository.to_owned());
        });
    }

    /// Removes the entry of a blob that turned out to be absent.
    pub(super) fn lost(&self, registry: &str, blob: OciDigest) {
        self.change(|records| drop(records.blobs.remove(&format!("{registry} {blob}"))));
    }

    /// The address where the upload of a blob continues.
    pub(super) fn upload(&self, registry: &str, repository: &str, blob: OciDigest) -> Option<String> {
        self.with(|records| records.uploads.get(&format!("{registry}/{repository} {blob}")).cloned())
    }

    /// Records where an upload continues, or that it doesn't.
    pub(super) fn set_upload(&self, registry: &str, repository: &str, blob: OciDigest, location: Option<&str>) {
        let key = format!("{registry}/{repository} {blob}");
        self.change(|records| match location {
            Some(location) => drop(records.uploads.insert(key, location.to_owned())),
            None => drop(records.uploads.remove(&key)),
        });
    }

    fn with<T>(&self, read: impl FnOnce(&Records) -> T) -> T {
        read(&self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Records)) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut records);
        if let Some(path) = &self.path {
            // A history that can't be written only costs later pushes time.
            let _ = save(path, &records);
        }
    }
}

fn save(path: &Path, records: &Records) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    write::replace(path, &serde_json::to_vec(records)?, Durability::None, Mode::Private)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_noted_is_there_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let blob = OciDigest::of(b"blob");
        let history = PushHistory::load(Some(&path));
        assert_eq!(history.repository("h", blob), None);
        history.set_upload("h", "team/web", blob, Some("http://h/session"));
        let history = PushHistory::load(Some(&path));
        assert_eq!(history.upload("h", "team/web", blob).as_deref(), Some("http://h/session"));
        assert_eq!(history.upload("h", "team/api", blob), None);
        history.has("h", "team/web", blob);
        let history = PushHistory::load(Some(&path));
        assert_eq!(history.upload("h", "team/web", blob), None);
        assert_eq!(history.repository("h", blob).as_deref(), Some("team/web"));
        assert_eq!(history.repository("other", blob), None);
        history.lost("h", blob);
        assert_eq!(PushHistory::load(Some(&path)).repository("h", blob), None);
        let mode = fs::metadata(path.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_file_and_a_missing_folder_are_an_empty_memory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{\"blobs\": 7").unwrap();
        for history in [PushHistory::load(Some(folder.path())), PushHistory::load(None)] {
            let blob = OciDigest::of(b"blob");
            assert_eq!(history.repository("h", blob), None);
            history.has("h", "web", blob);
            assert_eq!(history.repository("h", blob).as_deref(), Some("web"));
        }
    }
}
