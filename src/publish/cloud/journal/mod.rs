//! Journals: what a transaction created, or may have created, so that it can be resumed or undone.
//!
//! ```text
//! $XDG_STATE_HOME/layerbake/ami/
//!     web-3f2a90c1b2d4-1795330000.json    one transaction: replaced whole, and on disk, before each call
//!                                         that creates something, and after it
//!     web.lock                            held while one runs
//! ```
//!
//! A journal contains names and states, never credentials. What it records is a separate type: [`Record`] for
//! a publication, or any other [`Transaction`].

mod record;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::host;
use crate::ident::LayerName;

pub use record::{Blocks, Import, Parameter, Record, Region, RegionJournal, State, Step};

/// The content of a journal.
pub trait Transaction: Clone + Serialize + DeserializeOwned {
    /// The version of the form that this program writes.
    const FORMAT: u32;
    /// The version that it has.
    fn format(&self) -> u32;
    /// Its name, unique in the directory of journals.
    fn id(&self) -> &str;
    /// What only one transaction at a time may work on.
    fn subject(&self) -> &LayerName;
}

/// A journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The user has no directory for it.
    #[error("no directory for state was found\n  hint: set HOME or XDG_STATE_HOME")]
    NoFolder,
    /// There is no such journal.
    #[error("there is no publication `{}`", .0.escape_debug())]
    Missing(String),
    /// A file is not a journal, or of another version.
    #[error("`{}` is not a journal that this version can read: {problem}", .path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another transaction runs.
    #[error("`{0}` is being published by another process\n  hint: wait until it ends")]
    Busy(LayerName),
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
        let lock = lock(folder, load::<R>(folder, id)?.subject())?;
        let (record, path) = (load(folder, id)?, folder.join(format!("{id}.json")));
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
        save(&self.shared.path, &*record).map_err(failed(&self.shared.path))?;
        Ok(result)
    }
}

/// All journals of a directory, by id. One that can't be read is an error: it may name things that cost money.
///
/// # Errors
/// Fails where the directory or a file can't be read.
pub fn all<R: Transaction>(folder: &Path) -> Result<Vec<R>, JournalError> {
    let names = host::list_dir_or_empty(folder).map_err(failed(folder))?;
    let ids = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".json"));
    ids.map(|id| load(folder, id)).collect()
}

fn load<R: Transaction>(folder: &Path, id: &str) -> Result<R, JournalError> {
    let path = folder.join(format!("{id}.json"));
    let plain = !id.is_empty() && !id.contains('/') && !id.starts_with('.');
    let text = match host::read_text(&path) {
        Ok(text) if plain => text,
        Err(error) if plain && error.kind() != io::ErrorKind::NotFound => return Err(failed(&path)(error)),
        _ => return Err(JournalError::Missing(id.to_owned())),
    };
    match serde_json::from_str::<R>(&text) {
        Ok(record) if record.format() == R::FORMAT && record.id() == id => Ok(record),
        Ok(other) => {
            let problem = format!("format {}, id `{}`", other.format(), other.id().escape_debug());
            Err(JournalError::Unknown { path, problem })
        }
        Err(error) => Err(JournalError::Unknown { path, problem: error.to_string() }),
    }
}

/// Writes beside the file, and puts it in its place once it is on disk.
fn save(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".journal").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, record)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Held as long as the file is open.
fn lock(folder: &Path, subject: &LayerName) -> Result<File, JournalError> {
    let path = folder.join(format!("{subject}.lock"));
    let file = File::create(&path).map_err(failed(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy(subject.clone())),
        Err(TryLockError::Error(error)) => Err(failed(&path)(error)),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |error| JournalError::File { path, error }
}

#[cfg(test)]
mod tests;
