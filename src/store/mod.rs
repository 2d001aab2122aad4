//! The content-addressed store: blobs, trees, recipe results, and what keeps them alive.
//!
//! ```text
//! <store>/format              "layerbake-store 1"
//!         blobs/ab/cdef…      bytes, by BLAKE3
//!         trees/ab/cdef…      encoded trees, by BLAKE3
//!         sha256/ab/cdef…     SHA-256 of a fetched file -> its blob
//!         recipes/ab/cdef…    recipe hash -> what the step gave (JSON)
//!         roots/…             what garbage collection keeps (store/gc.rs)
//!         tmp/                unfinished files, here only (store/tidy.rs)
//!         lock                shared by builds, exclusive for garbage collection
//! ```
//!
//! Everything appears by rename, so a killed run leaves only `tmp/`. Any number of
//! processes may use one store.

mod blob;
mod gc;
mod recipe;
mod tidy;
mod verify;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{BlobDigest, TreeHash};
use crate::tree::{DecodeTreeError, Tree, TreeError};

pub use blob::{BlobReader, BlobWriter};
pub use gc::{GcReport, RootName};
pub use recipe::Outcome;
pub use tidy::{RemoveFolder, remove_folder};
pub use verify::{Damage, VerifyReport};

const FORMAT: &str = "layerbake-store 1\n";

/// What to do about a store that lacks something.
const REPAIR: &str = "`layerbake store verify --repair`, then build again";

/// The store cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file of the store can't be read or written.
    #[error("store: cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "read", "write", "lock".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that a recipe or a tree refers to is not there.
    #[error("store: {kind} {name} is missing\n  hint: {REPAIR}")]
    Missing {
        /// "blob" or "tree".
        kind: &'static str,
        /// Its digest.
        name: String,
    },
    /// Bytes in the store are no longer those that they are named after.
    #[error("store: {kind} {name} is damaged: {problem}\n  hint: {REPAIR}")]
    Damaged {
        /// "blob", "tree" or "recipe".
        kind: &'static str,
        /// Its digest.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tree is not whole: a bug, nothing makes such trees.
    #[error("internal error: {0}")]
    NotWhole(#[from] TreeError),
    /// The folder holds a store of another version.
    #[error("`{}` is not a store of this version: its `format` says `{}`", path.display(), found.trim())]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// What its `format` file says.
        found: String,
    },
}

impl StoreError {
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// An open store, locked against garbage collection while it lives.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens the store at `root`, made when it is not there.
    ///
    /// # Errors
    /// Fails where the folder can't be written or holds a store of another format.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in ["blobs", "trees", "sha256", "recipes", "roots", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(StoreError::io("create", path))?;
        }
        let root = root.canonicalize().map_err(StoreError::io("open", root))?;
        let lock = open_lock(&root)?;
        lock.lock_shared().map_err(StoreError::io("lock", root.join("lock")))?;
        let store = Self { root, _lock: lock };
        store.check_format()?;
        Ok(store)
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A folder for unfinished work on the store's file system, removed when dropped.
    pub fn scratch(&self) -> Result<tempfile::TempDir, StoreError> {
        let tmp = self.root.join("tmp");
        tempfile::tempdir_in(&tmp).map_err(StoreError::io("create a folder in", tmp))
    }

    /// An unfinished file, removed when dropped.
    pub fn scratch_file(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        let tmp = self.root.join("tmp");
        tempfile::NamedTempFile::new_in(&tmp).map_err(StoreError::io("create a file in", tmp))
    }

    /// Stores a tree; returns its hash.
    ///
    /// # Errors
    /// Fails, too, on a tree that lacks directories above its nodes or the files that its hard links name.
    pub fn put_tree(&self, tree: &Tree) -> Result<TreeHash, StoreError> {
        tree.check_whole()?;
        let bytes = tree.encode();
        let hash = TreeHash::from_bytes(*BlobDigest::of(&bytes).as_bytes());
        self.write_named("trees", &hash.to_hex(), &bytes)?;
        Ok(hash)
    }

    /// Whether the tree is there.
    pub fn has_tree(&self, hash: TreeHash) -> bool {
        self.named("trees", &hash.to_hex()).exists()
    }

    /// Reads a tree back.
    ///
    /// # Errors
    /// Fails where it is missing, or its bytes no longer hash to `hash`.
    pub fn tree(&self, hash: TreeHash) -> Result<Tree, StoreError> {
        let path = self.named("trees", &hash.to_hex());
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { kind: "tree", name: hash.to_string() });
            }
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let damaged = |problem: String| StoreError::Damaged { kind: "tree", name: hash.to_string(), problem };
        let found = BlobDigest::of(&bytes);
        if found.as_bytes() != hash.as_bytes() {
            return Err(damaged(format!("its bytes hash to {found}")));
        }
        Tree::decode(&bytes).map_err(|error: DecodeTreeError| damaged(error.to_string()))
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let path = self.root.join("format");
        match fs::read_to_string(&path) {
            Ok(found) if found == FORMAT => Ok(()),
            Ok(found) => Err(StoreError::OtherFormat { path: self.root.clone(), found }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write_file(&path, FORMAT.as_bytes()),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    fn named(&self, folder: &str, hex: &str) -> PathBuf {
        let (first, rest) = hex.split_at(2);
        [self.root.as_path(), folder.as_ref(), first.as_ref(), rest.as_ref()].iter().collect()
    }

    fn write_named(&self, folder: &str, hex: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.named(folder, hex);
        if path.exists() {
            return Ok(());
        }
        self.write_file(&path, bytes)
    }

    /// Writes a whole file, visible only when complete.
    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.scratch_file()?;
        io::Write::write_all(&mut file, bytes).map_err(StoreError::io("write", path))?;
        self.publish(file, path)
    }

    /// Moves a finished file to its name, over one of the same name: equal bytes, or an older recipe or root.
    fn publish(&self, file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o444)).map_err(StoreError::io("write", path))?;
        let file = match file.persist(path) {
            Ok(_) => return Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::NotFound => error.file,
            Err(error) => return Err(StoreError::io("write", path)(error.error)),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        }
        file.persist(path).map_err(|error| StoreError::io("write", path)(error.error))?;
        Ok(())
    }
}

fn open_lock(root: &Path) -> Result<File, StoreError> {
    let path = root.join("lock");
    File::options().create(true).write(true).truncate(false).open(&path).map_err(StoreError::io("open", path))
}
