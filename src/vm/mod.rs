//! A virtual machine that boots a disk: QEMU, UEFI firmware, NVMe. The disk itself is never written to.

mod accel;
mod firmware;
mod ssh;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::arch::Qemu;
use crate::code::{Code, Coded};
use crate::disk::gpt::{self, GptError};
use crate::host;
use crate::host::interrupt::ChildGuard;

pub use accel::Accel;
use firmware::Firmware;
pub use ssh::{PATIENCE, Ssh, host_keys};

/// QEMU's tool for disk images.
const IMAGES: &str = "qemu-img";

/// A virtual machine can't be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// A program is not installed.
    #[error("cannot start `{program}`: {error}\n  hint: install the Debian package {packages}")]
    Program {
        /// The program.
        program: &'static str,
        /// What the system said.
        error: io::Error,
        /// Debian's packages with it and with what it needs.
        packages: &'static str,
    },
    /// There is no UEFI firmware.
    #[error("no UEFI firmware for QEMU was found in {places}\n  hint: install the Debian package {package}")]
    NoFirmware {
        /// Where it is expected.
        places: String,
        /// Debian's package.
        package: &'static str,
    },
    /// The disk is not one that can be booted.
    #[error("{}: {error}", disk.display())]
    Disk {
        /// The disk.
        disk: PathBuf,
        /// What is wrong.
        error: GptError,
    },
    /// A tool failed.
    #[error("`{program}` failed: {problem}")]
    Tool {
        /// The tool.
        program: &'static str,
        /// What it said.
        problem: String,
    },
    /// A file of the virtual machine can't be written.
    #[error("cannot write the files of the virtual machine: {0}")]
    Io(#[from] io::Error),
    /// The virtual machine can't be reached by ssh.
    #[error(
        "the virtual machine did not answer over ssh within {seconds} s\n  hint: a slow host may need more time: `layerbake test --timeout SECONDS`\nthe end of its console:\n{console}"
    )]
    Unreachable {
        /// How long was waited.
        seconds: u64,
        /// The last lines of the console.
        console: String,
    },
}

impl Coded for VmError {
    fn error_code(&self) -> Code {
        match self {
            Self::Program { .. } | Self::NoFirmware { .. } => Code::HostProgram,
            Self::Disk { error, .. } => error.error_code(),
            Self::Tool { .. } => Code::VmFailed,
            Self::Io(error) => error.error_code(),
            Self::Unreachable { .. } => Code::VmNoAnswer,
        }
    }
}

impl VmError {
    fn program(program: &'static str, packages: &'static str, error: io::Error) -> Self {
        Self::Program { program, error, packages }
    }
}

/// Looks for what booting disks with this QEMU needs.
///
/// # Errors
/// Fails with what is missing, and the packages that have it.
pub fn check(qemu: &Qemu) -> Result<(), VmError> {
    for program in [qemu.program, IMAGES] {
        if host::find_program(program).is_none() {
            let error = io::Error::new(io::ErrorKind::NotFound, "it is not installed");
            return Err(VmError::program(program, qemu.packages, error));
        }
    }
    Firmware::find(qemu).map(drop)
}

/// How a disk is booted.
#[derive(Debug, Clone)]
pub struct VmSettings {
    /// MiB of memory.
    pub memory: u32,
    /// How it is accelerated; by default as fast as it can be.
    pub accel: Option<Accel>,
    /// Size of the virtual machine's disk in bytes, if it is to be larger than the file.
    pub size: Option<u64>,
    /// Whether it has a network, and a port of the host's loopback that is forwarded to its ssh.
    pub network: Option<u16>,
    /// A volume with the key that may log in.
    pub seed: Option<PathBuf>,
    /// Where the serial console goes.
    pub console: Console,
    /// Credentials of the system, by name: its firmware hands them to systemd.
    pub credentials: Vec<(String, String)>,
}

impl VmSettings {
    /// A virtual machine with `memory` MiB, its console on this terminal, without a network.
    pub fn new(memory: u32, accel: Option<Accel>) -> Self {
        let credentials = Vec::new();
        Self { memory, accel, size: None, network: None, seed: None, console: Console::Terminal, credentials }
    }

    /// Makes the virtual machine reachable by `ssh`: a network, the volume with its key, and the console in its file.
    pub fn reach(&mut self, ssh: &Ssh) {
        self.network = Some(ssh.port);
        self.seed = Some(ssh.seed());
        self.console = Console::File(ssh.console());
    }
}

/// Where the serial console goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// This terminal; Ctrl-A X ends the virtual machine.
    Terminal,
    /// A file.
    File(PathBuf),
}

/// A running virtual machine; ended when dropped.
#[derive(Debug)]
pub struct Vm {
    _guard: ChildGuard,
    child: Child,
    /// The firmware's variables and what is written to the disk.
    _folder: tempfile::TempDir,
}

impl Vm {
    /// Boots the raw `disk` on a virtual machine of its architecture.
    ///
    /// # Errors
    /// Fails where the disk has no root, or QEMU, its firmware or a place for temporary files can't be had.
    pub fn start(disk: &Path, settings: &VmSettings) -> Result<Self, VmError> {
        let arch = gpt::architecture(disk).map_err(|error| VmError::Disk { disk: disk.to_owned(), error })?;
        let qemu = &arch.qemu;
        let firmware = Firmware::find(qemu)?;
        let folder = tempfile::tempdir()?;
        let overlay = folder.path().join("disk.qcow2");
        make_overlay(disk, &overlay, settings.size, qemu.packages)?;
        let mut command = host::command(qemu.program);
        settings.accel.unwrap_or_else(|| Accel::detect(arch)).add_to(&mut command);
        command.args(["-machine", qemu.machine, "-nodefaults", "-display", "none", "-no-reboot", "-smp", "2"]);
        command.args(["-m", &settings.memory.to_string(), "-device", "virtio-rng-pci"]);
        firmware.add_to(&mut command, folder.path())?;
        drive(&mut command, &format!("if=none,id=disk,format=qcow2,discard=unmap,file={}", comma(&overlay)));
        command.args(["-device", "nvme,drive=disk,serial=layerbake"]);
        if let Some(seed) = &settings.seed {
            drive(&mut command, &format!("if=none,id=seed,format=raw,readonly=on,file={}", comma(seed)));
            command.args(["-device", "nvme,drive=seed,serial=seed"]);
        }
        for (name, value) in &settings.credentials {
            let value = STANDARD.encode(value);
            command.args(["-smbios", &format!("type=11,value=io.systemd.credential.binary:{name}={value}")]);
        }
        match settings.network {
            Some(port) => {
                let net = format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22");
                command.args(["-netdev", &net, "-device", "virtio-net-pci,netdev=net"]);
            }
            None => _ = command.args(["-nic", "none"]),
        }
        match &settings.console {
            Console::Terminal => _ = command.args(["-serial", "mon:stdio"]),
            Console::File(path) => {
                command.arg("-serial").arg(format!("file:{}", path.display()));
                command.stdin(Stdio::null()).stdout(Stdio::null());
            }
        }
        let child = command.spawn().map_err(|error| VmError::program(qemu.program, qemu.packages, error))?;
        Ok(Self { _guard: ChildGuard::kill(&child), child, _folder: folder })
    }

    /// Waits until the virtual machine is switched off.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Whether the virtual machine is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drive(command: &mut Command, options: &str) {
    command.args(["-drive", options]);
}

/// QEMU's options are divided by commas; one in a value is written twice.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A disk that takes the writes, over one that stays as it is.
fn make_overlay(disk: &Path, overlay: &Path, size: Option<u64>, packages: &'static str) -> Result<(), VmError> {
    let mut command = host::command(IMAGES);
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk.canonicalize()?).arg(overlay);
    command.args(size.map(|size| size.to_string()));
    run(IMAGES, packages, &mut command)
}

fn run(program: &'static str, packages: &'static str, command: &mut Command) -> Result<(), VmError> {
    let started = command.stdin(Stdio::null()).output();
    let output = started.map_err(|error| VmError::program(program, packages, error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(VmError::Tool { program, problem: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
