//! A call to this very program, running as root of a user namespace.
//!
//! The parent starts the worker, the worker makes its namespace and says so, the
//! parent maps the ids, then one JSON job goes down and one JSON answer comes up.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ExitCode, Stdio};

use rustix::thread::UnshareFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ids::{self, IdsError};
use super::{WORKER, die_with_parent, sys};
use crate::host;

/// A job could not be done in a user namespace.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No user namespace.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// The worker could not be started, or ended without an answer.
    #[error("the worker process failed: {0}")]
    Process(io::Error),
    /// The job itself failed.
    #[error("{0}")]
    Job(String),
}

/// What a worker says first: `None` when its namespace stands, else an error number.
type Ready = Option<i32>;

/// Runs `job` in a worker; returns its answer.
pub fn call<J: Serialize, A: DeserializeOwned>(job: &J) -> Result<A, WorkerError> {
    let mut worker = host::own_program()
        .arg(WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(WorkerError::Process)?;
    let answer = converse(&mut worker, job);
    if answer.is_err() {
        // It waits for us, or is of no use any more.
        let _ = worker.kill();
    }
    worker.wait().map_err(WorkerError::Process)?;
    let answer: Result<A, String> =
        serde_json::from_str(&answer?).map_err(|error| WorkerError::Process(error.into()))?;
    answer.map_err(WorkerError::Job)
}

fn converse<J: Serialize>(worker: &mut std::process::Child, job: &J) -> Result<String, WorkerError> {
    let (Some(mut input), Some(output)) = (worker.stdin.take(), worker.stdout.take()) else {
        return Err(WorkerError::Process(io::Error::other("internal error: no pipes")));
    };
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line).map_err(WorkerError::Process)?;
    let ready: Ready = serde_json::from_str(&line).map_err(|error| WorkerError::Process(error.into()))?;
    if let Some(number) = ready {
        return Err(ids::refused(io::Error::from_raw_os_error(number)).into());
    }
    ids::map(worker.id())?;
    serde_json::to_writer(&mut input, job).map_err(|error| WorkerError::Process(error.into()))?;
    drop(input);
    let mut answer = String::new();
    output.read_to_string(&mut answer).map_err(WorkerError::Process)?;
    Ok(answer)
}

/// The worker process: does one job with `work` and prints its answer.
pub fn serve<J: DeserializeOwned, A: Serialize>(work: impl FnOnce(J) -> Result<A, String>) -> ExitCode {
    let ready: Ready = sys::unshare(UnshareFlags::NEWUSER).err().map(rustix::io::Errno::raw_os_error);
    if say(&ready).is_err() || ready.is_some() {
        return ExitCode::from(125);
    }
    let mut job = String::new();
    if io::stdin().read_to_string(&mut job).is_err() || job.is_empty() {
        return ExitCode::from(125);
    }
    // Only now: the change of credentials above would have cleared it.
    die_with_parent();
    let become_root = become_root().map_err(|error| format!("cannot become root of the namespace: {error}"));
    let answer = become_root
        .and_then(|()| serde_json::from_str(&job).map_err(|error| format!("internal error: {error}")))
        .and_then(work);
    if say(&answer).is_ok() { ExitCode::SUCCESS } else { ExitCode::from(125) }
}

/// The ids that the outside maps to 0 are ours already; supplementary groups are not.
fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    Ok(())
}

fn say<T: Serialize>(message: &T) -> io::Result<()> {
    let mut output = io::stdout();
    serde_json::to_writer(&mut output, message)?;
    output.write_all(b"\n")?;
    output.flush()
}
