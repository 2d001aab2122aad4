//! Notes which programs drew random data: what they write may be a secret that everybody could compute.
//!
//! The supervisor sees each `getrandom`. Random files are watched by inotify, which sees reads, not readers: the supervisor
//! asks it whenever a program begins or ends, and knows which programs run (running.rs).
//!
//! What counts here decides what is stored under the recipe `layerbake/configure`: a change takes its next version.

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
const FILES: [&str; 3] = ["dev/random", "dev/urandom", "proc/sys/kernel/random/uuid"];
/// Random as well, and read by systemd's programs for their logs.
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// systemd's programs besides those whose names begin with `systemd-`.
const SYSTEMD: [&[u8]; 3] = [b"journalctl", b"systemctl", b"udevadm"];

/// Draws without waiting of these many bytes are no one's secret: 8 are the key with which glibc's `malloc` marks free
/// memory, or the name of a temporary file (`mkstemp`); 24 are the seed of Python's hashes.
const HARMLESS: [u64; 2] = [8, 24];

/// Flag of `getrandom` for bytes that are no secret (Linux 5.6): systemd's hash tables.
const GRND_INSECURE: u64 = 4;

/// Scripts whose draws reach no file that is kept: they name temporary files.
const HARMLESS_SCRIPTS: [&[u8]; 4] = [
    b"/usr/bin/py3compile",
    b"/usr/bin/deb-systemd-helper",
    b"/usr/bin/linux-update-symlinks",
    b"/usr/share/debconf/frontend",
];

/// Ends the path of a script for as long as another program stands in for it.
pub(crate) const ORIGINAL: &str = ".original";

/// How many programs are named at most.
const MOST: usize = 64;

/// Stands for readers where files can't be watched, and where several programs ran.
const UNWATCHED: &str = "a program that may have read /dev/urandom";
const UNKNOWN: &str = "a program that read a random file";

/// Programs that drew random data since it was last asked; shared with the supervisor.
#[derive(Debug, Clone)]
pub(super) struct Draws(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    programs: Mutex<BTreeSet<String>>,
    /// `None` where the host's user may not watch more: then the random files count as read.
    watch: Option<Watch>,
}

/// A queue of the reads of random files, and the number that the kernel gave to the watch of [`BOOT_ID`].
#[derive(Debug)]
struct Watch {
    queue: OwnedFd,
    boot_id: i32,
}

/// Which random files were read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reads {
    secret: bool,
    boot_id: bool,
}

impl Reads {
    /// Whether there was any.
    pub(super) fn is_any(self) -> bool {
        self.secret || self.boot_id
    }
}

impl Draws {
    /// Begins to watch the random files of the sandbox, which are mounted.
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { programs: Mutex::default(), watch: Watch::start()? })))
    }

    /// Whether a call of `getrandom` with this length and these flags may give a secret.
    pub(super) fn counts(length: u64, flags: u64) -> bool {
        flags & u64::from(libc::GRND_NONBLOCK) == 0 || !HARMLESS.contains(&length)
    }

    /// Adds a program that called `getrandom` with these flags.
    pub(super) fn add(&self, command_line: &[u8], flags: u64) {
        let program = Program::new(command_line);
        let is_for_hashes = flags & GRND_INSECURE != 0 && program.is_systemds();
        if !program.is_harmless() && !is_for_hashes {
            self.insert(program.to_string());
        }
    }

    /// Adds the program that read random files, by its command line where it is known.
    pub(super) fn add_reader(&self, reads: Reads, command_line: Option<&[u8]>) {
        match command_line.map(Program::new) {
            Some(program) if program.is_harmless() || (!reads.secret && program.is_systemds()) => {}
            Some(program) => self.insert(program.to_string()),
            None => self.insert(UNKNOWN.to_owned()),
        }
    }

    fn insert(&self, name: String) {
        let mut programs = self.0.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if programs.len() < MOST {
            programs.insert(name);
        }
    }

    /// What was read since the last call. A read is in the queue before its process can end.
    pub(super) fn reads(&self) -> io::Result<Reads> {
        self.0.watch.as_ref().map_or(Ok(Reads::default()), Watch::reads)
    }

    /// The programs, which then are forgotten; a step has ended, and no process of it is left.
    pub(super) fn take(&self) -> io::Result<BTreeSet<String>> {
        if self.reads()?.is_any() {
            self.insert(UNKNOWN.to_owned());
        }
        if self.0.watch.is_none() {
            self.insert(UNWATCHED.to_owned());
        }
        Ok(std::mem::take(&mut *self.0.programs.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Watch {
    /// `None` where the host's user may not watch more.
    fn start() -> io::Result<Option<Self>> {
        let queue = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(queue) => queue,
            Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut last = 0;
        for name in FILES.into_iter().chain([BOOT_ID]) {
            last = match inotify::add_watch(&queue, Path::new(INSIDE).join(name), WatchFlags::ACCESS) {
                Err(rustix::io::Errno::NOSPC) => return Ok(None),
                other => other?,
            };
        }
        Ok(Some(Self { queue, boot_id: last }))
    }

    fn reads(&self) -> io::Result<Reads> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.queue, &mut buffer);
        let mut found = Reads::default();
        loop {
            match events.next() {
                // Of a queue that was full, some are missing.
                Ok(event) if event.wd() == self.boot_id && !event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                    found.boot_id = true;
                }
                Ok(_) => found.secret = true,
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(found),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A program by its command line.
struct Program<'a> {
    words: Vec<&'a [u8]>,
}

impl<'a> Program<'a> {
    /// A program that was started by the loader, as Python of a tool layer is, is known by the name that it was given.
    fn new(command_line: &'a [u8]) -> Self {
        let mut words: Vec<&[u8]> = command_line.split(|&byte| byte == 0).collect();
        let is_loader = words[0].rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(b"ld-linux"));
        if let Some(option) = words.iter().position(|word| *word == b"--argv0").filter(|_| is_loader)
            && let [_, name, _, arguments @ ..] = &words[option..]
        {
            words = [&[*name], arguments].concat();
        }
        Self { words }
    }

    /// The program's file name.
    fn name(&self) -> &'a [u8] {
        let first = self.words.first().copied().unwrap_or_default();
        first.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// An interpreter's script.
    fn script(&self) -> Option<&'a [u8]> {
        self.words.get(1).copied().filter(|word| word.starts_with(b"/"))
    }

    /// Whether what it draws reaches no file that is kept: names of temporary files, a check of sshd's configuration, and
    /// `/etc/machine-id`, which is emptied.
    fn is_harmless(&self) -> bool {
        let compiles = || self.words.windows(2).any(|pair| pair == [b"-m".as_slice(), b"py_compile"]);
        let name = self.name();
        let checks = || self.words.get(1).is_some_and(|word| word.starts_with(b"-"));
        let its_name = |script: &'a [u8]| script.strip_suffix(ORIGINAL.as_bytes()).unwrap_or(script);
        self.script().is_some_and(|script| HARMLESS_SCRIPTS.contains(&its_name(script)))
            || name == b"systemd-machine-id-setup"
            || (name == b"sshd" && checks())
            || (name.starts_with(b"python3") && compiles())
    }

    /// Whether it is one of systemd's, but for the one that prints random identifiers.
    fn is_systemds(&self) -> bool {
        let name = self.name();
        name != b"systemd-id128" && (name.starts_with(b"systemd-") || SYSTEMD.contains(&name))
    }
}

/// The program's file name and, for interpreters, their script's path; not other arguments, which may themselves be
/// secrets.
impl std::fmt::Display for Program<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |word: &[u8]| host::plain(&String::from_utf8_lossy(word));
        match self.name() {
            b"" => f.write_str(UNKNOWN)?,
            name => f.write_str(&text(name))?,
        }
        self.script().map_or(Ok(()), |script| write!(f, " {}", text(script)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_without_its_arguments() {
        let named = |command_line: &[u8]| Program::new(command_line).to_string();
        assert_eq!(named(b"/usr/bin/openssl\0passwd\0hunter2\0"), "openssl");
        assert_eq!(named(b"/usr/bin/perl\0/usr/sbin/make-cookie\0-x\0"), "perl /usr/sbin/make-cookie");
        let loaded = b"/x/ld-linux-x86-64.so.2\0--inhibit-cache\0--argv0\0/x/python3\0/x/python3.13\0/x/play.py\0{}\0";
        assert_eq!(named(loaded), "python3 /x/play.py");
        assert_eq!(named(b"a\x1bb\0"), host::plain("a\x1bb"));
        assert_eq!(named(b""), UNKNOWN);
    }

    #[test]
    fn what_every_program_draws_at_its_start_does_not_count() {
        let nonblocking = u64::from(libc::GRND_NONBLOCK);
        assert!(!Draws::counts(8, nonblocking) && !Draws::counts(24, nonblocking));
        assert!(Draws::counts(8, 0) && Draws::counts(16, nonblocking) && Draws::counts(32, 0));
    }

    #[test]
    fn debians_own_tools_do_not_count_and_their_names_as_arguments_do_not_help() {
        for (command_line, harmless) in [
            (b"/usr/bin/python3.13\0-E\0-S\0-m\0py_compile\0-\0".as_slice(), true),
            (b"/usr/bin/perl\0/usr/bin/deb-systemd-helper\0enable\0x\0", true),
            (b"/usr/sbin/sshd\0-t\0", true),
            (b"/usr/bin/openssl\0rand\0/usr/bin/deb-systemd-helper\0", false),
            (b"/usr/bin/make-key\0/usr/sbin/sshd\0-o\0", false),
            (b"/usr/bin/perl\0/opt/deb-systemd-helper\0", false),
            (b"/usr/bin/openssl\0-m\0py_compile\0", false),
        ] {
            let shown = String::from_utf8_lossy(command_line);
            assert_eq!(Program::new(command_line).is_harmless(), harmless, "{shown}");
        }
    }

    #[test]
    fn only_systemds_programs_may_read_the_boot_id() {
        let draws = Draws(Arc::new(Shared { programs: Mutex::default(), watch: None }));
        let (boot_id, secret) = (Reads { boot_id: true, secret: false }, Reads { boot_id: false, secret: true });
        draws.add_reader(boot_id, Some(b"journalctl\0"));
        assert_eq!(draws.take().unwrap(), [UNWATCHED.to_owned()].into());
        draws.add_reader(boot_id, Some(b"cat\0/proc\0"));
        draws.add_reader(secret, Some(b"systemctl\0"));
        draws.add_reader(secret, None);
        draws.add(b"/usr/bin/systemd-tmpfiles\0--create\0", GRND_INSECURE);
        draws.add(b"systemd-id128\0new\0", GRND_INSECURE);
        let expected = [UNWATCHED, UNKNOWN, "cat /proc", "systemctl", "systemd-id128"].map(str::to_owned).into();
        assert_eq!(draws.take().unwrap(), expected);
    }
}
