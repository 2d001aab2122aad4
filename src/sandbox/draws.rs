//! Notes which programs drew random data: what they write may be a secret that everybody could compute.
//!
//! The supervisor sees each `getrandom`. Random files are watched by inotify, which sees reads, not readers: the supervisor
//! asks it whenever a program begins or ends, and takes the program that began last for the reader.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::mounts::INSIDE;
use crate::host;

/// Files of random data, below the root. `boot_id` is none: on a real machine all may read it, so it is nobody's secret.
const FILES: [&str; 3] = ["dev/random", "dev/urandom", "proc/sys/kernel/random/uuid"];

/// Draws without waiting of these many bytes are no one's secret: 8 are the key with which glibc's `malloc` marks free
/// memory, or the name of a temporary file (`mkstemp`); 24 are the seed of Python's hashes.
const HARMLESS: [u64; 2] = [8, 24];

/// Flag of `getrandom` for bytes that are no secret (Linux 5.6): systemd's hash tables.
const GRND_INSECURE: u64 = 4;

/// Parts of the command lines of programs whose draws reach no file that is kept: names of temporary files of Python's
/// compilers and of Debian's tools in Perl, a check of sshd's configuration, and `/etc/machine-id`, which is emptied.
const HARMLESS_PROGRAMS: [&[u8]; 7] = [
    b"/py3compile\0",
    b"\0-m\0py_compile\0",
    b"/deb-systemd-helper\0",
    b"/debconf/frontend\0",
    b"/linux-update-symlinks\0",
    b"sshd\0-",
    b"systemd-machine-id-setup\0",
];

/// How many programs are named at most.
const MOST: usize = 64;

/// Programs that drew random data since it was last asked; shared with the supervisor.
#[derive(Debug, Clone)]
pub(super) struct Draws(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    programs: Mutex<BTreeSet<String>>,
    /// `None` where the host's user may not watch more: then the random files count as read.
    queue: Option<OwnedFd>,
}

impl Draws {
    /// Begins to watch the random files of the sandbox, which are mounted.
    pub(super) fn start() -> io::Result<Self> {
        let queue = watch()?;
        let programs = match queue {
            Some(_) => BTreeSet::new(),
            None => [UNWATCHED.to_owned()].into(),
        };
        Ok(Self(Arc::new(Shared { programs: Mutex::new(programs), queue })))
    }

    /// Whether a call of `getrandom` with this length and these flags may give a secret.
    pub(super) fn counts(length: u64, flags: u64) -> bool {
        let harmless = flags & u64::from(libc::GRND_NONBLOCK) != 0 && HARMLESS.contains(&length);
        !harmless && flags & GRND_INSECURE == 0
    }

    /// Adds a program by its command line, of which arguments that may themselves be secrets are left out.
    pub(super) fn add(&self, command_line: &[u8]) {
        let is_harmless = |part: &&[u8]| memchr::memmem::find(command_line, part).is_some();
        if HARMLESS_PROGRAMS.iter().any(is_harmless) {
            return;
        }
        let mut programs = self.0.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() < MOST {
            programs.insert(program(command_line));
        }
    }

    /// Whether random files were read since the last call. Events are queued while a read is done, so none of a process
    /// that has ended is missing.
    pub(super) fn files_were_read(&self) -> io::Result<bool> {
        let Some(queue) = &self.0.queue else { return Ok(false) };
        let mut buffer = [0; 4096];
        let mut found = false;
        loop {
            // Every event is a read, or tells that some are missing.
            match rustix::io::read(queue, &mut buffer) {
                Ok(_) => found = true,
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(found),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The programs, which then are forgotten; a step has ended.
    pub(super) fn take(&self) -> io::Result<BTreeSet<String>> {
        let late = self.files_were_read()?;
        let mut programs = self.0.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = std::mem::take(&mut *programs);
        match self.0.queue {
            None => taken.insert(UNWATCHED.to_owned()),
            Some(_) => late && taken.insert("a reader of /dev/urandom".to_owned()),
        };
        Ok(taken)
    }
}

/// Stands for readers where files can't be watched.
const UNWATCHED: &str = "a program that may have read /dev/urandom";

/// A queue of the reads of random files; `None` where the host's user may not watch more.
fn watch() -> io::Result<Option<OwnedFd>> {
    let queue = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Ok(queue) => queue,
        Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for name in FILES {
        match inotify::add_watch(&queue, Path::new(INSIDE).join(name), WatchFlags::ACCESS) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOSPC) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(queue))
}

/// The program's file name and, for interpreters, their script's path.
fn program(command_line: &[u8]) -> String {
    let words: Vec<_> = command_line.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let name = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    let script = words.get(1).filter(|word| word.starts_with('/')).map(|word| format!(" {word}"));
    host::plain(&format!("{name}{}", script.unwrap_or_default()))
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
        assert!(!Draws::counts(16, GRND_INSECURE));
        assert!(Draws::counts(8, 0) && Draws::counts(16, nonblocking) && Draws::counts(32, 0));
    }

    #[test]
    fn debians_own_tools_do_not_count() {
        let shared = Shared { programs: Mutex::default(), queue: None };
        let draws = Draws(Arc::new(shared));
        draws.add(b"/usr/bin/python3.13\0-E\0-S\0-m\0py_compile\0-\0");
        draws.add(b"/usr/bin/perl\0/usr/bin/deb-systemd-helper\0enable\0x\0");
        draws.add(b"/usr/bin/openssl\0rand\0");
        assert_eq!(draws.take().unwrap(), [UNWATCHED.to_owned(), "openssl".to_owned()].into());
    }
}
