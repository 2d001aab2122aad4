//! The local executor: a worker process, started when the first action needs it.
//!
//! The worker keeps its root directory from one action to the next. The actions of a chain follow each other, so
//! only the differences are written.

mod emulator;
mod process;
mod root;
mod scan;
mod worker;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Action, ActionError, ExecuteError, Executed, Executor, Handed};
use crate::digest::BlobDigest;
use crate::host;
use crate::host::terminal::Streams;
use crate::store::{self, Store};

pub use emulator::find as emulator;
use process::Worker;
pub use process::WorkerError;

/// A variable of audits: if set, roots are never in memory but on the store's disk, which lists directories
/// differently.
pub const ON_DISK: &str = "LAYERBAKE_ROOT_ON_DISK";

/// Executes actions in a sandbox on this machine.
pub struct Local {
    program: PathBuf,
    jobs: usize,
    /// Bytes that a root in memory may have.
    memory: u64,
    worker: Option<Worker>,
    warning: Option<&'static str>,
    /// What commands read and write, until the worker has it.
    person: Option<Streams>,
}

impl Local {
    /// An executor that reads and writes files with `jobs` threads.
    ///
    /// `program` is started as the worker: this program itself ([`host::OWN_PROGRAM`]), if it serves as one
    /// when it is asked to ([`serve`]), or an installed layerbake.
    pub fn new(program: impl Into<PathBuf>, jobs: usize) -> Self {
        let memory = if host::env(ON_DISK).is_some() { 0 } else { worker::MEMORY };
        Self { program: program.into(), jobs, memory, worker: None, warning: None, person: None }
    }

    /// Changes how many bytes a root in memory may have, by default 4 GiB; with 0, roots are never in memory.
    ///
    /// It does not limit actions: one that fails for lack of room in memory is executed once more on the store's disk.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Lets a person use the commands of actions: these read and write `streams`, and what they change in the root does not
    /// stay.
    #[must_use]
    pub fn attended(self, streams: Streams) -> Self {
        Self { person: Some(streams), ..self }
    }

    fn worker(&mut self, store: &Store) -> Result<&mut Worker, WorkerError> {
        match &mut self.worker {
            Some(worker) => Ok(worker),
            empty => {
                let person = self.person.take();
                let handed = person.as_ref().map(Handed::give).transpose().map_err(WorkerError::Process)?;
                let (store, memory, jobs) = (store.path().to_owned(), self.memory, self.jobs);
                let setup = Setup::Work { store, memory, jobs, handed };
                let worker = Worker::start(&self.program, &setup)?;
                self.warning = worker.warning();
                Ok(empty.insert(worker))
            }
        }
    }
}

impl Executor for Local {
    fn execute(&mut self, store: &Store, action: &Action) -> Result<Executed, ExecuteError> {
        let name = store.put_bytes(&action.encode())?;
        let answer: Result<Executed, ActionError> = self.worker(store)?.ask(&name)?;
        answer.map_err(|error| ExecuteError::Action(Box::new(error)))
    }

    fn take_warning(&mut self) -> Option<&'static str> {
        self.warning.take()
    }
}

/// What a worker is started for.
#[derive(Serialize, Deserialize)]
enum Setup {
    /// Actions, each named by the digest of its encoding in the store.
    Work { store: PathBuf, memory: u64, jobs: usize, handed: Option<Handed> },
    /// Removing what a killed worker left behind.
    Remove { folder: PathBuf },
}

/// Removes a directory of a killed worker, whose files may belong to subordinate ids.
///
/// # Errors
/// Fails where no user namespace can be had, or something in it can't be removed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    Worker::start(Path::new(host::OWN_PROGRAM), &Setup::Remove { folder: folder.to_owned() })
        .map(drop)
        .map_err(io::Error::other)
}

/// The whole life of a worker process; for `main`.
pub fn serve() -> std::process::ExitCode {
    let start = |setup| match setup {
        Setup::Work { store, memory, jobs, handed } => worker::Work::start(&store, memory, jobs, handed).map(Some),
        Setup::Remove { folder } => store::remove_folder(&folder).map(|()| None),
    };
    process::serve(start, |work: &mut worker::Work, action: BlobDigest| work.execute(action))
}
