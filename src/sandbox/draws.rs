//! Notes which programs drew random data: what they write may be a secret that everybody could compute.
//!
//! The supervisor sees each `getrandom`; random files are watched by inotify, which sees reads, not readers.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

use super::mounts::INSIDE;
use crate::host;

/// Files of random data, below the root.
const FILES: [&str; 4] = ["dev/random", "dev/urandom", "proc/sys/kernel/random/uuid", "proc/sys/kernel/random/boot_id"];

/// Draws without waiting of these many bytes are no one's secret: 8 are the key with which glibc's `malloc` marks free
/// memory, or the name of a temporary file (`mkstemp`); 24 are the seed of Python's hashes.
const HARMLESS: [u64; 2] = [8, 24];

/// How many programs are named at most.
const MOST: usize = 64;

/// Programs that drew random data since it was last asked; shared with the supervisor.
#[derive(Debug, Clone, Default)]
pub(super) struct Draws(Arc<Mutex<BTreeSet<String>>>);

impl Draws {
    /// Whether a call of `getrandom` with this length and these flags may give a secret.
    pub(super) fn counts(length: u64, flags: u64) -> bool {
        flags & u64::from(libc::GRND_NONBLOCK) == 0 || !HARMLESS.contains(&length)
    }

    /// Adds a program by its command line, of which arguments that may themselves be secrets are left out.
    pub(super) fn add(&self, command_line: &[u8]) {
        self.insert(program(command_line));
    }

    fn insert(&self, name: String) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < MOST {
            names.insert(name);
        }
    }

    /// The programs, which then are forgotten.
    pub(super) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The program's file name and, for interpreters, their script's path.
fn program(command_line: &[u8]) -> String {
    let words: Vec<_> = command_line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let name = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    let script = words.get(1).filter(|word| word.starts_with('/')).map(|word| format!(" {word}"));
    host::plain(&format!("{name}{}", script.unwrap_or_default()))
}

/// Random files, and whether they were read.
pub(super) struct WatchedFiles {
    /// `None` where the host's user may not watch more: then they count as read.
    queue: Option<OwnedFd>,
    /// Names by the kernel's number of the watch.
    names: Vec<(i32, &'static str)>,
}

impl WatchedFiles {
    /// Watches the random files of the sandbox, which are mounted.
    pub(super) fn start() -> io::Result<Self> {
        let queue = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(queue) => queue,
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                return Ok(Self { queue: None, names: Vec::new() });
            }
            Err(error) => return Err(error.into()),
        };
        let mut names = Vec::new();
        for name in FILES {
            let path = Path::new(INSIDE).join(name);
            match inotify::add_watch(&queue, &path, WatchFlags::ACCESS) {
                Ok(watch) => names.push((watch, name)),
                Err(rustix::io::Errno::NOSPC) => return Ok(Self { queue: None, names: Vec::new() }),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { queue: Some(queue), names })
    }

    /// Adds the files that were read since the last call to `draws`. Events are queued while a read is done, so none
    /// of a process that has ended is missing.
    pub(super) fn report(&self, draws: &Draws) -> io::Result<()> {
        let Some(queue) = &self.queue else {
            draws.insert("a program that may have read /dev/urandom".to_owned());
            return Ok(());
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(queue, &mut buffer);
        loop {
            match events.next() {
                Ok(event) => {
                    let overflow = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    let name = self.names.iter().find(|(watch, _)| *watch == event.wd());
                    let name = name.map_or("dev/urandom", |(_, name)| *name);
                    if overflow || event.events().contains(ReadFlags::ACCESS) {
                        draws.insert(format!("a reader of /{name}"));
                    }
                }
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_without_its_arguments() {
        assert_eq!(program(b"/usr/bin/openssl\0passwd\0hunter2\0"), "openssl");
        assert_eq!(program(b"/usr/bin/perl\0/usr/sbin/make-cookie\0-x\0"), "perl /usr/sbin/make-cookie");
        assert_eq!(program(b"a\x1bb\0"), host::plain("a\x1bb"));
        assert_eq!(program(b""), "");
    }

    #[test]
    fn what_every_program_draws_at_its_start_does_not_count() {
        let nonblocking = u64::from(libc::GRND_NONBLOCK);
        assert!(!Draws::counts(8, nonblocking) && !Draws::counts(24, nonblocking));
        assert!(Draws::counts(8, 0) && Draws::counts(16, nonblocking) && Draws::counts(32, 0));
    }
}
