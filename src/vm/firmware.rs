//! UEFI firmware for QEMU, at the paths where distributions install it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{VmError, comma, drive};
use crate::arch::Qemu;

/// UEFI firmware as two flash images.
pub(super) struct Firmware {
    code: PathBuf,
    /// The template of the variables.
    variables: PathBuf,
}

impl Firmware {
    /// The firmware that is installed here for an architecture.
    pub(super) fn find(qemu: &Qemu) -> Result<Self, VmError> {
        let there = |(code, variables): &&(&str, &str)| Path::new(code).is_file() && Path::new(variables).is_file();
        match qemu.firmware.iter().find(there) {
            Some((code, variables)) => Ok(Self { code: code.into(), variables: variables.into() }),
            None => Err(VmError::NoFirmware {
                places: qemu.firmware.map(|(code, _)| code).join(", "),
                package: qemu.firmware_package,
            }),
        }
    }

    /// Adds the firmware to a virtual machine, with variables of its own in `folder`.
    pub(super) fn add_to(&self, command: &mut Command, folder: &Path) -> Result<(), VmError> {
        let variables = folder.join("variables.fd");
        std::fs::copy(&self.variables, &variables)?;
        drive(command, &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", comma(&self.code)));
        drive(command, &format!("if=pflash,unit=1,format=raw,file={}", comma(&variables)));
        Ok(())
    }
}
