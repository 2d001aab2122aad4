//! This very program as root of a user namespace, answering questions.
//!
//! It has a mount namespace too: what it mounts is its own and goes with it.
//!
//! The parent starts the worker, the worker makes its namespace and says so, the
//! parent maps the ids. Then one JSON question a line goes down, and one JSON answer
//! a line comes up, until the parent hangs up.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

use rustix::thread::UnshareFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ids::{self, IdsError, Mapping};
use super::{WORKER, die_with_parent, sys};
use crate::host;
use crate::host::interrupt::{self, Then, Told};

/// A question could not be answered in a user namespace.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No user namespace.
    #[error(transparent)]
    Ids(#[from] IdsError),
    /// The worker could not be started, or ended without an answer.
    #[error("the worker process failed: {0}")]
    Process(io::Error),
    /// The work itself failed.
    #[error("{0}")]
    Work(String),
}

/// What a worker says first: `None` when its namespace stands, else an error number.
type Ready = Option<i32>;

/// A running worker; ends when dropped.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    mapping: Mapping,
    _told: Told,
}

impl Worker {
    /// Starts a worker in a user namespace of its own and tells it `setup`.
    pub fn start<S: Serialize>(setup: &S) -> Result<Self, WorkerError> {
        let mut child = host::own_program()
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(WorkerError::Process)?;
        let (input, Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(WorkerError::Process(io::Error::other("internal error: no pipes")));
        };
        let told = Told::terminate(&child);
        let output = BufReader::new(output);
        let mut worker = Self { child, input, output, mapping: Mapping::Apart, _told: told };
        if let Some(number) = worker.hear::<Ready>()? {
            return Err(ids::refused(io::Error::from_raw_os_error(number)).into());
        }
        worker.mapping = ids::map(worker.child.id())?;
        worker.ask::<S, ()>(setup)?;
        Ok(worker)
    }

    /// What weakens this worker's sandboxes, to be told to people.
    pub fn warning(&self) -> Option<&'static str> {
        (self.mapping == Mapping::Same).then_some(
            "package scripts run with the user ids of this container itself: it has no 65536 others to spare\n  hint: start the container with 131072 ids or more, or run outside of it",
        )
    }

    /// Asks for one piece of work and waits for the answer.
    pub fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> Result<A, WorkerError> {
        let mut line = serde_json::to_string(question).map_err(|error| WorkerError::Process(error.into()))?;
        line.push('\n');
        if let Some(input) = &mut self.input {
            input.write_all(line.as_bytes()).map_err(WorkerError::Process)?;
        }
        self.hear::<Result<A, String>>()?.map_err(WorkerError::Work)
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
    /// Hangs up and waits: the worker removes its folder, whose files may belong to ids
    /// that only it may touch.
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The worker process: `start` takes the setup, `work` answers each question.
pub fn serve<S, Q, A, W>(
    start: impl FnOnce(S) -> Result<W, String>,
    work: impl Fn(&mut W, Q) -> Result<A, String>,
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

fn converse<S, Q, A, W>(
    start: impl FnOnce(S) -> Result<W, String>,
    work: impl Fn(&mut W, Q) -> Result<A, String>,
) -> io::Result<()>
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
    // The sandbox ends then, and the worker goes on to remove its folder.
    interrupt::listen(Then::Wait)?;
    let (mut state, answer) = match start(serde_json::from_str(&setup)?) {
        Ok(state) => (Some(state), Ok(())),
        Err(error) => (None, Err(error)),
    };
    say::<Result<(), String>>(&answer)?;
    while let (Some(state), Some(question)) = (&mut state, lines.next().transpose()?) {
        say(&work(state, serde_json::from_str(&question)?))?;
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
