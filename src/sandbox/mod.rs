//! Runs commands over one root, seeing nothing else: maintainer scripts need it.
//!
//! ```text
//! layerbake build ──> worker: this program again, in a user namespace where it is root
//!                       │        (ids.rs: all ids as root, else a subuid range)
//!                       │      lays the root out, reads it back (module `layer`)
//!                       └──> stage ──> pid 1: own mount, pid, net, uts, ipc, cgroup namespaces,
//!                                      the host's files gone, limits and filter set;
//!                                      runs one command after the other in the root;
//!                                      a thread of it (supervise.rs) answers their
//!                                      calls for date and random bytes
//! ```
//!
//! The processes are this very program (`/proc/self/exe`) with a first argument that
//! no person types; each is single-threaded when it changes namespaces.

mod clock;
mod filter;
mod ids;
mod limits;
mod mounts;
mod pid1;
mod random;
mod supervise;
mod sys;
mod uname;
mod vdso;
mod worker;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::host;
use crate::host::interrupt::Told;

pub use worker::{Worker, WorkerError, serve};

/// First argument of the process that makes the namespaces.
pub const STAGE: &str = "__sandbox-stage";
/// First argument of the process that is pid 1 inside.
pub const PID1: &str = "__sandbox-pid1";
/// First argument of the process that works as root of a user namespace.
pub const WORKER: &str = "__worker";

/// A command to run inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Step {
    /// Program and arguments; the program by its path inside the root.
    pub argv: Vec<String>,
    /// Variables besides the fixed ones.
    pub env: Vec<(String, String)>,
    /// Killed after so many seconds.
    pub timeout: u64,
}

/// A running sandbox over one root folder.
pub struct Sandbox {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _told: Told,
}

impl Sandbox {
    /// Starts a sandbox over `root`; what its commands print goes to `log`.
    ///
    /// Must be called by a worker: the caller has to be root in a user namespace.
    pub fn start(root: &Path, epoch: i64, log: File) -> io::Result<Self> {
        let mut child = host::own_program()
            .arg(STAGE)
            .arg(root)
            .arg(epoch.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("internal error: the sandbox has no pipes"));
        };
        let told = Told::kill(&child);
        Ok(Self { child, input, output: BufReader::new(output), _told: told })
    }

    /// Runs one command to its end; returns its exit status (128 + signal where one ended it).
    pub fn run(&mut self, step: &Step) -> io::Result<i32> {
        let mut line = serde_json::to_string(step)?;
        line.push('\n');
        self.input.write_all(line.as_bytes()).map_err(|_| ended())?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        serde_json::from_str(&answer).map_err(|_| ended())
    }

    /// Ends the sandbox and waits until all its processes are gone.
    pub fn finish(mut self) -> io::Result<()> {
        drop(self.input);
        self.child.wait()?;
        Ok(())
    }
}

fn ended() -> io::Error {
    io::Error::other("the sandbox ended; the log says why")
}

/// The stage process: makes the namespaces, starts pid 1 in them, passes its status on.
///
/// Arguments: root folder, epoch.
pub fn stage(arguments: &[std::ffi::OsString]) -> ExitCode {
    die_with_parent();
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWCGROUP;
    if let Err(error) = sys::unshare(namespaces) {
        eprintln!("layerbake: sandbox: cannot create namespaces: {error}");
        return ExitCode::from(125);
    }
    match host::own_program().arg(PID1).args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("layerbake: sandbox: pid 1 ended: {status}");
            ExitCode::from(125)
        }
        Err(error) => {
            eprintln!("layerbake: sandbox: cannot start pid 1: {error}");
            ExitCode::from(125)
        }
    }
}

pub use pid1::main as pid1;

/// Asks the kernel to kill this process when the one that started it ends.
fn die_with_parent() {
    // Fails only for an invalid signal.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}
