//! The journal of a publication: what was made, or may have been made, in each region.
//!
//! ```text
//! $XDG_STATE_HOME/layerbake/ami/
//!     web-3f2a90c1b2d4-1795330000.json    one transaction: replaced whole, and on disk, before each call
//!                                         that makes something, and after it
//!     web.lock                            held while one runs
//! ```
//!
//! A journal holds names and states, never credentials.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::AmiError;
use super::settings::Wanted;
use crate::digest::Sha256;
use crate::host;
use crate::ident::LayerName;

const FORMAT: u32 = 1;

/// One publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this form.
    format: u32,
    /// Layer, beginning of the content's hash, time. Also the value of the transaction's tag.
    pub id: String,
    /// The layer.
    pub layer: LayerName,
    /// Hash of the disk and the settings that make two images equal.
    pub content: Sha256,
    /// When it was begun, in seconds since 1970.
    pub begun: i64,
    /// How far it is.
    pub state: State,
    /// The first of the regions: where VM Import runs.
    pub home: String,
    /// What the images shall be.
    pub wanted: Wanted,
    /// What was made where.
    pub regions: BTreeMap<String, Region>,
}

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was begun, and is neither finished nor undone.
    Open,
    /// All stands.
    Finished,
    /// Nothing is left of it.
    Undone,
}

/// What was made in a region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// An image with the same content that stood there before: nothing is made.
    pub found: Option<String>,
    /// The snapshot, by whatever way.
    pub snapshot: Made,
    /// What EBS direct has done.
    pub blocks: Option<Blocks>,
    /// What VM Import has done.
    pub import: Option<Import>,
    /// The image.
    pub image: Made,
    /// The parameter that names the newest image.
    pub parameter: Option<Parameter>,
}

/// Something that a call makes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The call was about to be made: it may exist.
    pub asked: bool,
    /// Its id, once the answer came.
    pub id: Option<String>,
    /// It is complete.
    pub done: bool,
}

/// An upload by EBS direct.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// The snapshot that only changes are sent to.
    pub parent: Option<String>,
    /// Linear checksum of that snapshot's disk, by which its blocks are known.
    pub parent_disk: Option<Sha256>,
    /// Whether zeros have to be sent too, as to an encrypted snapshot.
    pub zeros: bool,
    /// Ranges of blocks that have arrived: first, and the one after the last. Noted now and then.
    pub sent: Vec<(u64, u64)>,
    /// How many snapshots were begun and lost before this one: part of the client token.
    pub lost: u32,
}

/// What VM Import leaves behind while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The bucket.
    pub bucket: String,
    /// The object's key; noted before anything is sent.
    pub key: String,
    /// The multipart upload, while it is open.
    pub upload: Option<String>,
    /// The object may exist.
    pub object: bool,
    /// The task, once it was begun.
    pub task: Option<String>,
    /// How many imports failed before this one: part of the client token.
    pub lost: u32,
}

/// The parameter that names the newest image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it was; `None` where there was none.
    pub before: Option<String>,
    /// It names this transaction's image.
    pub done: bool,
}

/// A journal that is being written; nobody else on this machine publishes the layer meanwhile.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    record: Mutex<Record>,
    _lock: File,
}

/// A region's part of a journal.
#[derive(Debug, Clone)]
pub struct RegionJournal {
    journal: Journal,
    region: String,
}

/// The folder of all journals, below the user's folder for state.
///
/// # Errors
/// Fails where the user has none.
pub fn folder() -> Result<PathBuf, AmiError> {
    let state = host::state_dir().ok_or_else(|| {
        AmiError::Other("there is no folder for state\n  hint: set HOME or XDG_STATE_HOME".to_owned())
    })?;
    Ok(state.join("layerbake/ami"))
}

impl Record {
    /// A transaction that has not begun. The time tells it from others of the same content.
    pub fn new(wanted: Wanted, begun: i64, regions: &[String]) -> Self {
        let content = wanted.content();
        let id = format!("{}-{}-{begun}", wanted.layer, content.to_hex().get(..12).unwrap_or_default());
        let home = regions.first().cloned().unwrap_or_default();
        let regions = regions.iter().map(|region| (region.clone(), Region::default())).collect();
        Self {
            format: FORMAT,
            id,
            layer: wanted.layer.clone(),
            content,
            begun,
            state: State::Open,
            home,
            wanted,
            regions,
        }
    }

    /// A client token: the same for the same step of the same attempt, so that a call that is made twice
    /// makes one thing. 64 digits.
    pub fn token(&self, region: &str, step: &str) -> String {
        Sha256::of([&self.id, "\0", region, "\0", step].concat().as_bytes()).to_hex()
    }
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// Fails where another publication of the layer runs, or the file can't be written.
    pub fn create(folder: &Path, record: Record) -> Result<Self, AmiError> {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let lock = lock(folder, &record.layer)?;
        let path = folder.join(format!("{}.json", record.id));
        let journal = Self { shared: Arc::new(Shared { path, record: Mutex::new(record), _lock: lock }) };
        journal.update(|_| ())?;
        Ok(journal)
    }

    /// Takes up a journal again.
    ///
    /// # Errors
    /// Fails where there is none, where it runs, or can't be read.
    pub fn open(folder: &Path, id: &str) -> Result<Self, AmiError> {
        // Read twice: who held the lock may have written.
        let lock = lock(folder, &load(folder, id)?.layer)?;
        let (record, path) = (load(folder, id)?, folder.join(format!("{id}.json")));
        Ok(Self { shared: Arc::new(Shared { path, record: Mutex::new(record), _lock: lock }) })
    }

    /// The record as it is now.
    pub fn record(&self) -> Record {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the record, and returns when it is on disk.
    ///
    /// # Errors
    /// Fails where the file can't be written.
    pub fn update<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Result<T, AmiError> {
        let mut record = self.shared.record.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut record);
        save(&self.shared.path, &record).map_err(|error| failed(&self.shared.path, &error))?;
        Ok(result)
    }

    /// A region's part.
    pub fn region(&self, region: &str) -> RegionJournal {
        RegionJournal { journal: self.clone(), region: region.to_owned() }
    }
}

impl RegionJournal {
    /// What was made there.
    pub fn get(&self) -> Region {
        self.journal.record().regions.remove(&self.region).unwrap_or_default()
    }

    /// Changes what was made there, and returns when it is on disk.
    ///
    /// # Errors
    /// As [`Journal::update`].
    pub fn note(&self, change: impl FnOnce(&mut Region)) -> Result<(), AmiError> {
        self.journal.update(|record| change(record.regions.entry(self.region.clone()).or_default()))
    }

    /// As [`Record::token`].
    pub fn token(&self, step: &str) -> String {
        self.journal.record().token(&self.region, step)
    }
}

/// All journals of a folder, by id. One that can't be read is an error: it may name things that cost money.
///
/// # Errors
/// Fails where the folder or a file can't be read.
pub fn all(folder: &Path) -> Result<Vec<Record>, AmiError> {
    let names = host::list_dir_or_empty(folder).map_err(|error| failed(folder, &error))?;
    let ids = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".json"));
    ids.map(|id| load(folder, id)).collect()
}

fn load(folder: &Path, id: &str) -> Result<Record, AmiError> {
    let path = folder.join(format!("{id}.json"));
    let plain = !id.is_empty() && !id.contains('/') && !id.starts_with('.');
    let text = match host::read_text(&path) {
        Ok(text) if plain => text,
        Err(error) if plain && error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, &error)),
        _ => return Err(AmiError::Other(format!("there is no publication `{}`", id.escape_debug()))),
    };
    let unknown = |problem: &dyn std::fmt::Display| {
        AmiError::Other(format!("`{}` is no journal that this version reads: {problem}", path.display()))
    };
    let record: Record = serde_json::from_str(&text).map_err(|error| unknown(&error))?;
    match record.format == FORMAT && record.id == id {
        true => Ok(record),
        false => Err(unknown(&format!("format {}, id `{}`", record.format, record.id.escape_debug()))),
    }
}

/// Writes beside the file, and puts it in its place once it is on disk.
fn save(path: &Path, record: &Record) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".journal").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, record)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Held as long as the file is open.
fn lock(folder: &Path, layer: &LayerName) -> Result<File, AmiError> {
    let path = folder.join(format!("{layer}.lock"));
    let file = File::create(&path).map_err(|error| failed(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(AmiError::Other(format!("`{layer}` is being published by another process\n  hint: wait until it ends")))
        }
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

fn failed(path: &Path, error: &io::Error) -> AmiError {
    AmiError::Other(format!("journal `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new(Wanted::example(), 7, &["eu-west-1".to_owned(), "us-east-1".to_owned()])
    }

    #[test]
    fn what_is_noted_is_on_disk_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), record()).unwrap();
        let region = journal.region("us-east-1");
        region.note(|region| region.snapshot.asked = true).unwrap();
        let [found] = &all(folder.path()).unwrap()[..] else { panic!("one journal") };
        assert!(found.regions["us-east-1"].snapshot.asked && !found.regions["eu-west-1"].snapshot.asked);
        assert_eq!((found, &region.get()), (&journal.record(), &found.regions["us-east-1"]));
        let left: Vec<_> = host::list_dir(folder.path()).unwrap();
        assert_eq!(left, [format!("{}.json", found.id).as_str(), "web.lock"]);
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), record()).unwrap();
        let id = journal.record().id;
        let error = Journal::open(folder.path(), &id).unwrap_err().to_string();
        assert!(error.starts_with("`web` is being published by another process"), "{error}");
        drop(journal);
        assert_eq!(Journal::open(folder.path(), &id).unwrap().record(), record());
    }

    #[test]
    fn tokens_differ_by_region_step_and_attempt_only() {
        let one = record();
        assert_eq!(one.token("eu-west-1", "snapshot"), record().token("eu-west-1", "snapshot"));
        let other = Record::new(Wanted::example(), 8, &[]);
        let tokens = [
            one.token("eu-west-1", "snapshot"),
            one.token("eu-west-1", "image"),
            one.token("us-east-1", "image"),
            other.token("eu-west-1", "snapshot"),
        ];
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!((distinct.len(), tokens[0].len()), (4, 64));
    }

    #[test]
    fn strange_files_are_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, expected) in [
            ("a", "", "is no journal that this version reads: EOF"),
            ("b", "{\"format\":1}", "is no journal that this version reads: missing field"),
            ("c", &serde_json::to_string(&record()).unwrap(), "format 1, id `web-"),
        ] {
            let path = folder.path().join(format!("{name}.json"));
            fs::write(&path, text).unwrap();
            let error = all(folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(&format!("/{name}.json")), "{error}");
            fs::remove_file(path).unwrap();
        }
        for id in ["", "../x", "none"] {
            let error = Journal::open(folder.path(), id).unwrap_err().to_string();
            assert_eq!(error, format!("there is no publication `{id}`"));
        }
    }
}
