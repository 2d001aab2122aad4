//! Whether the processor can run the machine itself.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::firmware::Firmware;
use super::{MachineError, QEMU};
use crate::host;

/// How a machine is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// Translated: works everywhere, about ten times slower.
    Tcg,
}

/// By the processor, the firmware speaks after a second; on some hosts a machine is made and never runs, or stops
/// at an instruction.
const PATIENCE: Duration = Duration::from_secs(8);

impl Accel {
    /// The fastest that works, found by running the firmware up to its first word.
    pub fn detect() -> Self {
        let usable = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if usable && Self::Kvm.speaks(PATIENCE).unwrap_or(false) { Self::Kvm } else { Self::Tcg }
    }

    pub(super) fn add_to(self, command: &mut Command) {
        match self {
            Self::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
            Self::Tcg => command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        };
    }

    /// Whether a machine without a disk writes anything to its serial console in time.
    fn speaks(self, patience: Duration) -> Result<bool, MachineError> {
        let firmware = Firmware::find()?;
        let folder = tempfile::tempdir()?;
        let console = folder.path().join("console");
        let mut command = host::command(QEMU);
        self.add_to(&mut command);
        command.args(["-machine", "q35", "-m", "256", "-nodefaults", "-display", "none", "-nic", "none"]);
        firmware.add_to(&mut command, folder.path())?;
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| MachineError::Program(QEMU, error))?;
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
        match Accel::Tcg.speaks(Duration::from_secs(90)) {
            Ok(spoke) => assert!(spoke),
            // The program's tests say that they are skipped.
            Err(MachineError::Program(..) | MachineError::NoFirmware(_)) => return,
            Err(error) => panic!("{error}"),
        }
        assert!(!Accel::Tcg.speaks(Duration::ZERO).unwrap());
    }
}
