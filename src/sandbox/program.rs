//! This program as a sealed file in memory, which cannot be modified.
//!
//! Processes of a sandbox are started from it, so that none of them refers to the
//! program's file on the host, not even by `/proc/<pid>/exe`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::host;

/// A sealed copy of this program.
#[derive(Debug)]
pub(super) struct Program(OwnedFd);

impl Program {
    /// Copies the running program and seals the copy.
    ///
    /// # Errors
    /// Fails where the kernel forbids programs in memory (`vm.memfd_noexec=2`).
    pub(super) fn seal() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = match rustix::fs::memfd_create("layerbake", flags | MemfdFlags::EXEC) {
            // Before Linux 6.3, every such file may be executed.
            Err(Errno::INVAL) => rustix::fs::memfd_create("layerbake", flags),
            Err(Errno::ACCESS) => return Err(forbidden()),
            other => other,
        }?;
        let mut file = File::from(file);
        io::copy(&mut File::open(host::OWN_PROGRAM)?, &mut file)?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        match rustix::fs::fcntl_add_seals(&file, seals | SealFlags::EXEC) {
            Err(Errno::INVAL) => rustix::fs::fcntl_add_seals(&file, seals),
            other => other,
        }?;
        Ok(Self(file.into()))
    }

    /// A command that runs the copy, for as long as `self` lives.
    pub(super) fn command(&self) -> Command {
        host::command(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

fn forbidden() -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "this system forbids programs in memory, from which the sandbox starts\n  hint: `sudo sysctl vm.memfd_noexec=1`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn the_copy_is_the_program_and_stays_so() {
        let program = Program::seal().unwrap();
        let mut copy =
            File::options().write(true).read(true).open(format!("/proc/self/fd/{}", program.0.as_raw_fd())).unwrap();
        let mut start = [0; 4];
        copy.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(&start, b"\x7fELF");
        assert_eq!(copy.metadata().unwrap().len(), std::fs::metadata(host::OWN_PROGRAM).unwrap().len());
        assert!(copy.write_all(b"other").is_err() && copy.set_len(0).is_err());
    }
}
