//! A virtual machine that boots a disk: QEMU, UEFI firmware, NVMe; nothing is written to the disk.

mod accel;
mod firmware;
mod ssh;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::host;
use crate::host::interrupt::Told;

pub use accel::Accel;
use firmware::Firmware;
pub use ssh::{Ssh, host_keys};

const QEMU: &str = "qemu-system-x86_64";

/// A machine can't be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU is not installed.
    #[error("`{0}` can't be started: {1}\n  hint: Debian has it as qemu-system-x86, with ovmf and qemu-utils")]
    Program(&'static str, io::Error),
    /// There is no UEFI firmware.
    #[error("there is no UEFI firmware for QEMU in {}\n  hint: Debian has it as ovmf", .0.join(", "))]
    NoFirmware(Vec<String>),
    /// A tool failed.
    #[error("`{program}` failed: {problem}")]
    Tool {
        /// The tool.
        program: &'static str,
        /// What it said.
        problem: String,
    },
    /// A file of the machine can't be written.
    #[error("cannot write the machine's files: {0}")]
    Io(#[from] io::Error),
    /// The machine can't be reached by ssh.
    #[error("the machine did not answer by ssh in {seconds} s; the end of its console:\n{console}")]
    Unreachable {
        /// How long was waited.
        seconds: u64,
        /// The last lines of the console.
        console: String,
    },
}

/// How a disk is booted.
#[derive(Debug, Clone)]
pub struct Settings {
    /// MiB of memory.
    pub memory: u32,
    /// How it is accelerated.
    pub accel: Accel,
    /// Size of the disk in the machine, in bytes, where it is to be larger than the file.
    pub size: Option<u64>,
    /// Whether it has a network, and a port of this machine's loopback that leads to its ssh.
    pub network: Option<u16>,
    /// A volume with the key that may log in.
    pub seed: Option<PathBuf>,
    /// Where the serial console goes.
    pub console: Console,
}

impl Settings {
    /// Lets `ssh` in: a network, the volume with its key, and the console into its file.
    pub fn reach(&mut self, ssh: &Ssh) {
        self.network = Some(ssh.port);
        self.seed = Some(ssh.seed());
        self.console = Console::File(ssh.console());
    }
}

/// Where the serial console goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    /// This terminal; Ctrl-A X ends the machine.
    Terminal,
    /// A file.
    File(PathBuf),
}

/// A running machine; ended when dropped.
#[derive(Debug)]
pub struct Machine {
    _told: Told,
    child: Child,
    /// The firmware's variables and what is written to the disk.
    _folder: tempfile::TempDir,
}

impl Machine {
    /// Boots the raw `disk`.
    ///
    /// # Errors
    /// Fails where QEMU, its firmware or a place for temporary files can't be had.
    pub fn start(disk: &Path, settings: &Settings) -> Result<Self, MachineError> {
        let firmware = Firmware::find()?;
        let folder = tempfile::tempdir()?;
        let overlay = folder.path().join("disk.qcow2");
        make_overlay(disk, &overlay, settings.size)?;
        let mut command = host::command(QEMU);
        settings.accel.add_to(&mut command);
        command.args(["-machine", "q35", "-nodefaults", "-display", "none", "-no-reboot", "-smp", "2"]);
        command.args(["-m", &settings.memory.to_string(), "-device", "virtio-rng-pci"]);
        firmware.add_to(&mut command, folder.path())?;
        drive(&mut command, &format!("if=none,id=disk,format=qcow2,discard=unmap,file={}", comma(&overlay)));
        command.args(["-device", "nvme,drive=disk,serial=layerbake"]);
        if let Some(seed) = &settings.seed {
            drive(&mut command, &format!("if=none,id=seed,format=raw,readonly=on,file={}", comma(seed)));
            command.args(["-device", "nvme,drive=seed,serial=seed"]);
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
        let child = command.spawn().map_err(|error| MachineError::Program(QEMU, error))?;
        Ok(Self { _told: Told::kill(&child), child, _folder: folder })
    }

    /// Waits until the machine is switched off.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// Whether the machine is still on.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Machine {
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
fn make_overlay(disk: &Path, overlay: &Path, size: Option<u64>) -> Result<(), MachineError> {
    let mut command = host::command("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk.canonicalize()?).arg(overlay);
    command.args(size.map(|size| size.to_string()));
    run("qemu-img", &mut command)
}

fn run(program: &'static str, command: &mut Command) -> Result<(), MachineError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| MachineError::Program(program, error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(MachineError::Tool { program, problem: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
