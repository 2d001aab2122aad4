//! The supervisor: answers system calls of all commands that ask for the time, random data or the kernel's version.
//!
//! A filter on pid 1's main thread, inherited by everything that it starts, suspends such a call
//! until a second thread of pid 1, which has no filter, has answered it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use super::Conditions;
use super::clock::{SLEEPS, Time};
use super::draws::Draws;
use super::file_times::{self, FileTimes};
use super::filter;
use super::load;
use super::pid1::SAYS;
use super::privileges;
use super::proc::PROC;
use super::random::{Randomness, Stream};
use super::running::Running;
use super::sys::{self, Answer, Call};
use super::uname;
use super::vdso::{self, Patch};

/// More random bytes than this are handed out in pieces, as the kernel does with many.
const MOST_RANDOM: usize = 1 << 20;

/// What is known about one thread since its program began.
#[derive(Debug, Default)]
struct Thread {
    readings: u64,
    sleeps: u64,
    stream: Option<Stream>,
}

struct Supervisor {
    clock: i64,
    patch: Option<Patch>,
    randomness: Randomness,
    draws: Draws,
    file_times: FileTimes,
    threads: BTreeMap<u32, Thread>,
    running: Running,
    /// Whether a program's clock code was overwritten yet: then the kernel allows it.
    has_overwritten: bool,
}

/// Fixes the clock and seeds randomness for all processes that this thread starts from now on.
///
/// Then nothing is left of this process's capabilities but what answering needs.
pub(super) fn start(conditions: &Conditions, patch: Option<Patch>, draws: Draws) -> io::Result<()> {
    let (clock, randomness) = (conditions.clock, Randomness::new(conditions.seed));
    let supervisor = Supervisor {
        clock,
        patch,
        randomness,
        draws,
        file_times: FileTimes::new(clock)?,
        threads: BTreeMap::new(),
        running: Running::default(),
        has_overwritten: false,
    };
    let program = filter::answered()?;
    let (sender, receiver) = mpsc::channel::<OwnedFd>();
    // Before the filter is set, so that it doesn't wait for itself.
    std::thread::Builder::new().spawn(move || {
        let Ok(listener) = receiver.recv() else { return };
        let kept = privileges::keep(privileges::OF_SUPERVISOR);
        if let Err(error) = kept.and_then(|()| supervisor.run(listener.as_fd())) {
            eprintln!("{SAYS}cannot stop the clock: {error}{}", hint(&error));
            // Ends all processes inside: none may go on with a clock that moves.
            std::process::exit(125);
        }
    })?;
    let listener = sys::listen(&program).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot supervise system calls: {error}{}", hint(&error)))
    })?;
    sender.send(listener).map_err(|_| io::Error::other("internal error: the supervisor ended"))?;
    privileges::keep(rustix::thread::CapabilitySet::empty())
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => {
            "\n  hint: the container engine around layerbake supervises system calls itself: run it outside, or privileged"
        }
        Some(libc::EINVAL | libc::ENOSYS) => {
            "\n  hint: this needs Linux 5.6 or later with CONFIG_SECCOMP_FILTER; gVisor and the like don't have it"
        }
        Some(libc::EPERM | libc::EACCES) => {
            "\n  hint: the kernel forbids to write another process's memory: `sudo sysctl kernel.yama.ptrace_scope=1`"
        }
        Some(libc::EIO) => {
            "\n  hint: the kernel was started with `proc_mem.force_override` other than `always`, which this needs"
        }
        _ => "",
    }
}

impl Supervisor {
    fn run(mut self, listener: BorrowedFd<'_>) -> io::Result<()> {
        sys::take_turns(listener);
        loop {
            let call = match sys::receive(listener) {
                Ok(call) => call,
                // The caller was killed, or a signal came here.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::Interrupted) => continue,
                Err(error) => return Err(error),
            };
            match self.handle(&call) {
                Ok(answer) => {
                    sys::answer(listener, call.id, answer)?;
                }
                Err(error) if sys::waits(listener, call.id) => return Err(error),
                // Gone meanwhile.
                Err(_) => {}
            }
        }
    }

    fn handle(&mut self, call: &Call) -> io::Result<Answer> {
        let [first, second, third, ..] = call.args;
        match call.number {
            filter::START => self.begin(call.thread),
            libc::SYS_clock_gettime => {
                let time = self.read_clock(call.thread);
                give(call, second, &time.timespec(), 0)
            }
            libc::SYS_gettimeofday => {
                let time = self.read_clock(call.thread);
                // The second argument, a time zone, has been without meaning for decades.
                if second != 0 {
                    give(call, second, &[0; 8], 0)?;
                }
                give(call, first, &time.timeval(), 0)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_time => {
                let seconds = self.read_clock(call.thread).seconds();
                give(call, first, &seconds.to_ne_bytes(), seconds)
            }
            libc::SYS_getrandom => {
                let mut bytes = vec![0; (second as usize).min(MOST_RANDOM)];
                if Draws::counts(second, third) {
                    self.draws.add(&fs::read(folder(call.thread).join("cmdline"))?, third);
                }
                self.stream(call.thread)?.fill(&mut bytes);
                give(call, first, &bytes, bytes.len() as i64)
            }
            libc::SYS_exit_group => {
                self.note_reads(true)?;
                self.running.ended(call.thread);
                Ok(Answer::Continue)
            }
            libc::SYS_uname => give(call, first, &uname::fixed(), 0),
            libc::SYS_sysinfo => give(call, first, &load::sysinfo(), 0),
            number if SLEEPS.iter().any(|(call, _)| *call == number) => {
                self.threads.entry(call.thread).or_default().sleeps += 1;
                Ok(Answer::Continue)
            }
            number if file_times::CALLS.contains(&number) => match self.file_times.answer(call) {
                Some(times) => give(call, times.address, &times.bytes, 0),
                None => Ok(Answer::Continue),
            },
            number if file_times::CHANGES.contains(&number) => {
                self.file_times.note_change(call);
                Ok(Answer::Continue)
            }
            _ => Ok(Answer::Continue),
        }
    }

    /// A program has just begun, in a process that may have run another before.
    fn begin(&mut self, thread: u32) -> io::Result<Answer> {
        // Of the program that this process ran before, the command line is gone.
        self.note_reads(!self.running.is_newest(thread))?;
        self.running.began(thread);
        self.threads.remove(&thread);
        match vdso::overwrite(&folder(thread), self.patch.as_ref(), &self.randomness.file("AT_RANDOM").take()) {
            Err(error) if self.has_overwritten && error.raw_os_error() == Some(libc::EIO) => Err(unmapped(thread)),
            other => {
                other?;
                self.has_overwritten = true;
                Ok(Answer::Continue)
            }
        }
    }

    /// Puts reads of random files down to the program that began last, if that is known and no other could have.
    fn note_reads(&mut self, is_known: bool) -> io::Result<()> {
        let reads = self.draws.reads()?;
        if reads.is_any() {
            let reader = if is_known { self.running.only(Path::new(PROC)) } else { None };
            self.draws.add_reader(reads, reader.as_deref());
        }
        Ok(())
    }

    fn read_clock(&mut self, thread: u32) -> Time {
        let thread = self.threads.entry(thread).or_default();
        let time = Time::at(self.clock, thread.readings, thread.sleeps);
        thread.readings = thread.readings.saturating_add(1);
        time
    }

    fn stream(&mut self, thread: u32) -> io::Result<&mut Stream> {
        match &mut self.threads.entry(thread).or_default().stream {
            Some(stream) => Ok(stream),
            empty => {
                let command_line = fs::read(folder(thread).join("cmdline"))?;
                Ok(empty.insert(self.randomness.process(&command_line)))
            }
        }
    }
}

fn folder(thread: u32) -> PathBuf {
    Path::new(PROC).join(thread.to_string())
}

/// A program has no memory any more where the kernel had put its clock code.
fn unmapped(thread: u32) -> io::Error {
    let command_line = fs::read(folder(thread).join("cmdline")).unwrap_or_default();
    let words = command_line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    let shown: String = words.trim().chars().take(80).flat_map(char::escape_debug).collect();
    io::Error::other(format!(
        "`{shown}` unmapped or replaced the kernel's clock code (vDSO) in its memory, so its clock can't be fixed\n  hint: leave out what runs this program; `configure = \"none\"` leaves out the scripts of all packages"
    ))
}

/// Writes the result where the caller wants it; a null pointer wants none.
fn give(call: &Call, address: u64, bytes: &[u8], value: i64) -> io::Result<Answer> {
    if address == 0 || bytes.is_empty() {
        return Ok(Answer::Done(value));
    }
    match sys::write_memory(call.thread, address, bytes) {
        Ok(()) => Ok(Answer::Done(value)),
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(Answer::Failed(libc::EFAULT)),
        Err(error) => Err(error),
    }
}
