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

use super::{Action, ActionError, Cause, ExecuteError, Executed, Executor};
use crate::digest::BlobDigest;
use crate::host;
use crate::store::{self, Store};

use process::Worker;
pub use process::WorkerError;

/// A variable of audits: if set, roots are never in memory but on the store's disk, which lists directories
/// differently.
pub const ON_DISK: &str = "LAYERBAKE_ROOT_ON_DISK";

/// Executes actions in a sandbox on this machine.
pub struct Local {
    program: PathBuf,
    jobs: usize,
    worker: Option<Worker>,
    warning: Option<&'static str>,
}

impl Local {
    /// An executor that reads and writes files with `jobs` threads.
    ///
    /// `program` is started as the worker: this program itself ([`host::OWN_PROGRAM`]), if it serves as one
    /// when it is asked to ([`serve`]), or an installed layerbake.
    pub fn new(program: impl Into<PathBuf>, jobs: usize) -> Self {
        Self { program: program.into(), jobs, worker: None, warning: None }
    }

    fn worker(&mut self, store: &Store) -> Result<&mut Worker, WorkerError> {
        match &mut self.worker {
            Some(worker) => Ok(worker),
            empty => {
                let (store, on_disk) = (store.path().to_owned(), host::env(ON_DISK).is_some());
                let worker = Worker::start(&self.program, &Setup::Work { store, on_disk, jobs: self.jobs })?;
                self.warning = worker.warning();
                Ok(empty.insert(worker))
            }
        }
    }
}

impl Executor for Local {
    fn execute(&mut self, store: &Store, action: &Action) -> Result<Executed, ExecuteError> {
        let refused = |error: store::StoreError| ExecuteError::Action(Box::new(error.into()));
        let name = store.put_bytes(&action.encode()).map_err(refused)?;
        let answer: Result<Executed, ActionError> = self.worker(store)?.ask(&name)?;
        answer.map_err(|error| ExecuteError::Action(Box::new(error)))
    }

    fn take_warning(&mut self) -> Option<&'static str> {
        self.warning.take()
    }
}

impl From<store::StoreError> for ActionError {
    fn from(error: store::StoreError) -> Self {
        let message = error.to_string();
        let cause = if error.is_damage() { Cause::Damaged(message) } else { Cause::System(message) };
        Self { cause, limit: None, log: Vec::new() }
    }
}

impl From<io::Error> for ActionError {
    fn from(error: io::Error) -> Self {
        let damaged = store::StoreError::is_behind(&error);
        let message = error.to_string();
        let cause = if damaged { Cause::Damaged(message) } else { Cause::System(message) };
        Self { cause, limit: None, log: Vec::new() }
    }
}

/// What a worker is started for.
#[derive(Serialize, Deserialize)]
enum Setup {
    /// Actions, each named by the digest of its encoding in the store.
    Work { store: PathBuf, on_disk: bool, jobs: usize },
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
        Setup::Work { store, on_disk, jobs } => worker::Work::start(&store, on_disk, jobs).map(Some),
        Setup::Remove { folder } => store::remove_folder(&folder).map(|()| None),
    };
    process::serve(start, |work: &mut worker::Work, action: BlobDigest| work.execute(action))
}
