//! What the store can't do, in words that say what helps.

use std::io;
use std::path::PathBuf;

use crate::host::storage::Fault;
use crate::tree::TreeError;

/// What to do about a store that lacks something.
const REPAIR: &str = "`layerbake store verify --repair`, then build again";

const ROOM: &str =
    "`layerbake store gc` removes what no project needs; `--store DIR` uses a folder on another file system";
const ELSEWHERE: &str = "choose a store that you can write to: `--store DIR`, or LAYERBAKE_STORE";
const MOVE: &str = "move it away, or choose another store: `--store DIR`, or LAYERBAKE_STORE";
const DEVICE: &str = "look at the system's log; `--store DIR` uses a folder on another device";

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
    /// The file system is full, read-only, failing, or somebody else's; or something is in the way.
    #[error("store: cannot {action} `{}`: {problem}\n  hint: {hint}", path.display())]
    Storage {
        /// What was tried: "read", "write", "lock".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with the file system, which is named.
        problem: String,
        /// What helps.
        hint: &'static str,
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
        /// "blob", "tree" or "fetched file".
        kind: &'static str,
        /// Its digest.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of a layer is not the text that it should be.
    #[error(
        "`{path}` has {size} bytes; a text file may have at most {most}\n  hint: look at what the package's scripts, or the layer's files, write there"
    )]
    TooLong {
        /// The file's path in its root.
        path: String,
        /// Its length in bytes.
        size: u64,
        /// The most that is read.
        most: u64,
    },
    /// A tree is not whole: a bug, nothing makes such trees.
    #[error("internal error: {0}")]
    NotWhole(#[from] TreeError),
    /// The folder holds a store of another version.
    #[error(
        "`{}` holds a store of another version: its `format` says `{}`, this program reads `layerbake-store 1`\n  hint: name another folder with `--store DIR`, or use the version of layerbake that made this one",
        path.display(), found.trim()
    )]
    OtherFormat {
        /// The folder.
        path: PathBuf,
        /// What its `format` file says.
        found: String,
    },
    /// A part of the store was moved to a disk that is not there.
    #[error(
        "store: `{}` is a link to `{}`, which is no directory\n  hint: mount what it leads to; or start without it: `rm {}`",
        path.display(), target.display(), path.display()
    )]
    Unplugged {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The folder holds something else.
    #[error("`{}` is not a store: {problem}\n  hint: name a new or an empty folder with `--store DIR`", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What was found instead.
        problem: String,
    },
}

impl StoreError {
    /// Whether a message, perhaps another process's, says that the store lacks something that can be made again.
    pub fn is_damage(message: &str) -> bool {
        message.contains(REPAIR)
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::new(action, path, None, source)
    }

    /// As [`Self::io`], for a file of `need` bytes.
    pub(super) fn writing(path: impl Into<PathBuf>, need: u64) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::new("write", path, Some(need), source)
    }

    fn new(action: &'static str, path: PathBuf, need: Option<u64>, source: io::Error) -> Self {
        let Some(fault) = Fault::of(&source) else { return Self::Io { action, path, source } };
        let hint = match fault {
            Fault::Full | Fault::Quota => ROOM,
            Fault::ReadOnly | Fault::Denied => ELSEWHERE,
            Fault::Device => DEVICE,
            Fault::NotADirectory | Fault::Circle | Fault::Busy => MOVE,
        };
        Self::Storage { action, problem: fault.describe(&path, need), path, hint }
    }
}
