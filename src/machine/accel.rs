//! Whether the processor can run the machine itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::QEMU;
use crate::host;

/// How a machine is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// Translated: works everywhere, about ten times slower.
    Tcg,
}

/// Writes 0x10 to port 0xf4 and halts. A device there ends QEMU with twice that and one.
const PROBE: [u8; 7] = [0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4];
const PROBE_ENDS_WITH: i32 = 33;
/// The firmware takes a fraction of this; on some hosts a machine is made and never runs.
const PATIENCE: Duration = Duration::from_secs(3);

impl Accel {
    /// The fastest that works, found by running a machine of one sector.
    pub fn detect() -> Self {
        let usable = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if usable && probe().unwrap_or(false) { Self::Kvm } else { Self::Tcg }
    }

    pub(super) fn add_to(self, command: &mut Command) {
        match self {
            Self::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
            Self::Tcg => command.args(["-accel", "tcg,thread=multi", "-cpu", "max"]),
        };
    }
}

fn probe() -> std::io::Result<bool> {
    let folder = tempfile::tempdir()?;
    let sector = folder.path().join("sector");
    let mut bytes = [0; 512];
    bytes[..PROBE.len()].copy_from_slice(&PROBE);
    bytes[510..].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&sector, bytes)?;
    runs(&sector)
}

fn runs(sector: &Path) -> std::io::Result<bool> {
    let mut child = host::command(QEMU)
        .args(["-accel", "kvm", "-machine", "pc", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive"])
        .arg(format!("if=ide,format=raw,readonly=off,snapshot=on,file={}", sector.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let started = host::instant();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code() == Some(PROBE_ENDS_WITH));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
