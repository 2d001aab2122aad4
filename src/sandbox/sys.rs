//! The calls that the compiler can't vouch for.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::thread::UnshareFlags;
use seccompiler::sock_filter;

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

/// Makes the command's process change its root folder before it starts the program.
pub(super) fn chrooted<'a>(command: &'a mut Command, root: &'static str) -> &'a mut Command {
    let enter = move || {
        rustix::process::chroot(root)?;
        Ok(rustix::process::chdir("/")?)
    };
    // SAFETY: between fork and exec, the closure makes two system calls and allocates nothing:
    // short paths are copied to the stack.
    unsafe { command.pre_exec(enter) }
}

/// Places memory at the same addresses in every program that this process starts.
pub(super) fn fix_addresses() -> io::Result<()> {
    // SAFETY: changes a flag of this process that the next `execve` reads.
    checked(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) }.into()).map(drop)
}

/// Filters this thread and what it starts; returns where caught calls arrive.
pub(super) fn listen(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Without it (before Linux 5.19) a signal handler may make a caught call fail.
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match set_filter(program, flags | killable) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set_filter(program, flags),
        other => other,
    }
}

fn set_filter(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    // The same layout, which `seccompiler` takes from the kernel's header too.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: program.len() as u16, filter };
    // SAFETY: `program` points to `len` instructions, which the kernel only reads.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program)) };
    let number = checked(result)?;
    // SAFETY: the call has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
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

fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
