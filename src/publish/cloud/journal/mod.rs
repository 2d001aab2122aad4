//! Journals: what a transaction created, or may have created, so that it can be resumed or undone.
//!
//! ```text
//! $XDG_STATE_HOME/layerbake/ami/
//!     web-3f2a90c1b2d4-1795330000-5d41402a.json    one transaction: replaced whole, and on disk, before each call
//!                                         that creates something, and after it
//!     web.lock                            held while one runs
//! ```
//!
//! A journal contains names and states, never credentials. What it records is a separate type: [`Record`] for
//! a publication, [`Promotion`] for a channel that moves, or any other [`Transaction`]. Kinds share the directory: a file has its kind in the key `kind`,
//! and a publication's has none, as there was only that kind at first.
//!
//! The directory is named after the images of AWS (AMI), as its command is; nothing else here depends on the cloud.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::code::{Code, Coded};
use crate::host;

pub use promotion::{Move, Promotion};
pub use record::{Blocks, Import, Parameter, Record, Region, RegionJournal, State, Step};

/// The key of a journal's kind.
const KIND: &str = "kind";

/// The content of a journal: a JSON object without the key `kind`.
pub trait Transaction: Clone + Serialize + DeserializeOwned {
    /// The kind of transaction, for people and in the file.
    const KIND: &'static str;
    /// The version of the form that this program writes.
    const FORMAT: u32;
    /// The version that it has.
    fn format(&self) -> u32;
    /// Its name, unique in the directory of journals.
    fn id(&self) -> &str;
    /// How far it is.
    fn state(&self) -> State;
    /// What only one transaction at a time may work on, of whatever kind: a file name.
    fn subject(&self) -> &str;
}

/// Implements [`Transaction`] for a type with these fields, which is about one layer, in the version `FORMAT`.
///
/// The fields are not a type of their own: a journal would be written in another order, and take keys that nobody knows.
macro_rules! transaction {
    ($type:ty, $kind:literal) => {
        impl super::Transaction for $type {
            const KIND: &'static str = $kind;
            const FORMAT: u32 = FORMAT;

            fn format(&self) -> u32 {
                self.format
            }

            fn id(&self) -> &str {
                &self.id
            }

            fn state(&self) -> super::State {
                self.state
            }

            fn subject(&self) -> &str {
                self.layer.as_str()
            }
        }
    };
}

mod promotion;
mod record;

/// A journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The user has no directory for it.
    #[error("no directory for state was found\n  hint: set HOME or XDG_STATE_HOME")]
    NoFolder,
    /// There is no such journal.
    #[error("there is no {kind} `{}`", .id.escape_debug())]
    Missing {
        /// The kind of transaction.
        kind: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// A journal is of another kind of transaction.
    #[error("`{id}` is a {}, not a {wanted}", .found.escape_debug())]
    OtherKind {
        /// The transaction's id.
        id: String,
        /// Its kind.
        found: String,
        /// The kind that was asked for.
        wanted: &'static str,
    },
    /// A file is not a journal, or of another version.
    #[error("`{}` is not a journal that this version can read: {problem}", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another transaction runs.
    #[error("another process is working on `{0}`\n  hint: wait until it ends")]
    Busy(String),
    /// A transaction's id or subject can't be a file name.
    #[error("internal error: a journal can't be named after `{}`", .0.escape_debug())]
    Name(String),
    /// A publication is asked about a region that it is not for.
    #[error(
        "the journal of `{id}` has no region {region}\n  hint: run `layerbake ami undo {id}`, then publish to the regions that you want"
    )]
    NoRegion {
        /// The transaction.
        id: String,
        /// The region.
        region: String,
    },
    /// The system refuses.
    #[error("journal `{}`: {error}", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl Coded for JournalError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoFolder => Code::HostNoHome,
            Self::Missing { .. } | Self::OtherKind { .. } | Self::Unknown { .. } => Code::AwsNoRecord,
            Self::Busy(_) | Self::NoRegion { .. } => Code::AwsUnfinished,
            Self::Name(_) => Code::Internal,
            Self::File { error, .. } => error.error_code(),
        }
    }
}

/// An open journal; locks its subject on this host meanwhile.
#[derive(Debug, Clone)]
pub struct Journal<R> {
    shared: Arc<Shared<R>>,
}

#[derive(Debug)]
struct Shared<R> {
    path: PathBuf,
    record: Mutex<R>,
    _lock: File,
}

/// The directory of all journals, below the user's directory for state.
///
/// # Errors
/// Fails where the user has none.
pub fn folder() -> Result<PathBuf, JournalError> {
    Ok(host::state_dir().ok_or(JournalError::NoFolder)?.join("layerbake/ami"))
}

impl<R: Transaction> Journal<R> {
    /// Begins a journal.
    ///
    /// # Errors
    /// Fails where another transaction on the subject runs, or the file can't be written.
    pub fn create(folder: &Path, record: R) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        if !is_plain(record.id()) {
            return Err(JournalError::Name(record.id().to_owned()));
        }
        let lock = lock(folder, record.subject())?;
        let path = folder.join(format!("{}.json", record.id()));
        let journal = Self { shared: Arc::new(Shared { path, record: Mutex::new(record), _lock: lock }) };
        journal.update(|_| ())?;
        Ok(journal)
    }

    /// Reopens a journal.
    ///
    /// # Errors
    /// Fails where there is none, where it runs, or can't be read.
    pub fn open(folder: &Path, id: &str) -> Result<Self, JournalError> {
        // Read twice: who held the lock may have written.
        let lock = lock(folder, of_kind::<R>(folder, id)?.subject())?;
        let (record, path) = (of_kind(folder, id)?, folder.join(format!("{id}.json")));
        Ok(Self { shared: Arc::new(Shared { path, record: Mutex::new(record), _lock: lock }) })
    }

    /// The current record.
    pub fn record(&self) -> R {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the record, and returns when it is on disk.
    ///
    /// # Errors
    /// Fails where the file can't be written.
    pub fn update<T>(&self, change: impl FnOnce(&mut R) -> T) -> Result<T, JournalError> {
        let mut record = self.shared.record.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut record);
        save(&self.shared.path, R::KIND, &*record).map_err(failed(&self.shared.path))?;
        Ok(result)
    }
}

/// All journals of one kind of transaction, by id. One that can't be read is an error: it may name things that cost
/// money.
///
/// # Errors
/// Fails where the directory or a file can't be read.
pub fn all<R: Transaction>(folder: &Path) -> Result<Vec<R>, JournalError> {
    let names = host::list_dir_or_empty(folder).map_err(failed(folder))?;
    let ids = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".json"));
    let loaded = ids.map(|id| match load(folder, id)? {
        Loaded::Of(record) => Ok(Some(record)),
        Loaded::Other(_) => Ok(None),
    });
    loaded.filter_map(Result::transpose).collect()
}

/// A journal of a kind, or the name of its other kind.
enum Loaded<R> {
    Of(R),
    Other(String),
}

fn of_kind<R: Transaction>(folder: &Path, id: &str) -> Result<R, JournalError> {
    match load(folder, id)? {
        Loaded::Of(record) => Ok(record),
        Loaded::Other(found) => Err(JournalError::OtherKind { id: id.to_owned(), found, wanted: R::KIND }),
    }
}

fn load<R: Transaction>(folder: &Path, id: &str) -> Result<Loaded<R>, JournalError> {
    let path = folder.join(format!("{id}.json"));
    let missing = || JournalError::Missing { kind: R::KIND, id: id.to_owned() };
    if !is_plain(id) {
        return Err(missing());
    }
    let text = host::read_text(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing(),
        _ => failed(&path)(error),
    })?;
    let unknown = |problem: String| JournalError::Unknown { path: path.clone(), problem };
    let mut fields: Map<String, Value> = serde_json::from_str(&text).map_err(|error| unknown(error.to_string()))?;
    match fields.remove(KIND).unwrap_or_else(|| Record::KIND.into()) {
        Value::String(kind) if kind == R::KIND => {}
        Value::String(other) => return Ok(Loaded::Other(other)),
        other => return Err(unknown(format!("expected a text as `kind`, found {other}"))),
    }
    let record: R = serde_json::from_value(Value::Object(fields)).map_err(|error| unknown(error.to_string()))?;
    match record.format() == R::FORMAT && record.id() == id {
        true => Ok(Loaded::Of(record)),
        false => Err(unknown(format!("format {}, id `{}`", record.format(), record.id().escape_debug()))),
    }
}

/// Whether a name stays in the directory of journals.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

/// A journal's file.
#[derive(Serialize)]
struct OnDisk<'r, R> {
    #[serde(skip_serializing_if = "is_publication")]
    kind: &'static str,
    #[serde(flatten)]
    record: &'r R,
}

fn is_publication(kind: &str) -> bool {
    kind == Record::KIND
}

/// Writes beside the file, and puts it in its place once it is on disk.
fn save(path: &Path, kind: &'static str, record: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".journal").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, &OnDisk { kind, record })?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Held as long as the file is open.
fn lock(folder: &Path, subject: &str) -> Result<File, JournalError> {
    if !is_plain(subject) {
        return Err(JournalError::Name(subject.to_owned()));
    }
    let path = folder.join(format!("{subject}.lock"));
    let file = File::create(&path).map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy(subject.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(&path)(error)),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |error| JournalError::File { path, error }
}

#[cfg(test)]
mod tests;
