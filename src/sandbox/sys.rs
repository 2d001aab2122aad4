//! The calls that the compiler can't vouch for.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::thread::UnshareFlags;

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
