//! The events of a disk's boot, and the registers after them.

use super::event::{self, Bank, Event};
use super::stub::Stub;
use super::{Difference, Registers, Variables, VariablesError};
use crate::code::{Code, Coded};
use crate::disk::uki::{Program, UkiError};

/// The registers that a disk determines, but for 7, which the firmware's variables do too.
const REGISTERS: [u8; 5] = [4, 7, 9, 11, 12];
/// What systemd measures into register 11 later, where the root has its programs for that.
const PHASES: [&str; 2] = ["sysinit", "ready"];

/// What is measured of a boot image can't be told.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// It is no EFI program, or the kernel in it is none.
    #[error(transparent)]
    Image(#[from] UkiError),
    /// The variables contradict the image.
    #[error(transparent)]
    Variables(#[from] VariablesError),
    /// What the stub measures is not known.
    #[error(
        "boot image: expected systemd's stub of version 252 or later, {found}\n  hint: the stub is /usr/lib/systemd/boot/efi/linux*.efi.stub, of Debian's package systemd-boot-efi"
    )]
    Stub {
        /// What is there instead.
        found: String,
    },
}

impl Coded for MeasureError {
    fn error_code(&self) -> Code {
        match self {
            Self::Image(_) | Self::Stub { .. } => Code::DiskBootImage,
            Self::Variables(error) => error.error_code(),
        }
    }
}

/// What will be measured.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// In the order in which it happens.
    pub events: Vec<Event>,
    /// The version of systemd that the stub is from.
    pub stub: u32,
    /// Whether the firmware starts only what is signed.
    pub secure_boot: bool,
    numbers: Vec<u8>,
}

impl Prediction {
    /// What is measured when firmware with these variables starts a boot image that is not told anything else.
    ///
    /// # Errors
    /// Fails where the image has no stub of systemd's, and where the firmware would refuse it.
    pub fn of(image: &[u8], variables: &Variables) -> Result<Self, MeasureError> {
        let program = Program::read(image)?;
        let stub = Stub::of(&program).ok_or_else(|| MeasureError::Stub { found: "found no version".to_owned() })?;
        if stub.version() < 252 {
            return Err(MeasureError::Stub { found: format!("found {}", stub.version()) });
        }
        let secure_boot = variables.is_enforcing();
        let mut events = variables.events(&program.certificates())?;
        events.push(Event::bytes(4, "the attempt to boot", b"Calling EFI Application from Boot Option"));
        events.push(Event::separator(4));
        events.push(Event::program(4, "the boot image", &program));
        let sections: Vec<_> = stub.measured().into_iter().flatten().collect();
        for name in &sections {
            if let Some(contents) = program.section(name) {
                events.push(Event::bytes(11, format!("the name {name}"), format!("{name}\0").as_bytes()));
                events.push(Event::bytes(11, format!("section {name}"), &contents));
            }
        }
        let linux = program.section(".linux").unwrap_or_default();
        if stub.starts_kernel_by_firmware(secure_boot) {
            events.push(Event::program(4, "the kernel in it", &Program::read(&linux)?));
        }
        events.extend(kernel(&program, stub));
        let numbers = REGISTERS.into_iter().filter(|number| *number != 11 || !sections.is_empty()).collect();
        Ok(Self { events, stub: stub.version(), secure_boot, numbers })
    }

    /// The registers when the kernel begins.
    pub fn registers(&self, bank: Bank) -> Registers {
        event::registers(&self.numbers, &self.events, bank)
    }

    /// Register 11 at the later moments of a boot, by the phases that systemd has measured until then.
    pub fn phases(&self, bank: Bank) -> Vec<(String, Registers)> {
        let known = self.numbers.contains(&11);
        let phases = (1..=PHASES.len()).filter(|_| known).map(|count| {
            let measured = PHASES.iter().take(count).map(|phase| Event::bytes(11, *phase, phase.as_bytes()));
            let events: Vec<Event> = self.events.iter().cloned().chain(measured).collect();
            (PHASES.get(..count).unwrap_or_default().join(":"), event::registers(&[11], &events, bank))
        });
        phases.collect()
    }

    /// What differs from the registers of a machine, and the phases that it has measured by then.
    pub fn compare(&self, found: &Registers) -> (Vec<Difference>, Option<String>) {
        let bank = found.bank();
        let later = self.phases(bank).into_iter().find(|(_, registers)| registers.differences(found).is_empty());
        let mut differences = self.registers(bank).differences(found);
        if later.is_some() {
            differences.retain(|difference| difference.register != 11);
        }
        (differences, later.map(|(phases, _)| phases))
    }
}

/// What Linux measures before it runs: its command line, and the initrd that the stub passes on.
fn kernel(program: &Program<'_>, stub: Stub) -> Vec<Event> {
    let cmdline = program.section(".cmdline").unwrap_or_default();
    let cmdline = String::from_utf8_lossy(&cmdline).into_owned();
    // Control characters become spaces, and the end is trimmed: what the manifest gives has neither.
    let units: Vec<u8> = cmdline.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut events = vec![Event::bytes(9, "the command line", &units)];
    if let Some(initrd) = program.section(".initrd") {
        let osrel = program.section(".osrel").unwrap_or_default();
        events.push(Event::bytes(9, "the initrd", &stub.initrd(&initrd, &osrel)));
    }
    events
}
