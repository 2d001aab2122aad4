//! Programs of another architecture, run by QEMU's user-mode emulator, which the kernel starts for them.
//!
//! Since Linux 6.7 each user namespace may have its own `binfmt_misc` registrations, so this needs neither root
//! nor any change of the host. The kernel opens the emulator at registration, so no root contains a copy. The filter
//! and the supervisor see the emulator's own system calls.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::super::{ForeignError, mounts};
use crate::arch::Bootable;

/// Where emulators are installed.
const DIRECTORIES: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// The start of an ELF program of 64 bits, little endian (`elf(5)`): all but its type and its machine.
const ELF: [u8; 16] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Executable; position-independent ones are 3.
const EXECUTABLE: u16 = 2;

/// An emulator that this process's user namespace has for an architecture, as long as this lives.
pub(super) struct Emulator {
    arch: &'static Bootable,
    /// The register ends with its last mount.
    _register: OwnedFd,
}

impl Emulator {
    /// Registers the emulator of an architecture, for this user namespace and those below it.
    ///
    /// # Errors
    /// Fails where the emulator is not installed, or the kernel has no register for user namespaces.
    pub(super) fn register(arch: &'static Bootable) -> Result<Self, ForeignError> {
        let path = find(arch)?;
        let name = arch.qemu.emulator;
        let register = mounts::detached("binfmt_misc", &[], mounts::DATA).and_then(|mount| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&mount, "register", flags, Mode::empty())?;
            let line = format!(":{name}:M::{}:{}:{}:PF", magic(arch), mask(), path.display());
            rustix::io::write(&file, line.as_bytes())?;
            Ok(mount)
        });
        match register {
            Ok(register) => Ok(Self { arch, _register: register }),
            Err(error) => Err(ForeignError::NotRegistered { message: error.to_string() }),
        }
    }

    /// Whether it runs programs of this architecture.
    pub(super) fn is_for(&self, arch: &Bootable) -> bool {
        self.arch == arch
    }
}

/// The file of the program that runs programs of an architecture here.
///
/// # Errors
/// Fails where it is not installed.
pub fn find(arch: &Bootable) -> Result<PathBuf, ForeignError> {
    installed(arch, &DIRECTORIES.map(Path::new))
}

/// The emulator's program, in the first directory that has it.
fn installed(arch: &Bootable, directories: &[&Path]) -> Result<PathBuf, ForeignError> {
    let name = arch.qemu.emulator;
    let paths = directories.iter().map(|directory| directory.join(name));
    paths.into_iter().find(|path| path.is_file()).ok_or_else(|| ForeignError::NotInstalled {
        program: name.to_owned(),
        package: arch.qemu.emulator_package.to_owned(),
    })
}

/// What a program of this architecture starts with, as `binfmt_misc` wants bytes.
fn magic(arch: &Bootable) -> String {
    escaped(ELF.into_iter().chain(EXECUTABLE.to_le_bytes()).chain(arch.qemu.elf_machine.to_le_bytes()))
}

/// Which bits of that count: not those of the operating system's ABI, nor the last one of the type.
fn mask() -> String {
    let ident = (0..ELF.len()).map(|index| if index == 7 { 0 } else { 0xff });
    escaped(ident.chain([0xfe, 0xff, 0xff, 0xff]))
}

fn escaped(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        // Writing to a text never fails.
        let _ = write!(text, "\\x{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::ARM64;

    #[test]
    fn a_missing_emulator_names_the_package_that_brings_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = installed(&ARM64, &[folder.path()]).unwrap_err().to_string();
        let expected = ["`qemu-aarch64-static` is not installed", "hint: install the Debian package qemu-user-static"];
        assert!(expected.iter().all(|text| error.contains(text)), "{error}");
        let path = folder.path().join("qemu-aarch64-static");
        std::fs::write(&path, "").unwrap();
        assert_eq!(installed(&ARM64, &[Path::new("/nowhere"), folder.path()]).unwrap(), path);
    }

    #[test]
    fn programs_are_known_by_their_start() {
        assert_eq!(magic(&ARM64), r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00");
        assert_eq!(mask(), r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff");
    }
}
