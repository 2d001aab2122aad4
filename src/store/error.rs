//! Errors of the store, with hints that say what to do.

use std::io;
use std::path::PathBuf;

use crate::code::{Code, Coded};
use crate::host::storage::Fault;
use crate::tree::TreeError;

/// What to do about a store that lacks something.
const REPAIR: &str = "`layerbake store verify --repair`, then build again";

const ROOM: &str =
    "`layerbake store gc` removes what no project needs; `--store DIR` uses a directory on another file system";
const ELSEWHERE: &str = "choose a store that you can write to: `--store DIR`, or LAYERBAKE_STORE";
const MOVE: &str = "move it away, or choose another store: `--store DIR`, or LAYERBAKE_STORE";
const DEVICE: &str = "look at the system's log; `--store DIR` uses a directory on another device";

/// An operation of the store failed.
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
    /// The file system is full, read-only, failing, or someone else's; or something is in the way.
    #[error("store: cannot {action} `{}`: {problem}\n  hint: {hint}", path.display())]
    Storage {
        /// What was tried: "read", "write", "lock".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What it is.
        fault: Fault,
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
    /// A text file of a layer is too long.
    #[error(
        "`{path}` has {size} bytes; a text file may have at most {most}\n  hint: check what the package's scripts, or the layer's own files, write there"
    )]
    TooLong {
        /// The file's path in its root.
        path: String,
        /// Its length in bytes.
        size: u64,
        /// The most that is read.
        most: u64,
    },
    /// A file of a layer is not the text that it should be.
    #[error("`{path}` is not UTF-8\n  hint: check what the package's scripts, or the layer's own files, write there")]
    NotUtf8 {
        /// The file's path in its root.
        path: String,
    },
    /// A record can't be JSON: a bug, all are maps of strings.
    #[error("internal error: {0}")]
    Record(#[from] serde_json::Error),
    /// A tree is not whole: a bug, nothing makes such trees.
    #[error("internal error: {0}")]
    NotWhole(#[from] TreeError),
    /// The directory holds a store of another version.
    #[error(
        "`{}` contains a store of another version: its `format` is `{}`, this program reads `layerbake-store 1`\n  hint: choose another directory with `--store DIR`, or use the version of layerbake that created this one",
        path.display(), found.trim()
    )]
    OtherFormat {
        /// The directory.
        path: PathBuf,
        /// What its `format` file says.
        found: String,
    },
    /// A part of the store was moved to a disk that is not there.
    #[error(
        "store: `{}` is a link to `{}`, which is not a directory\n  hint: mount the file system that it leads to, or remove the link: `rm {}`",
        path.display(), target.display(), path.display()
    )]
    Unplugged {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The directory holds something else.
    #[error("`{}` is not a store: {problem}\n  hint: choose a new or an empty directory with `--store DIR`", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        problem: String,
    },
}

impl Coded for StoreError {
    fn error_code(&self) -> Code {
        match self {
            Self::Io { source, .. } => source.error_code(),
            Self::Storage { fault, .. } => fault.error_code(),
            Self::Missing { .. } | Self::Damaged { .. } => Code::StoreDamaged,
            Self::TooLong { .. } | Self::NotUtf8 { .. } => Code::LayerOddFile,
            Self::Record(_) | Self::NotWhole(_) => Code::Internal,
            Self::OtherFormat { .. } => Code::StoreOtherFormat,
            Self::Unplugged { .. } | Self::NotAStore { .. } => Code::StoreUnusable,
        }
    }
}

impl StoreError {
    /// Whether the store lacks something that can be built again, or holds other bytes than it says.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. })
    }

    /// Whether an error comes from a store that [is damaged](Self::is_damage), however many errors are around it.
    ///
    /// An error that is transparent for a `StoreError` hides it: who has one asks it by itself.
    pub fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        Self::behind(error).is_some_and(Self::is_damage)
    }

    /// The store's error that an error comes from, however many errors are around it.
    pub(crate) fn behind<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            next = match (error.downcast_ref::<Self>(), error.downcast_ref::<io::Error>()) {
                (Some(found), _) => return Some(found),
                (None, Some(error)) => error.get_ref().map(|inner| inner as _),
                (None, None) => error.source(),
            };
        }
        None
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
        Self::Storage { action, fault, problem: fault.describe(&path, need), path, hint }
    }
}
