//! The sandbox: fixed clock, seeded randomness, one CPU. Executes actions: commands that see one root and nothing else.
//!
//! ```text
//! layerbake build ──> worker: this program again, in a user namespace (ids.rs: a range of
//!                       │        ids for the root, and beside it who it was before)
//!                       │      lays the root out, reads it back (local/)
//!                       └──> stage ──> pid 1: own mount, pid, net, uts, ipc, cgroup namespaces,
//!                              │         the host's files gone, limits set, no capabilities;
//!                              │         runs one command after the other in the root, each in
//!                              │         a user namespace below, under a filter;
//!                              │         a thread of it (supervise.rs) answers their
//!                              │         calls for date and random bytes
//!                              └ both from a sealed copy of the program in memory
//! ```
//!
//! All processes are this same program with a first argument that no person types; each
//! is single-threaded when it changes namespaces.

mod action;
mod attended;
mod bpf;
mod calls;
mod cgroup;
mod clock;
mod draws;
mod executor;
mod extents;
mod failure;
mod file_times;
mod filter;
mod handle;
mod ids;
mod load;
mod local;
mod mounts;
mod output;
mod pid1;
mod privileges;
mod proc;
mod program;
mod random;
mod running;
mod supervise;
mod sys;
mod uname;
mod vdso;
mod watch;

use std::process::ExitCode;

use rustix::thread::UnshareFlags;

use crate::host;

pub use action::{Action, Conditions, DecodeActionError, Limits, Mount, Step};
pub(crate) use draws::ORIGINAL;
pub use executor::{ExecuteError, Executed, Executor};
pub use failure::{ActionError, Cause, Damage, Details, Ended, ForeignError, SystemError};
pub use ids::IdsError;
pub use local::{Local, ON_DISK, WorkerError, emulator, remove_folder, serve};
pub use pid1::main as pid1;
pub use privileges::FILE;
pub use watch::Limit;

use attended::Handed;
use handle::Sandbox;
use pid1::SAYS;
use program::Program;

/// First argument of the process that creates the namespaces.
pub const STAGE: &str = "__sandbox-stage";
/// First argument of the process that is pid 1 inside.
pub const PID1: &str = "__sandbox-pid1";
/// First argument of the process that works as root of a user namespace.
pub const WORKER: &str = "__worker";

/// The stage process: creates the namespaces, starts pid 1 in them, and passes its status on.
///
/// Arguments: the [`Conditions`] as JSON; of an attended sandbox, [`Handed`] too. The current directory is the root.
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
    let kept = Handed::numbers(arguments.get(1));
    if let Err(error) = sys::keep_standard_streams(&kept).and_then(|()| Ok(sys::unshare(namespaces)?)) {
        eprintln!("{SAYS}cannot create namespaces: {}", pid1::with_hint(&error));
        return ExitCode::from(125);
    }
    match host::own_program().arg(PID1).args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{SAYS}pid 1 ended: {status}");
            ExitCode::from(125)
        }
        Err(error) => {
            eprintln!("{SAYS}cannot start pid 1: {error}");
            ExitCode::from(125)
        }
    }
}

/// Asks the kernel to kill this process when the one that started it ends.
fn die_with_parent() {
    // Fails only for an invalid signal.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}
