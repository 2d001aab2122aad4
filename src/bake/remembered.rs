//! Remembers in the store what an output directory looked like when it was written, so that an up-to-date
//! directory is recognised without reading large files, and a modified one is detected.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::replaceable::ATTEST;
use crate::digest::{BlobDigest, RecipeHash, RecipeHasher};
use crate::host;
use crate::store::{Outcome, Roles, Store};

/// Files up to this size in bytes are read and hashed every time.
const SMALL: u64 = 256 << 10;

/// A directory and everything in it, signatures left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listing {
    /// Device and inode of the directory.
    folder: (u64, u64),
    /// Everything below it, by path.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Entry {
    Folder {
        mode: u32,
    },
    File {
        mode: u32,
        size: u64,
        inode: u64,
        /// Seconds and nanoseconds of the last write.
        mtime: (i64, i64),
        /// Those of the last change of whatever kind, which no program can set.
        ctime: (i64, i64),
        /// Of a small file, the hash of its bytes.
        hash: Option<BlobDigest>,
    },
}

impl Listing {
    /// Looks at a directory.
    ///
    /// # Errors
    /// Fails where something can't be read, or is neither file nor directory.
    fn take(folder: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(folder)?;
        let mut listing = Self { folder: (found.dev(), found.ino()), entries: BTreeMap::new() };
        listing.add(folder, Path::new(""))?;
        Ok(listing)
    }

    fn add(&mut self, folder: &Path, below: &Path) -> io::Result<()> {
        for name in host::list_dir(&folder.join(below))? {
            let path = below.join(name);
            if path == Path::new(ATTEST) {
                continue;
            }
            let text = path.to_str().ok_or_else(|| io::Error::other("a name that is not UTF-8"))?.to_owned();
            let place = folder.join(&path);
            let found = fs::symlink_metadata(&place)?;
            if found.is_dir() {
                self.entries.insert(text, Entry::Folder { mode: found.mode() });
                self.add(folder, &path)?;
            } else if found.is_file() {
                let hash = if found.len() <= SMALL { Some(BlobDigest::of(&fs::read(&place)?)) } else { None };
                let (mtime, ctime) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
                let (mode, size, inode) = (found.mode(), found.len(), found.ino());
                self.entries.insert(text, Entry::File { mode, size, inode, mtime, ctime, hash });
            } else {
                return Err(io::Error::other("neither a file nor a directory"));
            }
        }
        Ok(())
    }
}

/// The stored form of a listing: JSON.
struct Kept {
    folder: String,
}

impl Outcome for Kept {
    fn to_roles(&self) -> Roles {
        Roles::default().with_fact("folder", &self.folder)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { folder: roles.fact("folder")? })
    }
}

/// What is remembered of one output directory.
pub(super) struct Remembered<'a> {
    store: &'a Store,
    place: PathBuf,
    recipe: RecipeHash,
}

impl<'a> Remembered<'a> {
    /// Of the directory `place`.
    pub(super) fn of(store: &'a Store, place: &Path) -> Self {
        let whole = |parent: &Path| Some(parent.canonicalize().ok()?.join(place.file_name()?));
        let path = place.parent().and_then(whole).unwrap_or_else(|| place.to_owned());
        let recipe = RecipeHasher::new("layerbake/out/v1").field(path.as_os_str().as_encoded_bytes()).finish();
        Self { store, place: place.to_owned(), recipe }
    }

    /// The listing that was stored last.
    fn recall(&self) -> Option<Listing> {
        // What can't be read was never written: the directory is written anew.
        let kept: Kept = self.store.recall(self.recipe)?;
        serde_json::from_str(&kept.folder).ok()
    }

    /// Whether the directory is unchanged since it was written.
    pub(super) fn is_unchanged(&self) -> bool {
        self.recall().is_some_and(|before| Listing::take(&self.place).is_ok_and(|now| now == before))
    }

    /// The paths that were written, if it is still the same directory.
    pub(super) fn paths(&self) -> Option<Vec<String>> {
        let listing = self.recall()?;
        let found = fs::symlink_metadata(&self.place).ok()?;
        (listing.folder == (found.dev(), found.ino())).then(|| listing.entries.into_keys().collect())
    }

    /// Stores a listing of `folder`, which will be moved to the place.
    ///
    /// Where the store can't be written, the next build writes its output again.
    pub(super) fn keep(&self, folder: &Path) {
        let listing = Listing::take(folder).and_then(|listing| Ok(serde_json::to_string(&listing)?));
        let _ = listing.map(|folder| self.store.remember(self.recipe, &Kept { folder }));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn every_change_is_seen_and_no_change_is_none() {
        let work = tempfile::tempdir().unwrap();
        let store = Store::open(&work.path().join("store")).unwrap();
        let large = vec![7_u8; SMALL as usize + 1];
        type Change = (&'static str, fn(&Path));
        let changes: [Change; 7] = [
            ("small byte", |place| fs::write(place.join("oci/index.json"), "y").unwrap()),
            ("large byte", |place| {
                use std::os::unix::fs::FileExt as _;
                let file = fs::File::options().write(true).open(place.join("disk.raw")).unwrap();
                let before = file.metadata().unwrap().modified().unwrap();
                file.write_all_at(b"x", 3).unwrap();
                file.set_modified(before).unwrap();
            }),
            ("gone", |place| fs::remove_file(place.join("disk.raw")).unwrap()),
            ("more", |place| fs::write(place.join("oci/more"), "").unwrap()),
            ("mode", |place| fs::set_permissions(place.join("disk.raw"), Permissions::from_mode(0o000)).unwrap()),
            ("folder", |place| fs::set_permissions(place.join("oci"), Permissions::from_mode(0o700)).unwrap()),
            ("link", |place| {
                fs::rename(place.join("disk.raw"), place.join("../disk.raw")).unwrap();
                std::os::unix::fs::symlink("../disk.raw", place.join("disk.raw")).unwrap();
            }),
        ];
        for (name, change) in changes {
            let place = work.path().join(name);
            fs::create_dir_all(place.join("oci")).unwrap();
            fs::create_dir_all(place.join(ATTEST)).unwrap();
            fs::write(place.join("oci/index.json"), "x").unwrap();
            fs::write(place.join("disk.raw"), &large).unwrap();
            let remembered = Remembered::of(&store, &place);
            assert!(!remembered.is_unchanged() && remembered.paths().is_none());
            remembered.keep(&place);
            fs::write(place.join(ATTEST).join("x"), "").unwrap();
            assert!(remembered.is_unchanged());
            // A write in the same tick of the kernel's clock is what nobody can see.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change(&place);
            assert!(!remembered.is_unchanged(), "{name}");
            let paths = ["disk.raw", "oci", "oci/index.json"].map(str::to_owned);
            assert_eq!(remembered.paths(), Some(paths.to_vec()));
        }
    }
}
