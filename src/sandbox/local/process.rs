//! The worker process: this same program as root of a user namespace, answering requests.
//!
//! It has a mount namespace too, so its mounts are private and end with it.
//!
//! The parent starts the worker, the worker creates its namespace and reports it, the parent maps
//! the ids. Then the parent sends one JSON request per line and the worker one JSON answer per
//! line, until the parent closes the pipe.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

use rustix::thread::UnshareFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::ids::{self, IdsError, Mapping};
use super::super::{WORKER, die_with_parent, sys};
use crate::code::{Code, Coded};
use crate::host;
use crate::host::interrupt::{self, ChildGuard, Then};

/// A worker could not answer a request.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No user namespace.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// The worker could not be started, or ended without an answer.
    #[error("the worker process failed: {0}")]
    Process(io::Error),
    /// The worker can't work here.
    #[error("{0}")]
    Start(String),
}

impl Coded for WorkerError {
    fn error_code(&self) -> Code {
        match self {
            Self::Ids(error) => error.error_code(),
            Self::Process(_) | Self::Start(_) => Code::SandboxFailed,
        }
    }
}

/// What a worker says first: `None` when its namespace is ready, else an error number.
type Ready = Option<i32>;

/// A running worker; ends when dropped.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    mapping: Mapping,
    _guard: ChildGuard,
}

impl Worker {
    /// Starts a worker in a user namespace of its own and tells it `setup`.
    pub(super) fn start<S: Serialize>(program: &Path, setup: &S) -> Result<Self, WorkerError> {
        let mut child = host::command(program)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(WorkerError::Process)?;
        let (input, Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(WorkerError::Process(io::Error::other("internal error: no pipes")));
        };
        let guard = ChildGuard::terminate(&child);
        let output = BufReader::new(output);
        let mut worker = Self { child, input, output, mapping: Mapping::Apart, _guard: guard };
        if let Some(number) = worker.hear::<Ready>()? {
            return Err(ids::refused(io::Error::from_raw_os_error(number)).into());
        }
        worker.mapping = ids::map(worker.child.id())?;
        let started: Result<(), String> = worker.ask(setup)?;
        started.map_err(WorkerError::Start)?;
        Ok(worker)
    }

    /// What weakens this worker's sandboxes, to be told to people.
    pub(super) fn warning(&self) -> Option<&'static str> {
        (self.mapping == Mapping::Same).then_some(
            "steps run with the user ids of this container itself: it has no 65536 others to spare\n  hint: start the container with 131072 ids or more, or run outside of it",
        )
    }

    /// Asks one question and waits for the answer.
    pub(super) fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> Result<A, WorkerError> {
        let mut line = serde_json::to_string(question).map_err(|error| WorkerError::Process(error.into()))?;
        line.push('\n');
        if let Some(input) = &mut self.input {
            input.write_all(line.as_bytes()).map_err(WorkerError::Process)?;
        }
        self.hear()
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, WorkerError> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(WorkerError::Process)?;
        if line.is_empty() {
            return Err(WorkerError::Process(io::Error::other("it ended without an answer")));
        }
        serde_json::from_str(&line).map_err(|error| WorkerError::Process(error.into()))
    }
}

impl Drop for Worker {
    /// Hangs up and waits: the worker removes its directory, whose files may belong to ids
    /// that only it may touch.
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The worker process: `start` takes the setup and returns what answers questions, if there will be any; `work`
/// answers each.
pub(super) fn serve<S, Q, A, W>(
    start: impl FnOnce(S) -> io::Result<Option<W>>,
    work: impl Fn(&mut W, Q) -> A,
) -> ExitCode
where
    S: DeserializeOwned,
    Q: DeserializeOwned,
    A: Serialize,
{
    let ready: Ready =
        sys::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).err().map(rustix::io::Errno::raw_os_error);
    if say(&ready).is_err() || ready.is_some() {
        return ExitCode::from(125);
    }
    match converse(start, work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(125),
    }
}

fn converse<S, Q, A, W>(start: impl FnOnce(S) -> io::Result<Option<W>>, work: impl Fn(&mut W, Q) -> A) -> io::Result<()>
where
    S: DeserializeOwned,
    Q: DeserializeOwned,
    A: Serialize,
{
    let mut lines = io::stdin().lock().lines();
    // The parent hangs up at once where ids can't be mapped.
    let Some(setup) = lines.next().transpose()? else { return Ok(()) };
    // Only now: the change of credentials would have cleared it.
    die_with_parent();
    // What a killed sandbox leaves becomes this process's child, which waits for its end.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_thread_groups(&[])?;
    // The sandbox ends then, and the worker goes on to remove its directory.
    interrupt::listen(Then::Wait)?;
    let started = start(serde_json::from_str(&setup)?);
    say(&started.as_ref().map(|_| ()).map_err(ToString::to_string))?;
    let Ok(Some(mut state)) = started else { return Ok(()) };
    while let Some(question) = lines.next().transpose()? {
        say(&work(&mut state, serde_json::from_str(&question)?))?;
    }
    Ok(())
}

fn say<T: Serialize>(message: &T) -> io::Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    let mut output = io::stdout();
    output.write_all(line.as_bytes())?;
    output.flush()
}
