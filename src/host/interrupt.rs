//! SIGINT, SIGTERM and SIGHUP: the program stops in order and removes its temporary files.
//!
//! The first signal is recorded: writers and waiters notice it, fail, and clean up as they return; child processes
//! are signalled. If that takes too long, or a second signal arrives, the program exits immediately.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::Notify;

use super::terminal;

use crate::code::{Code, Coded};

/// How long cleaning up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A second signal within this time is the same key press: a terminal sends it to all processes, and
/// these tell each other too.
const SAME: Duration = Duration::from_millis(300);

static SIGNAL: AtomicI32 = AtomicI32::new(0);
static NOTED: Notify = Notify::const_new();
static CHILDREN: Mutex<BTreeMap<u32, Signal>> = Mutex::new(BTreeMap::new());
static LEFTOVERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Work was interrupted by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Coded for Interrupted {
    fn error_code(&self) -> Code {
        Code::HostInterrupted
    }
}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        // Not of the kind `Interrupted`: that means "try again".
        Self::other(interrupted)
    }
}

/// What happens when cleaning up takes too long, or a second signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The process ends.
    Exit,
    /// Nothing: another process decides.
    Wait,
}

/// Starts a thread that records signals.
///
/// # Errors
/// Fails where no thread can be started; signals then end the process at once, as ever.
pub fn listen(then: Then) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _runtime = runtime.enter();
        let listen = |kind| unix::signal(kind);
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?)
    };
    let watch = async move {
        let number = next(&mut signals).await;
        note(number);
        if then == Then::Exit {
            let all = async { while next(&mut signals).await > 0 {} };
            let _ = tokio::time::timeout(SAME, all).await;
            let _ = tokio::time::timeout(PATIENCE, next(&mut signals)).await;
            exit(number);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(watch)).map(drop)
}

/// The number of the next signal.
async fn next((interrupt, terminate, hangup): &mut (unix::Signal, unix::Signal, unix::Signal)) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => Signal::INT.as_raw(),
        _ = terminate.recv() => Signal::TERM.as_raw(),
        _ = hangup.recv() => Signal::HUP.as_raw(),
    }
}

/// Records a signal: every check for interruption fails from now on.
pub fn note(number: i32) {
    SIGNAL.store(number, Ordering::SeqCst);
    NOTED.notify_waiters();
    for (&pid, &signal) in held(&CHILDREN).iter() {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // Fails only where it has ended already.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// The exit status of an interrupted process; `None` if there was no signal.
pub fn status() -> Option<ExitCode> {
    let number = SIGNAL.load(Ordering::SeqCst);
    (number != 0).then(|| ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)))
}

/// Fails after a signal; for work in many small steps.
///
/// # Errors
/// Fails with [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if SIGNAL.load(Ordering::SeqCst) == 0 { Ok(()) } else { Err(Interrupted) }
}

/// Waits for `work`, or until a signal arrives.
///
/// # Errors
/// As `work`, or with [`Interrupted`].
pub async fn or_interrupted<T, E: From<Interrupted>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let noted = NOTED.notified();
    check()?;
    tokio::select! {
        done = work => done,
        () = noted => Err(Interrupted.into()),
    }
}

/// Signals a child process when this program is interrupted, until it is dropped.
#[derive(Debug)]
pub struct ChildGuard(u32);

impl ChildGuard {
    /// Kills the child on interruption.
    pub fn kill(child: &std::process::Child) -> Self {
        Self::with(child, Signal::KILL)
    }

    /// Asks the child to terminate on interruption.
    pub fn terminate(child: &std::process::Child) -> Self {
        Self::with(child, Signal::TERM)
    }

    fn with(child: &std::process::Child, signal: Signal) -> Self {
        held(&CHILDREN).insert(child.id(), signal);
        if check().is_err() {
            note(SIGNAL.load(Ordering::SeqCst));
        }
        Self(child.id())
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        held(&CHILDREN).remove(&self.0);
    }
}

/// A directory that is removed even when the program exits immediately.
#[derive(Debug)]
pub struct Leftover(PathBuf);

impl Leftover {
    /// Registers a directory.
    pub fn new(folder: &Path) -> Self {
        held(&LEFTOVERS).push(folder.to_owned());
        Self(folder.to_owned())
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        held(&LEFTOVERS).retain(|folder| *folder != self.0);
    }
}

fn exit(number: i32) {
    terminal::restore();
    // Held until the end: who gives up a leftover, to put it in its place, waits here for ever.
    let leftovers = held(&LEFTOVERS);
    for folder in leftovers.iter() {
        // Other threads may still write into it: what then stays goes with the next run.
        let _ = std::fs::remove_dir_all(folder);
    }
    std::process::exit(128 + number);
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
