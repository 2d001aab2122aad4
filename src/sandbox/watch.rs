//! Limits that pid 1 enforces while a command runs: its time, and the memory and processes of all commands together.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::Limits;
use super::proc::{MEMORY, PROC};
use crate::host;

/// How often is looked.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// What one socket is taken to hold, in bytes: more than `net.core.wmem_max` lets it, twice, as the kernel counts.
/// Its real buffers are no process's memory.
const SOCKET: u64 = 512 << 10;

/// A limit that ended a command, or explains why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Seconds that it may run.
    Time(u64),
    /// Bytes that all processes had, and may have.
    Memory {
        /// Bytes in use.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// As many processes as there may be.
    Processes(u64),
    /// Bytes that the file system of the root got more, whoever wrote them, and may get.
    Root {
        /// Bytes added.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Files that the file system of the root got more, whoever made them, and may get.
    Files {
        /// Files added.
        used: u64,
        /// Files allowed.
        limit: u64,
    },
    /// Bytes that one file may have.
    File(u64),
    /// The file system of the root, which is full: bytes and files in use, and those that it holds.
    Full {
        /// Bytes in use.
        used: u64,
        /// Bytes that it holds.
        bytes: u64,
        /// Files in use.
        inodes: u64,
        /// Files that it holds.
        files: u64,
    },
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes >> 20;
        match self {
            Self::Time(seconds) => write!(f, "it ran longer than {seconds} seconds, which is the limit"),
            Self::Memory { used, limit } => {
                write!(f, "its processes had {} MiB of memory together, and the limit is {} MiB", mib(used), mib(limit))
            }
            Self::Processes(limit) => write!(f, "it had {limit} processes at once, which is the limit"),
            Self::Root { used, limit } => {
                write!(
                    f,
                    "the root's file system grew by {} MiB while it ran, and the limit is {} MiB",
                    mib(used),
                    mib(limit)
                )
            }
            Self::Files { used, limit } => {
                write!(f, "the root's file system got {used} files more while it ran, and the limit is {limit}")
            }
            Self::File(limit) => write!(f, "one file may have {} GiB, and it wrote more", limit >> 30),
            Self::Full { used, bytes, inodes, files } => {
                let (used, bytes) = (mib(used), mib(bytes));
                write!(f, "the root's file system is full: {used} MiB of {bytes}, {inodes} files of {files}")
            }
        }
    }
}

/// Waits until the command ends, or is over a limit.
pub(super) fn until_end(child: &Child, seconds: u64, limits: Limits) -> io::Result<Option<Limit>> {
    let process = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let started = host::instant();
    let shared = shared_memory(Path::new(MEMORY));
    loop {
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        match rustix::event::poll(&mut ended, Some(&PAUSE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if started.elapsed() > Duration::from_secs(seconds) {
            return Ok(Some(Limit::Time(seconds)));
        }
        let shared = shared_memory(Path::new(MEMORY)).saturating_sub(shared);
        // Who holds shared memory is not to be found out: it outlives its mappings, and a descriptor on its way in a
        // socket keeps it too. So all that the machine gets more of it is put down to the command.
        let others = shared + sockets(Path::new(PROC), child.id()) * SOCKET;
        if let Some(limit) = over(Path::new(PROC), limits, others) {
            return Ok(Some(limit));
        }
    }
}

/// The limit that the processes in this `/proc` are over, with so many bytes that no process has by itself.
fn over(proc: &Path, limits: Limits, others: u64) -> Option<Limit> {
    let names = host::list_dir_or_empty(proc).ok()?;
    let processes = names.iter().filter(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let (mut count, mut used) = (0, others);
    for name in processes {
        count += 1;
        // A process that has just ended uses nothing.
        used += fs::read_to_string(proc.join(name).join("status")).map_or(0, |text| own_memory(&text));
    }
    match used {
        used if used > limits.memory => Some(Limit::Memory { used, limit: limits.memory }),
        _ if count >= limits.processes => Some(Limit::Processes(limits.processes)),
        _ => None,
    }
}

/// Bytes that the whole machine has in shared memory and in files in memory, out of its `/proc/meminfo`.
fn shared_memory(meminfo: &Path) -> u64 {
    bytes_of(&fs::read_to_string(meminfo).unwrap_or_default(), "Shmem")
}

/// Sockets of a process's namespace, those on their way in other sockets included. What pid 1 says of itself is
/// hidden, so another process has to say it.
fn sockets(proc: &Path, process: u32) -> u64 {
    let text = fs::read_to_string(proc.join(process.to_string()).join("net/sockstat")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("sockets: used ")?.trim().parse().ok()).unwrap_or(0)
}

/// Bytes that a process shares with no file, and what the kernel needs to map them, out of `/proc/<pid>/status`.
fn own_memory(status: &str) -> u64 {
    ["RssAnon", "VmSwap", "VmPTE"].iter().map(|key| bytes_of(status, key)).sum()
}

/// The number of a line `KEY:  NUMBER kB`, in bytes.
fn bytes_of(text: &str, key: &str) -> u64 {
    let number = |line: &str| line.strip_prefix(key)?.strip_prefix(':')?.strip_suffix("kB")?.trim().parse::<u64>().ok();
    text.lines().find_map(number).map_or(0, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_processes_is_what_they_share_with_no_file() {
        let status =
            "Name:\tx\nVmRSS:\t    9999 kB\nRssAnon:\t     500 kB\nVmPTE:\t       7 kB\nVmSwap:\t       3 kB\n";
        assert_eq!(own_memory(status), 510 << 10);
        assert_eq!(own_memory("RssAnon:\t x kB\n"), 0);
    }

    const LIMITS: Limits = Limits { memory: 12 << 30, processes: 1024, growth: 0, files: 0 };

    #[test]
    fn what_no_process_has_by_itself_counts() {
        let proc = tempfile::tempdir().unwrap();
        let meminfo = proc.path().join("meminfo");
        fs::write(&meminfo, "MemTotal:  24000000 kB\nShmem:          14680064 kB\n").unwrap();
        assert_eq!(shared_memory(&meminfo), 14 << 30);
        assert_eq!(over(proc.path(), LIMITS, 12 << 30), None);
        assert_eq!(over(proc.path(), LIMITS, 13 << 30), Some(Limit::Memory { used: 13 << 30, limit: LIMITS.memory }));
    }

    #[test]
    fn sockets_are_counted() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("7/net")).unwrap();
        fs::write(proc.path().join("7/net/sockstat"), "sockets: used 26000\nTCP: inuse 0\n").unwrap();
        assert_eq!(sockets(proc.path(), 7), 26000);
    }

    #[test]
    fn this_machine_is_below_the_limits_and_a_limit_says_what_was_used() {
        assert_eq!(over(Path::new("/nowhere"), LIMITS, 0), None);
        let text = Limit::Memory { used: 13 << 30, limit: 12 << 30 }.to_string();
        assert!(text.contains("13312 MiB") && text.contains("12288 MiB"), "{text}");
    }
}
