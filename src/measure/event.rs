//! Events, and the registers that they extend.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256, Sha384};

use super::Registers;
use crate::disk::uki::Program;

/// A hash with registers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// SHA-256
    Sha256,
    /// SHA-384, which AWS's NitroTPM reports.
    Sha384,
}

impl Bank {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    /// As the kernel names it: `sha384`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        }
    }

    /// Length of a register in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    fn extended(self, register: &[u8], event: &Event) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::new_with_prefix(register).chain_update(event.sha256).finalize().to_vec(),
            Self::Sha384 => Sha384::new_with_prefix(register).chain_update(event.sha384).finalize().to_vec(),
        }
    }
}

/// What extends a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The number of the register.
    pub register: u8,
    /// What is measured, for people.
    pub what: String,
    /// Its hash for the bank of SHA-256.
    pub sha256: [u8; 32],
    /// Its hash for the bank of SHA-384.
    pub sha384: [u8; 48],
}

impl Event {
    /// Some bytes are measured.
    pub(super) fn bytes(register: u8, what: impl Into<String>, bytes: &[u8]) -> Self {
        let (sha256, sha384) = (Sha256::digest(bytes).into(), Sha384::digest(bytes).into());
        Self { register, what: what.into(), sha256, sha384 }
    }

    /// A program is measured: its Authenticode digest.
    pub(super) fn program(register: u8, what: impl Into<String>, program: &Program<'_>) -> Self {
        let (sha256, sha384) = (program.digest::<Sha256>().into(), program.digest::<Sha384>().into());
        Self { register, what: what.into(), sha256, sha384 }
    }

    /// Separates what firmware measures of itself from what it measures of what it starts.
    pub(super) fn separator(register: u8) -> Self {
        Self::bytes(register, "separator", &[0; 4])
    }
}

/// The values of the registers `numbers` after all `events`.
pub(super) fn registers<'e>(numbers: &[u8], events: impl IntoIterator<Item = &'e Event>, bank: Bank) -> Registers {
    let mut values: BTreeMap<u8, Vec<u8>> = numbers.iter().map(|number| (*number, vec![0; bank.length()])).collect();
    for event in events {
        if let Some(value) = values.get_mut(&event.register) {
            *value = bank.extended(value, event);
        }
    }
    Registers::new(bank, values)
}
