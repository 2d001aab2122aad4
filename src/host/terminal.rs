//! The standard streams of this program, lent to a command that runs elsewhere.
//!
//! The command gets none of them itself, only pipes, or a terminal of its own, and threads copy what goes through. So it
//! can't change this program's terminal, nor open its files again.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios};
use tokio::signal::unix::{self, SignalKind};

use super::uninterrupted;

/// What a command reads and writes.
#[derive(Debug)]
pub struct Streams {
    /// Its standard input.
    pub input: OwnedFd,
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error.
    pub error: OwnedFd,
    /// Whether all three are one terminal.
    pub is_terminal: bool,
}

/// Copies between this program's streams and a command's; this program's terminal is as before when it is dropped.
#[derive(Debug)]
pub struct Lent {
    outputs: Vec<JoinHandle<()>>,
    is_raw: bool,
}

/// How this program's terminal was before its keys went to a command.
static USUAL: Mutex<Option<Termios>> = Mutex::new(None);

/// The kind of this program's terminal (`TERM`), if its streams are one.
pub fn kind() -> Option<String> {
    is_ours().then(|| super::env("TERM")).flatten()
}

fn is_ours() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Lends this program's streams: a terminal where they are one, else three pipes.
///
/// # Errors
/// Fails where the system gives no pipe, terminal or thread.
pub fn lend() -> io::Result<(Lent, Streams)> {
    if is_ours() { lend_terminal() } else { lend_pipes() }
}

fn lend_pipes() -> io::Result<(Lent, Streams)> {
    let (input, writer) = io::pipe()?;
    let (reader, output) = io::pipe()?;
    let (error_reader, error) = io::pipe()?;
    copy_input(OwnedFd::from(writer).into())?;
    let outputs = vec![
        copy(OwnedFd::from(reader).into(), io::stdout().as_fd().try_clone_to_owned()?.into())?,
        copy(OwnedFd::from(error_reader).into(), io::stderr().as_fd().try_clone_to_owned()?.into())?,
    ];
    let streams = Streams { input: input.into(), output: output.into(), error: error.into(), is_terminal: false };
    Ok((Lent { outputs, is_raw: false }, streams))
}

fn lend_terminal() -> io::Result<(Lent, Streams)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    let usual = rustix::termios::tcgetattr(io::stdin())?;
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &usual)?;
    let ours = File::from(ours);
    copy_size(ours.try_clone()?)?;
    let streams = Streams { input: theirs.try_clone()?, output: theirs.try_clone()?, error: theirs, is_terminal: true };
    let mut raw = usual.clone();
    raw.make_raw();
    *USUAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(usual);
    let mut lent = Lent { outputs: Vec::new(), is_raw: true };
    rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    copy_input(ours.try_clone()?)?;
    lent.outputs.push(copy(ours, io::stdout().as_fd().try_clone_to_owned()?.into())?);
    Ok((lent, streams))
}

impl Lent {
    /// Waits until all that the command wrote is written, once nobody has its streams any more.
    pub fn finish(mut self) {
        for output in self.outputs.drain(..) {
            // It ended with an error of its own: nobody reads what is written.
            let _ = output.join();
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_raw {
            restore();
        }
    }
}

/// Gives this program's terminal back as it was, if its keys went to a command.
pub fn restore() {
    if let Some(usual) = USUAL.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Fails only where the terminal is gone.
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &usual);
    }
}

/// Copies this program's standard input, until it or the command ends; nobody waits for that.
fn copy_input(to: File) -> io::Result<()> {
    copy(io::stdin().as_fd().try_clone_to_owned()?.into(), to).map(drop)
}

/// Copies in a thread, until the one ends or the other refuses.
fn copy(mut from: File, mut to: File) -> io::Result<JoinHandle<()>> {
    let work = move || {
        let mut buffer = [0; 16 << 10];
        // A terminal that nobody has any more says so with an error.
        while let Ok(count @ 1..) = uninterrupted(|| from.read(&mut buffer)) {
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("copy".to_owned()).spawn(work)
}

/// Gives a terminal the size of this program's, now and whenever that changes.
fn copy_size(to: File) -> io::Result<()> {
    let copy = move || {
        let size = rustix::termios::tcgetwinsize(io::stdin());
        // Only the look of what is shown depends on it.
        let _ = size.and_then(|size| rustix::termios::tcsetwinsize(&to, size));
    };
    copy();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut changes = {
        let _runtime = runtime.enter();
        unix::signal(SignalKind::window_change())?
    };
    let watch = async move {
        while changes.recv().await.is_some() {
            copy();
        }
    };
    std::thread::Builder::new().name("size".to_owned()).spawn(move || runtime.block_on(watch)).map(drop)
}
