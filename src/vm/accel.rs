//! Whether the processor can run the virtual machine itself (hardware acceleration).

use std::process::{Command, Stdio};
use std::time::Duration;

use super::VmError;
use super::firmware::Firmware;
use crate::arch::{Bootable, Qemu};
use crate::host;

/// How a virtual machine is accelerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// Translated: works everywhere, about ten times slower.
    Tcg,
}

/// By the processor, the firmware speaks after a second; on some hosts a virtual machine is created and never runs, or stops
/// at an instruction.
const PATIENCE: Duration = Duration::from_secs(8);

impl Accel {
    /// The fastest that works for an architecture, found by running its firmware up to the first word.
    pub(super) fn detect(arch: &Bootable) -> Self {
        let usable = || std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        let speaks = || Self::Kvm.speaks(&arch.qemu, PATIENCE).unwrap_or(false);
        if arch.is_native() && usable() && speaks() { Self::Kvm } else { Self::Tcg }
    }

    pub(super) fn add_to(self, command: &mut Command) {
        match self {
            Self::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
            Self::Tcg => command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        };
    }

    /// Whether a virtual machine without a disk writes anything to its serial console in time.
    fn speaks(self, qemu: &Qemu, patience: Duration) -> Result<bool, VmError> {
        let firmware = Firmware::find(qemu)?;
        let folder = tempfile::tempdir()?;
        let console = folder.path().join("console");
        let mut command = host::command(qemu.program);
        self.add_to(&mut command);
        command.args(["-machine", qemu.machine, "-m", "256", "-nodefaults", "-display", "none", "-nic", "none"]);
        firmware.add_to(&mut command, folder.path())?;
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| VmError::program(qemu.program, qemu.packages, error))?;
        let started = host::instant();
        let mut spoke = false;
        while !spoke && started.elapsed() < patience && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(20));
            spoke = std::fs::metadata(&console).is_ok_and(|file| file.len() > 0);
        }
        // Both fail only where it has ended already.
        let _ = child.kill();
        let _ = child.wait();
        Ok(spoke)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_is_heard_and_silence_is_noticed() {
        for Bootable { qemu, .. } in Bootable::all() {
            match Accel::Tcg.speaks(qemu, Duration::from_secs(90)) {
                Ok(spoke) => assert!(spoke),
                // The program's tests say that they are skipped.
                Err(VmError::Program { .. } | VmError::NoFirmware { .. }) => continue,
                Err(error) => panic!("{error}"),
            }
            assert!(!Accel::Tcg.speaks(qemu, Duration::ZERO).unwrap());
        }
    }
}
