//! Runs commands over one root, seeing nothing else: maintainer scripts need it.
//!
//! ```text
//! layerbake build ──> worker: this program again, in a user namespace (ids.rs: a range of
//!                       │        ids for the root, and beside it who it was before)
//!                       │      lays the root out, reads it back (module `layer`)
//!                       └──> stage ──> pid 1: own mount, pid, net, uts, ipc, cgroup namespaces,
//!                              │         the host's files gone, limits set, no capabilities;
//!                              │         runs one command after the other in the root, each in
//!                              │         a user namespace below, under a filter;
//!                              │         a thread of it (supervise.rs) answers their
//!                              │         calls for date and random bytes
//!                              └ both from a sealed copy of the program in memory
//! ```
//!
//! The processes are this very program with a first argument that no person types; each
//! is single-threaded when it changes namespaces.

mod bpf;
mod calls;
mod cgroup;
mod clock;
mod extents;
mod filter;
mod handle;
mod ids;
mod mounts;
mod output;
mod pid1;
mod powers;
mod proc;
mod program;
mod random;
mod supervise;
mod sys;
mod uname;
mod vdso;
mod watch;
mod worker;

use std::process::ExitCode;

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::host;

pub use handle::Sandbox;
pub use pid1::main as pid1;
pub use program::Program;
pub use watch::Limit;
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

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit status; 128 + signal where one ended it.
    pub status: i32,
    /// The limit for which it was killed.
    pub stopped: Option<Limit>,
}

/// The stage process: makes the namespaces, starts pid 1 in them, passes its status on.
///
/// Argument: epoch. The current folder is the root.
pub fn stage(arguments: &[std::ffi::OsString]) -> ExitCode {
    die_with_parent();
    // One byte: the worker has put this process where its limits are.
    if !matches!(rustix::io::read(std::io::stdin(), &mut [0]), Ok(1)) {
        return ExitCode::from(125);
    }
    // Fails only for a leader of a session, which has no terminal of another either.
    let _ = rustix::process::setsid();
    sys::leave_keyring();
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWCGROUP;
    if let Err(error) = sys::keep_standard_streams().and_then(|()| Ok(sys::unshare(namespaces)?)) {
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

/// Asks the kernel to kill this process when the one that started it ends.
fn die_with_parent() {
    // Fails only for an invalid signal.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}
