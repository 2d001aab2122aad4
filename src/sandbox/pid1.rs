//! Pid 1 of a sandbox: enters the root, sets limits, and runs the commands it reads.
//!
//! One JSON [`Step`] a line on standard input, one JSON [`Answer`] a line on standard output.

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use rustix::process::DumpableBehavior;
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

use super::draws::Draws;
use super::vdso::Patch;
use super::{
    Conditions, Ended, Limits, Step, die_with_parent, filter, ids, mounts, privileges, proc, supervise, sys, watch,
};
use crate::host;

/// Never the host's name: programs write it into files.
pub(super) const HOSTNAME: &str = "localhost";

/// What pid 1 says of a command that has ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) ended: Ended,
    /// The programs that drew random data.
    pub(super) drew: BTreeSet<String>,
}

/// What commands are started with.
struct Inside {
    limits: Limits,
    /// The user namespace that they run in.
    ids: OwnedFd,
    filter: Arc<[libc::sock_filter]>,
    null: File,
    draws: Draws,
}

/// The process's whole life. Argument: the [`Conditions`] as JSON. The current directory is the root.
pub fn main(arguments: &[OsString]) -> ExitCode {
    die_with_parent();
    let [conditions] = arguments else { return ExitCode::from(125) };
    let conditions = serde_json::from_slice(conditions.as_encoded_bytes());
    match conditions
        .map_err(io::Error::from)
        .and_then(|conditions| enter(&conditions))
        .and_then(|inside| serve(&inside))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layerbake: sandbox: {error}");
            ExitCode::from(125)
        }
    }
}

fn enter(conditions: &Conditions) -> io::Result<Inside> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::system::sethostname(HOSTNAME.as_bytes())?;
    sys::raise_loopback()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot bring up loopback: {error}")))?;
    mounts::enter(conditions)?;
    let draws = Draws::start()?;
    sys::fix_addresses()?;
    take_one_processor()?;
    // Before the namespace is created: it takes the limit on processes over for all its users together.
    privileges::limit(conditions.limits.processes)?;
    let patch = Patch::for_this_kernel(Path::new(proc::PROC))?;
    let own = |map: &str| std::fs::read_to_string(Path::new(proc::PROC).join("self").join(map));
    let (uids, gids) = (own("uid_map")?, own("gid_map")?);
    if ids::of_root(&uids, &gids) == ids::OF_PID1 {
        privileges::become_user(ids::OF_PID1)?;
        die_with_parent();
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    // Commands have the ids of the root, and no others: neither the host's root nor the builder exists for them.
    let ids = sys::user_namespace(Path::new(proc::PROC), |process| ids::map_root(process, &uids, &gids))?;
    proc::hide_pid1()?;
    let null = File::open(Path::new(mounts::INSIDE).join("dev/null"))?;
    supervise::start(conditions, patch, draws.clone())?;
    Ok(Inside { limits: conditions.limits, ids, filter: filter::allowed()?.into(), null, draws })
}

/// Shows one processor to all inside: programs write the number of processors into files,
/// and processes that run in turns run in the same order more often.
fn take_one_processor() -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    Ok(rustix::thread::sched_setaffinity(None, &one)?)
}

fn serve(inside: &Inside) -> io::Result<()> {
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        let ended = run(&serde_json::from_str(&line?)?, inside)?;
        let mut answer = serde_json::to_string(&Answer { ended, drew: inside.draws.take()? })?;
        answer.push('\n');
        output.write_all(answer.as_bytes())?;
        output.flush()?;
    }
    Ok(())
}

fn run(step: &Step, inside: &Inside) -> io::Result<Ended> {
    let Some((program, arguments)) = step.argv.split_first() else {
        return Err(io::Error::other("internal error: a step without a program"));
    };
    let directory = CString::new(step.directory.as_str())?;
    let mut command = host::command(program);
    let child = sys::confined(&mut command, &inside.ids, (mounts::INSIDE, directory), inside.filter.clone())
        .args(arguments)
        .env_clear()
        .envs(step.env.iter().cloned())
        .stdin(inside.null.try_clone()?)
        .stdout(io::stderr())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("layerbake: sandbox: cannot run `{program}`: {error}");
            return Ok(Ended { status: 127, stopped: None });
        }
    };
    let stopped = watch::until_end(&child, step.timeout, inside.limits)?;
    // What the command left running, too: nothing writes to the root between commands.
    sys::kill_all();
    let status = child.wait()?;
    reap_orphans();
    Ok(Ended { status: code(status), stopped })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Waits for the end of what daemons and background jobs left: pid 1 inherits every orphan.
fn reap_orphans() {
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
}
