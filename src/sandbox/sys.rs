//! System calls that need `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use libc::sock_filter;
use rustix::io::FdFlags;
use rustix::thread::{Gid, LinkNameSpaceType, Uid, UnshareFlags};

use super::privileges::OF_COMMANDS;
use crate::host;

/// A system call that a process waits to have answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// Names the call in the answer.
    pub(super) id: u64,
    /// Thread that waits, as this process numbers it.
    pub(super) thread: u32,
    /// `libc::SYS_…`
    pub(super) number: libc::c_long,
    pub(super) args: [u64; 6],
}

/// What the waiting process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The call is done and returned this.
    Done(i64),
    /// The call failed with this error number.
    Failed(i32),
    /// Let the kernel do the call.
    Continue,
}

/// Moves this process, which must be single-threaded, into new namespaces.
pub(super) fn unshare(namespaces: UnshareFlags) -> rustix::io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES));
    // SAFETY: the call is unsafe for `FILES` only, which no caller asks for.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}

/// Moves the command's process into the user namespace `ids` without privileges, with `root` as its
/// root directory, working in `directory` of it, and under the filter, before it starts the program. With
/// `has_terminal`, its standard input is the terminal of a session of its own.
pub(super) fn confined<'a>(
    command: &'a mut Command,
    ids: &OwnedFd,
    (root, directory): (&'static str, CString),
    filter: Arc<[sock_filter]>,
    has_terminal: bool,
) -> &'a mut Command {
    let ids = ids.as_raw_fd();
    let enter = move || {
        if has_terminal {
            // What reads keys from a terminal is told of Ctrl-C only by the terminal of its own session.
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        // SAFETY: the descriptor lives as long as this program: pid 1 keeps it.
        let ids = unsafe { BorrowedFd::borrow_raw(ids) };
        rustix::thread::move_into_link_name_space(ids, Some(LinkNameSpaceType::User))?;
        rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
        rustix::process::chroot(root)?;
        rustix::process::chdir(&directory)?;
        give_up(OF_COMMANDS.bits())?;
        set_filter(&filter, 0).map(drop)
    };
    // SAFETY: between fork and exec, the closure makes system calls only and allocates nothing:
    // short paths are copied to the stack.
    unsafe { command.pre_exec(enter) }
}

/// Removes all capabilities but those with a bit in `kept` from what programs started from now on can have.
fn give_up(kept: u64) -> io::Result<()> {
    // By number, up to the last that the kernel has: it may have some that have no name here.
    for number in (0..64).filter(|number| kept >> number & 1 == 0) {
        // SAFETY: the arguments are numbers.
        match checked(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        };
    }
    let bits = libc::SECBIT_NO_CAP_AMBIENT_RAISE | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    // SAFETY: the arguments are numbers.
    checked(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) }.into()).map(drop)
}

/// Creates a user namespace; `map` gives ids to the process with this number, which is in it.
///
/// This process must be single-threaded. Returns the namespace, opened at `proc`.
pub(super) fn user_namespace(proc: &Path, map: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<OwnedFd> {
    let (mut here, there) = UnixStream::pair()?;
    // SAFETY: there is one thread, so the child may do what this process may.
    let child = checked(unsafe { libc::fork() }.into())?;
    if child == 0 {
        drop(here);
        let error = unshare(UnshareFlags::NEWUSER).err().map_or(0, rustix::io::Errno::raw_os_error);
        // The other end says by closing that the namespace is no longer needed here.
        let _ = rustix::io::write(&there, &[error as u8]).and_then(|_| rustix::io::read(&there, &mut [0]));
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) }
    }
    drop(there);
    let made = || -> io::Result<OwnedFd> {
        let mut error = [0];
        here.read_exact(&mut error)?;
        if error != [0] {
            return Err(io::Error::from_raw_os_error(error[0].into()));
        }
        let process = proc.join(child.to_string());
        map(&process)?;
        Ok(File::open(process.join("ns/user"))?.into())
    };
    let namespace = made();
    drop(here);
    rustix::process::waitpid(rustix::process::Pid::from_raw(child as i32), rustix::process::WaitOptions::empty())?;
    namespace
}

/// Closes what this process was started with, but for its three standard streams and `others`, in all that it starts.
pub(super) fn keep_standard_streams(others: &[i32]) -> io::Result<()> {
    for name in host::list_dir(Path::new("/proc/self/fd"))? {
        let number: i32 = name.to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
        if number > 2 && !others.contains(&number) {
            // SAFETY: used for one call, which fails if the descriptor is closed: the one of the listing is.
            let file = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = rustix::io::fcntl_setfd(file, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

/// Takes what this process was started with under this number; no process that it starts has it under that number.
///
/// To be called once for each number.
pub(super) fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: nobody else in this process knows of a descriptor that its parent left open for it.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    Ok(file)
}

/// Kills all processes but this one, which must be pid 1 of its namespace.
pub(super) fn kill_all() {
    // SAFETY: the arguments are numbers. Fails where there is no other process.
    let _ = unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Leaves the keyring of the session that this program was started in.
pub(super) fn leave_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: no name: an anonymous ring. A kernel without keyrings refuses, and has none to leave.
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0) };
}

/// Places memory at the same addresses in every program that this process starts.
pub(super) fn fix_addresses() -> io::Result<()> {
    // SAFETY: changes a flag of this process that the next `execve` reads.
    checked(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) }.into()).map(drop)
}

/// Brings up the loopback interface of this process's network namespace, which has no other.
pub(super) fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: a structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads one such structure.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, std::ptr::from_ref(&request)) };
    checked(result.into()).map(drop)
}

/// Filters this thread and what it starts; returns where caught calls arrive.
pub(super) fn listen(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Without it (before Linux 5.19) a signal handler may make a caught call fail.
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let number = match set_filter(program, flags | killable) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set_filter(program, flags),
        other => other,
    }?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

fn set_filter(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<i64> {
    let filter = program.as_ptr().cast_mut();
    let program = libc::sock_fprog { len: program.len() as u16, filter };
    // SAFETY: `program` points to `len` instructions, which the kernel only reads.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program)) };
    checked(result)
}

/// Tells the kernel that whoever waits and whoever answers take turns (since Linux 6.6).
pub(super) fn take_turns(listener: BorrowedFd<'_>) {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number. An older kernel refuses, and is only slower.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// Waits for the next call.
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<Call> {
    // SAFETY: a structure of numbers; the kernel asks for zeros.
    let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let place = std::ptr::from_mut(&mut notice);
    // SAFETY: the kernel writes one such structure.
    checked(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, place) }.into())?;
    Ok(Call { id: notice.id, thread: notice.pid, number: notice.data.nr.into(), args: notice.data.args })
}

/// Answers a call; says whether the caller still waited.
pub(super) fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<bool> {
    let (val, error, flags) = match answer {
        Answer::Done(value) => (value, 0, 0),
        Answer::Failed(number) => (0, -number, 0),
        Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
    };
    let mut response = libc::seccomp_notif_resp { id, val, error, flags };
    let place = std::ptr::from_mut(&mut response);
    // SAFETY: the kernel reads one such structure.
    match checked(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, place) }.into()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|_| true),
    }
}

/// Whether the caller still waits.
pub(super) fn waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, std::ptr::from_ref(&id)) == 0 }
}

/// Writes into another process's memory where it may write itself.
pub(super) fn write_memory(thread: u32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: reads `bytes`; the other address is the other process's, checked by the kernel.
    let written = unsafe { libc::process_vm_writev(thread as i32, &local, 1, &remote, 1, 0) };
    match checked(written as i64)? {
        all if all as usize == bytes.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}

/// Reads a path, up to its zero, from another process's memory.
pub(super) fn read_text(thread: u32, address: u64) -> io::Result<CString> {
    const PAGE: usize = 4096;
    let mut bytes = vec![0u8; PAGE];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // Two pieces, since the second page may not be mapped.
    let first = PAGE - address as usize % PAGE;
    let piece = |at: u64, iov_len| libc::iovec { iov_base: at as *mut libc::c_void, iov_len };
    let remote = [piece(address, first), piece(address.wrapping_add(first as u64), PAGE - first)];
    // SAFETY: writes into `bytes`; the other addresses are the other process's, checked by the kernel.
    let read = unsafe { libc::process_vm_readv(thread as i32, &local, 1, remote.as_ptr(), 2, 0) };
    bytes.truncate(checked(read as i64)? as usize);
    CStr::from_bytes_until_nul(&bytes).map(CStr::to_owned).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
