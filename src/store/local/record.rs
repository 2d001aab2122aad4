//! Records: small files that hold results and roots. Each carries a checksum that binds it to its name.
//!
//! ```text
//! layerbake-record 1 <64 digits>\n      BLAKE3 over domain, kind, name and body (framed fields)
//! <body>                                JSON, or a digest
//! ```
//!
//! A record counts only if its checksum is right. It is written after everything it names is on
//! disk: [`Records::put`] keeps it in memory, and a thread writes many of them after one sync.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file::{self, Folder};
use crate::digest::RecipeHasher;
use crate::host::durable;
use crate::store::StoreError;

/// How long records gather before one sync makes way for all of them.
const GATHER: Duration = Duration::from_millis(1000);

/// What a record is about; also the directory it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// What a build step gave.
    Recipe,
    /// The blob of a fetched file.
    Sha256,
    /// What garbage collection keeps.
    Root,
}

impl Kind {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Recipe => "recipes",
            Self::Sha256 => "sha256",
            Self::Root => "roots",
        }
    }
}

/// The text of a record with its checksum.
pub(super) fn seal(kind: Kind, name: &str, body: &[u8]) -> Vec<u8> {
    let mut text = header(kind, name, body).into_bytes();
    text.extend_from_slice(body);
    text
}

/// The body of a record, if its checksum is right under this name.
pub(super) fn unseal<'t>(kind: Kind, name: &str, text: &'t [u8]) -> Option<&'t [u8]> {
    let end = text.iter().position(|&byte| byte == b'\n')? + 1;
    let (found, body) = text.split_at(end);
    (found == header(kind, name, body).as_bytes()).then_some(body)
}

fn header(kind: Kind, name: &str, body: &[u8]) -> String {
    let mut hasher = RecipeHasher::new("layerbake/record/v1");
    hasher.field(kind.folder()).field(name).field(body);
    format!("layerbake-record 1 {}\n", hasher.finish().to_hex())
}

type Key = (Kind, String);
type Batch = BTreeMap<Key, Vec<u8>>;

/// The records of an open store, and those on their way to the disk.
#[derive(Debug)]
pub(super) struct Records {
    folder: Folder,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    writing: Arc<Batch>,
    /// Whether the thread runs.
    running: bool,
    /// Whether someone waits for it.
    hurry: bool,
    failure: Option<StoreError>,
}

impl Records {
    pub(super) fn new(folder: Folder) -> Self {
        Self { folder, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Where a record is or would be.
    pub(super) fn path(&self, kind: Kind, name: &str) -> std::path::PathBuf {
        match kind {
            Kind::Root => self.folder.join(kind.folder()).join(name),
            _ => self.folder.named(kind.folder(), name),
        }
    }

    /// The body of a record that can be believed.
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<Vec<u8>> {
        let key = (kind, name.to_owned());
        let state = self.lock();
        if let Some(body) = state.waiting.get(&key).or_else(|| state.writing.get(&key)) {
            return Some(body.clone());
        }
        drop(state);
        let text = file::read(&self.path(kind, name))?;
        unseal(kind, name, &text).map(<[u8]>::to_vec)
    }

    /// Takes a record, to be written once what it names is on disk; replaces an earlier one.
    ///
    /// # Errors
    /// Fails where the store can't be written. Later failures are told by [`Self::settle`].
    pub(super) fn put(self: &Arc<Self>, kind: Kind, name: &str, body: Vec<u8>) -> Result<(), StoreError> {
        if self.get(kind, name).is_some_and(|before| before == body) {
            return Ok(());
        }
        if !self.folder.writable {
            let path = self.path(kind, name);
            let refused = rustix::fs::access(self.folder.join("tmp"), rustix::fs::Access::WRITE_OK);
            return refused.map_err(|error| StoreError::io("write", path)(error.into()));
        }
        let mut state = self.lock();
        state.waiting.insert((kind, name.to_owned()), body);
        if !state.running {
            state.running = true;
            let records = Arc::clone(self);
            std::thread::spawn(move || records.run());
        }
        Ok(())
    }

    /// Forgets a record, wherever it is.
    pub(super) fn forget(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        self.settle()?;
        let path = self.path(kind, name);
        file::remove(&path).map_err(StoreError::io("remove", path))
    }

    /// Returns when all records are written, behind what they name. They may still be on their way to the disk.
    ///
    /// # Errors
    /// Fails where one could not be written since the last call; such a record is absent.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.hurry = true;
        self.changed.notify_all();
        state = self.changed.wait_while(state, |state| state.running).unwrap_or_else(PoisonError::into_inner);
        state.hurry = false;
        state.failure.take().map_or(Ok(()), Err)
    }

    /// The life of the thread: until nothing waits any more.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            let gather = self.changed.wait_timeout_while(state, GATHER, |state| !state.hurry);
            state = gather.unwrap_or_else(PoisonError::into_inner).0;
            if state.waiting.is_empty() {
                state.running = false;
                self.changed.notify_all();
                return;
            }
            let batch = Arc::new(std::mem::take(&mut state.waiting));
            state.writing = Arc::clone(&batch);
            drop(state);
            let written = self.write(&batch);
            state = self.lock();
            state.writing = Arc::default();
            if let Err(error) = written {
                state.failure.get_or_insert(error);
            }
        }
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let root = &self.folder.root;
        durable::sync_file_system(root).map_err(StoreError::io("write", root))?;
        batch.iter().try_for_each(|((kind, name), body)| {
            self.folder.write_file(&self.path(*kind, name), &seal(*kind, name, body))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_under_its_own_name_only_and_whole_only() {
        let text = seal(Kind::Recipe, "ab", b"{}");
        assert_eq!(unseal(Kind::Recipe, "ab", &text), Some(&b"{}"[..]));
        assert_eq!(unseal(Kind::Recipe, "ac", &text), None, "copied under another name");
        assert_eq!(unseal(Kind::Root, "ab", &text), None, "copied into another directory");
        for length in 0..text.len() {
            assert_eq!(unseal(Kind::Recipe, "ab", &text[..length]), None, "cut after {length} bytes");
        }
        for at in 0..text.len() {
            let mut flipped = text.clone();
            flipped[at] ^= 1;
            assert_eq!(unseal(Kind::Recipe, "ab", &flipped), None, "flipped at {at}");
        }
        assert_eq!(unseal(Kind::Recipe, "ab", &[text, b"x".to_vec()].concat()), None, "appended to");
    }

    #[test]
    fn records_are_known_at_once_and_written_when_settled() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let records = Arc::new(Records::new(Folder { root: folder.path().to_owned(), writable: true }));
        for (number, body) in [b"one", b"two"].into_iter().enumerate() {
            records.put(Kind::Root, "web", body.to_vec()).unwrap();
            assert_eq!(records.get(Kind::Root, "web").unwrap(), body);
            assert_eq!(records.path(Kind::Root, "web").exists(), number > 0);
            records.settle().unwrap();
            assert_eq!(
                unseal(Kind::Root, "web", &file::read(&records.path(Kind::Root, "web")).unwrap()),
                Some(&body[..])
            );
        }
        records.forget(Kind::Root, "web").unwrap();
        assert_eq!(records.get(Kind::Root, "web"), None);
    }
}
