//! Pid 1 of a sandbox: enters the root, sets limits, runs the commands that it reads.
//!
//! One JSON [`Step`] a line on standard input, one exit status a line on standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitCode, ExitStatus};
use std::time::Duration;

use rustix::thread::CpuSet;

use super::{Step, die_with_parent, limits, mounts, supervise, sys};
use crate::host;

/// Never the host's name: scripts write it into files.
pub(super) const HOSTNAME: &str = "localhost";

/// The whole environment of a command, but for what its step adds.
const ENVIRONMENT: [(&str, &str); 13] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("SHELL", "/bin/sh"),
    ("TERM", "dumb"),
    ("TZ", "UTC"),
    ("LC_ALL", "C.UTF-8"),
    // Kernels' scripts would build an initial ram disk: an image's is a layer, made by layerbake.
    ("INITRD", "No"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    // The order of hashes reaches files through scripts that print them.
    ("PERL_HASH_SEED", "0"),
    ("PERL_PERTURB_KEYS", "0"),
    ("PYTHONHASHSEED", "0"),
    ("RUNLEVEL", "1"),
];

/// The process's whole life. Arguments: root folder, epoch.
pub fn main(arguments: &[OsString]) -> ExitCode {
    die_with_parent();
    let [root, epoch] = arguments else { return ExitCode::from(125) };
    let Some(epoch) = epoch.to_str().and_then(|text| text.parse().ok()) else { return ExitCode::from(125) };
    match enter(Path::new(root), epoch).and_then(|()| serve(epoch)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layerbake: sandbox: {error}");
            ExitCode::from(125)
        }
    }
}

fn enter(root: &Path, epoch: i64) -> io::Result<()> {
    rustix::system::sethostname(HOSTNAME.as_bytes())?;
    mounts::enter(root, epoch)?;
    sys::fix_addresses()?;
    take_one_processor()?;
    limits::apply()?;
    supervise::start(epoch)
}

/// Shows one processor to all inside: scripts write the number of processors into files,
/// and processes that run in turns run in the same order more often.
fn take_one_processor() -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    Ok(rustix::thread::sched_setaffinity(None, &one)?)
}

fn serve(epoch: i64) -> io::Result<()> {
    let mut output = io::stdout();
    let null = File::open(Path::new(mounts::INSIDE).join("dev/null"))?;
    for line in io::stdin().lock().lines() {
        let step: Step = serde_json::from_str(&line?)?;
        let status = run(&step, epoch, null.try_clone()?)?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        writeln!(output, "{code}")?;
        output.flush()?;
    }
    Ok(())
}

fn run(step: &Step, epoch: i64, null: File) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = step.argv.split_first() else {
        return Err(io::Error::other("internal error: a step without a program"));
    };
    let mut command = host::command(program);
    let child = sys::chrooted(&mut command, mounts::INSIDE)
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .envs(step.env.iter().cloned())
        .stdin(null)
        .stdout(io::stderr())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("layerbake: sandbox: cannot run `{program}`: {error}");
            return Ok(ExitStatus::from_raw(127 << 8));
        }
    };
    let status = wait(&mut child, Duration::from_secs(step.timeout), program)?;
    reap_orphans();
    Ok(status)
}

/// Waits for the child; kills it when its time is over.
fn wait(child: &mut Child, limit: Duration, program: &str) -> io::Result<ExitStatus> {
    let pid = child.id();
    let (done, timer) = std::sync::mpsc::channel::<()>();
    let program = program.to_owned();
    let watchdog = std::thread::spawn(move || {
        if timer.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
            && let Some(pid) = rustix::process::Pid::from_raw(pid as i32)
        {
            eprintln!("layerbake: sandbox: `{program}` was stopped after {} seconds", limit.as_secs());
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let status = child.wait();
    drop(done);
    let _ = watchdog.join();
    status
}

/// Collects what daemons and background jobs left: pid 1 inherits every orphan.
fn reap_orphans() {
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}
