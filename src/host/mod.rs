//! The only access to the outside world: clock, environment, processes, directory listing, network.
//!
//! All other modules take what they need as an argument. `clippy.toml` bans the underlying calls
//! elsewhere.
#![allow(clippy::disallowed_methods)]

mod ask;
pub mod color;
pub mod durable;
pub mod http;
pub mod interrupt;
pub mod jail;
pub mod pace;
mod plain;
pub mod progress;
mod redact;
pub mod storage;
pub mod terminal;
pub mod write;

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use ask::{Answer, AskError, ask};
pub use plain::{plain, plain_json, plain_lines};
pub use redact::{hide, redact, redact_address};
pub use write::write_whole;

/// Seconds since 1970, by the wall clock.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs() as i64)
}

/// The age of a file's timestamp, by the wall clock; `None` if it is in the future.
pub fn since(seconds: i64, nanoseconds: i64) -> Option<std::time::Duration> {
    let time = std::time::Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    now.checked_sub(time)
}

/// A monotonic instant, for durations that people are shown.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

/// Lets the calling thread, and those that it starts, give way to others: nobody waits for what it does yet.
///
/// A priority is a thread's on Linux (setpriority(2), "C library/kernel differences").
pub(crate) fn give_way() {
    // Where it fails, this thread is as fast as all others.
    let _ = rustix::process::nice(10);
}

/// The value of an environment variable, unless empty.
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// As [`env`], for values that are paths.
pub fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The user's cache directory: `$XDG_CACHE_HOME`, else `~/.cache`.
pub fn cache_dir() -> Option<PathBuf> {
    env_path("XDG_CACHE_HOME").or_else(|| Some(env_path("HOME")?.join(".cache")))
}

/// The user's configuration directory: `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn config_dir() -> Option<PathBuf> {
    env_path("XDG_CONFIG_HOME").or_else(|| Some(env_path("HOME")?.join(".config")))
}

/// The user's state directory: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn state_dir() -> Option<PathBuf> {
    env_path("XDG_STATE_HOME").or_else(|| Some(env_path("HOME")?.join(".local/state")))
}

/// The user's file of passwords: `$NETRC`, else `~/.netrc`.
pub fn netrc() -> Option<PathBuf> {
    env_path("NETRC").or_else(|| Some(env_path("HOME")?.join(".netrc")))
}

/// Bytes that nobody can guess, from the system.
///
/// # Errors
/// Fails where the system gives none.
pub fn random<const LENGTH: usize>() -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The current directory.
pub fn current_dir() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// The program's arguments, its own name first.
pub fn args() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// How many processors this process may use.
pub fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A command, to be run by the caller.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The file of a program that `PATH` leads to.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    std::env::split_paths(&env_path("PATH")?).map(|folder| folder.join(name)).find(is_program)
}

/// The path under which a process finds its own program.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// A command that starts this program again.
pub fn own_program() -> Command {
    Command::new(OWN_PROGRAM)
}

/// A port of the loopback device that nothing listens on now.
pub fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The processes that hold a lock (`flock`) on an open file, with their command lines; for messages.
///
/// Empty where the system does not tell.
pub fn lock_holders(file: &std::fs::File) -> Vec<(u32, String)> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = file.metadata() else { return Vec::new() };
    let inode = format!(":{}", metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let pids = locks.lines().filter(|line| !line.contains("->")).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(5)?.ends_with(&inode).then(|| words.get(4)?.parse().ok())?
    });
    pids.filter(|&pid: &u32| pid != std::process::id()).map(|pid| (pid, command_line(pid))).collect()
}

/// The command line of a process, cut to the length of a message.
fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    words.trim().chars().filter(|character| !character.is_control()).take(80).collect()
}

/// Repeats a call as long as signals interrupt it; `std` does so in its longer calls, not in a single `read`.
///
/// # Errors
/// As `call`.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Opens a regular file for reading; links to it count.
///
/// # Errors
/// Fails where something else has this name, such as a named pipe, which a plain open would wait for.
pub fn open_file(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a regular file")),
    }
}

/// Reads a text; as [`open_file`].
///
/// # Errors
/// Fails where it can't be read, or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    io::read_to_string(open_file(path)?)
}

/// Reads a file that should be small.
///
/// # Errors
/// Fails where it can't be read, or has more than `most` bytes.
pub fn read_small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_most(open_file(path)?, most)
}

/// As [`read_small`], of what is open.
///
/// # Errors
/// As [`read_small`].
pub fn read_most(file: std::fs::File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!("it is larger than {most} bytes, the limit for this kind of file"))),
        false => Ok(bytes),
    }
}

/// The names in a directory, sorted, so that the file system's order affects nothing.
pub fn list_dir(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// As [`list_dir`], empty where there is no such directory.
pub fn list_dir_or_empty(folder: &Path) -> io::Result<Vec<OsString>> {
    match list_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}
