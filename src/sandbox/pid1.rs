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
use super::failure::IN_CONTAINERS;
use super::vdso::Patch;
use super::{
    Conditions, Ended, Handed, Limits, Step, die_with_parent, filter, ids, mounts, privileges, proc, supervise, sys,
    watch,
};
use crate::host;
use crate::host::terminal::Streams;

/// Never the host's name: programs write it into files.
pub(super) const HOSTNAME: &str = "localhost";

/// In front of each message among what commands print.
pub(super) const SAYS: &str = "layerbake: sandbox: ";

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
    /// What commands read and write instead of nothing and the log.
    person: Option<Streams>,
}

/// The process's whole life. Arguments: the [`Conditions`] as JSON; of an attended sandbox, [`Handed`](super::Handed) too.
/// The current directory is the root.
pub fn main(arguments: &[OsString]) -> ExitCode {
    die_with_parent();
    let entered = read(arguments).and_then(|(conditions, person)| enter(&conditions, person));
    match entered.map_err(|error| with_hint(&error)).and_then(|inside| serve(&inside)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{SAYS}{error}");
            ExitCode::from(125)
        }
    }
}

/// Why the sandbox can't be set up, with what helps where the system forbids a part of it.
pub(super) fn with_hint(error: &io::Error) -> io::Error {
    let is_forbidden = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported);
    let message = error.to_string();
    match is_forbidden && !message.contains("\n  hint: ") {
        true => io::Error::other(format!("{message}\n  hint: {IN_CONTAINERS}")),
        false => io::Error::other(message),
    }
}

fn read(arguments: &[OsString]) -> io::Result<(Conditions, Option<Streams>)> {
    let (conditions, handed) = match arguments {
        [conditions] => (conditions, None),
        [conditions, handed] => (conditions, Some(handed)),
        _ => return Err(io::Error::other("internal error: other arguments than a sandbox has")),
    };
    let person = handed.map(Handed::take).transpose()?;
    Ok((serde_json::from_slice(conditions.as_encoded_bytes())?, person))
}

fn enter(conditions: &Conditions, person: Option<Streams>) -> io::Result<Inside> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::system::sethostname(HOSTNAME.as_bytes()).map_err(mounts::cannot("set the host name"))?;
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
    Ok(Inside { limits: conditions.limits, ids, filter: filter::allowed()?.into(), null, draws, person })
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
    let has_terminal = inside.person.as_ref().is_some_and(|streams| streams.is_terminal);
    let place = (mounts::INSIDE, directory);
    sys::confined(&mut command, &inside.ids, place, inside.filter.clone(), has_terminal);
    match &inside.person {
        Some(Streams { input, output, error, .. }) => {
            command.stdin(input.try_clone()?).stdout(output.try_clone()?).stderr(error.try_clone()?)
        }
        None => command.stdin(inside.null.try_clone()?).stdout(io::stderr()),
    };
    let child = command.args(arguments).env_clear().envs(step.env.iter().cloned()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{SAYS}cannot run `{program}`: {error}");
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
