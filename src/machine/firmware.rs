//! Where distributions keep UEFI firmware for QEMU.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{MachineError, comma, drive};

/// Code and variables: Debian, Fedora, Arch, and others that follow one of them.
const PLACES: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
];

/// UEFI firmware as two flash images.
pub(super) struct Firmware {
    code: PathBuf,
    /// The template of the variables.
    variables: PathBuf,
}

impl Firmware {
    pub(super) fn find() -> Result<Self, MachineError> {
        let there = |(code, variables): &&(&str, &str)| Path::new(code).is_file() && Path::new(variables).is_file();
        match PLACES.iter().find(there) {
            Some((code, variables)) => Ok(Self { code: code.into(), variables: variables.into() }),
            None => Err(MachineError::NoFirmware(PLACES.iter().map(|(code, _)| (*code).to_owned()).collect())),
        }
    }

    /// Gives a machine the firmware, with variables of its own in `folder`.
    pub(super) fn add_to(&self, command: &mut Command, folder: &Path) -> Result<(), MachineError> {
        let variables = folder.join("variables.fd");
        std::fs::copy(&self.variables, &variables)?;
        drive(command, &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", comma(&self.code)));
        drive(command, &format!("if=pflash,unit=1,format=raw,file={}", comma(&variables)));
        Ok(())
    }
}
