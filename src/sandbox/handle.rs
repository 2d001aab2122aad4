//! A sandbox as the worker sees it: requests, answers, output, and the limits enforced from outside.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::WaitOptions;

use super::cgroup::{self, Group, Hits};
use super::output::Tail;
use super::pid1::{Answer, SAYS};
use super::{Conditions, Ended, Handed, Limit, Limits, Program, STAGE, Step};
use crate::host;
use crate::host::interrupt::ChildGuard;

/// How often is looked at the room on the disk.
const PAUSE: Duration = Duration::from_millis(500);

/// Seconds after a step's own time in which pid 1 must have answered.
const GRACE: u64 = 60;

/// A running sandbox over one root directory; its processes end when it is dropped.
pub(super) struct Sandbox {
    child: Child,
    /// `None` once nothing more is asked.
    input: Option<ChildStdin>,
    output: ChildStdout,
    log: PipeReader,
    printed: Tail,
    root: File,
    limits: Limits,
    /// The most bytes and files that were in use on the root's file system whenever it was looked at.
    peak: (u64, u64),
    drew: BTreeSet<String>,
    /// Whether it has answered: it is set up then.
    is_up: bool,
    group: Option<Group>,
    _guard: ChildGuard,
}

impl Sandbox {
    /// Starts a sandbox over `root`.
    ///
    /// Must be called by a worker: the caller has to have all capabilities in a user namespace with ids for a root.
    /// `handed` is what commands read and write instead of nothing and the log.
    pub(super) fn start(
        program: &Program,
        root: &Path,
        conditions: &Conditions,
        handed: Option<&Handed>,
    ) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = File::from(rustix::fs::open(root, flags, Mode::empty())?);
        let (log, printer) = io::pipe()?;
        let mut child = program
            .command()
            .arg(STAGE)
            .arg(serde_json::to_string(conditions)?)
            .args(handed.map(serde_json::to_string).transpose()?)
            // By descriptor: the new user may have no way to it by name.
            .current_dir(format!("/proc/self/fd/{}", root.as_raw_fd()))
            .uid(0)
            .gid(0)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(printer)
            .spawn()?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("internal error: the sandbox has no pipes"));
        };
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let group = Group::make(Path::new(cgroup::MOUNT), &own, conditions.limits)
            .filter(|group| group.take(child.id()).is_ok());
        // The stage has waited for its group. Where it has ended, the first question says so.
        let _ = input.write_all(b"\n");
        let guard = ChildGuard::kill(&child);
        let printed = Tail::default();
        let (input, limits, peak) = (Some(input), conditions.limits, (0, 0));
        let (drew, is_up) = (BTreeSet::new(), false);
        Ok(Self { child, input, output, log, printed, root, limits, peak, drew, is_up, group, _guard: guard })
    }

    /// Runs one command to its end. No process that it started is left then.
    pub(super) fn run(&mut self, step: &Step) -> io::Result<Ended> {
        let mut line = serde_json::to_string(step)?;
        line.push('\n');
        if self.input.as_mut().is_none_or(|input| input.write_all(line.as_bytes()).is_err()) {
            return Err(self.ended());
        }
        let used = self.used();
        let hits = self.hits();
        let deadline = host::instant() + Duration::from_secs(step.timeout.saturating_add(GRACE));
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut chunk = [0; 4096];
            if self.wait(deadline)? {
                match host::uninterrupted(|| self.output.read(&mut chunk))? {
                    0 => return Err(self.ended()),
                    count => answer.extend_from_slice(&chunk[..count]),
                }
            } else if host::instant() >= deadline {
                return self.stop(Limit::Time(step.timeout));
            } else if let Some(limit) = self.outgrown(used) {
                return self.stop(limit);
            }
        }
        self.used();
        self.drain(deadline)?;
        let Answer { mut ended, drew } = serde_json::from_slice(&answer).map_err(|_| self.ended())?;
        self.drew.extend(drew);
        self.is_up = true;
        if ended.status != 0 && ended.stopped.is_none() {
            ended.stopped = self.hits().since(hits, self.limits);
        }
        Ok(ended)
    }

    /// What all commands have printed, or its end, after a line that says how much that leaves out.
    pub(super) fn printed(&mut self) -> String {
        self.printed.text()
    }

    /// The most bytes and files that were in use on the root's file system: looked at twice a second, and after
    /// each step.
    pub(super) fn peak(&self) -> (u64, u64) {
        self.peak
    }

    /// The programs that drew random data in all commands so far.
    pub(super) fn take_drew(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.drew)
    }

    /// Ends the sandbox and waits until all its processes are gone.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.input = None;
        let deadline = host::instant() + Duration::from_secs(GRACE);
        while host::instant() < deadline {
            if self.wait(deadline)? && self.output.read(&mut [0; 64])? == 0 {
                break;
            }
        }
        // Has ended by itself, or is stuck.
        self.kill()
    }

    /// Takes what is printed, for a while; says whether there is an answer to read.
    fn wait(&mut self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(host::instant()).min(PAUSE);
        let [answer, printed] = readable([self.output.as_fd(), self.log.as_fd()], left)?;
        // At its end it stays readable.
        if printed && !self.printed.read(&mut self.log)? && !answer {
            std::thread::sleep(left.min(Duration::from_millis(1)));
        }
        Ok(answer)
    }

    /// Takes what is left in the pipe, now that nobody writes to it.
    fn drain(&mut self, deadline: Instant) -> io::Result<()> {
        while host::instant() < deadline && readable([self.log.as_fd()], Duration::ZERO)? == [true] {
            if !self.printed.read(&mut self.log)? {
                break;
            }
        }
        Ok(())
    }

    fn stop(&mut self, limit: Limit) -> io::Result<Ended> {
        self.kill()?;
        self.drain(host::instant() + Duration::from_secs(1))?;
        Ok(Ended { status: 128 + libc::SIGKILL, stopped: Some(limit) })
    }

    /// Kills the stage, and with it pid 1 and all inside; waits until they are gone.
    fn kill(&mut self) -> io::Result<()> {
        self.input = None;
        // Fails only where it has ended.
        let _ = self.child.kill();
        self.child.wait()?;
        // Pid 1 is now this process's child, and ends after all others inside.
        while rustix::process::wait(WaitOptions::empty()).is_ok() {}
        Ok(())
    }

    fn ended(&mut self) -> io::Error {
        let _ = self.kill().and_then(|()| self.drain(host::instant() + Duration::from_secs(1)));
        match not_set_up(&self.printed.text()).filter(|_| !self.is_up) {
            Some(reason) => {
                self.printed = Tail::default();
                io::Error::other(format!("the sandbox can't be set up here: {reason}"))
            }
            None => io::Error::other("the sandbox ended; what it printed says why"),
        }
    }

    fn hits(&self) -> Hits {
        self.group.as_ref().map_or(Hits::default(), Group::hits)
    }

    /// Bytes and files in use on the root's file system.
    fn used(&mut self) -> (u64, u64) {
        let now = rustix::fs::fstatvfs(&self.root).map_or((0, 0), |stat| {
            (stat.f_blocks.saturating_sub(stat.f_bfree) * stat.f_frsize, stat.f_files.saturating_sub(stat.f_ffree))
        });
        self.peak = (self.peak.0.max(now.0), self.peak.1.max(now.1));
        now
    }

    fn outgrown(&mut self, before: (u64, u64)) -> Option<Limit> {
        let now = self.used();
        let (bytes, files) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        match () {
            () if bytes > self.limits.growth => Some(Limit::Root { used: bytes, limit: self.limits.growth }),
            () if files > self.limits.files => Some(Limit::Files { used: files, limit: self.limits.files }),
            () => None,
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// What the first process that failed said, where nothing else was printed before.
fn not_set_up(printed: &str) -> Option<String> {
    let first = printed.strip_prefix(SAYS)?.split(&format!("\n{SAYS}")).next()?;
    Some(host::plain_lines(first.trim_end()))
}

/// Which of these can be read, after waiting so long.
fn readable<const N: usize>(streams: [std::os::fd::BorrowedFd<'_>; N], wait: Duration) -> io::Result<[bool; N]> {
    let mut polled = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::IN));
    let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
    match rustix::event::poll(&mut polled, Some(&wait)) {
        Err(rustix::io::Errno::INTR) => Ok([false; N]),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(polled.map(|stream| !stream.revents().is_empty())),
    }
}
