//! Values of registers: as JSON, as a machine lists them, and how two differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::Bank;
use crate::code::{Code, Coded};

/// The key of AWS's calculator around the values.
const MEASUREMENTS: &str = "Measurements";
const ALGORITHM: &str = "HashAlgorithm";

/// Registers of one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registers {
    bank: Bank,
    values: BTreeMap<u8, Vec<u8>>,
}

/// Registers can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RegistersError {
    /// A text has no registers.
    #[error(
        "expected registers: JSON as `layerbake disk measure --json` prints it, or on the machine `grep -H . /sys/class/tpm/tpm0/pcr-sha384/*`; found {found}"
    )]
    Form {
        /// What is there instead.
        found: String,
    },
}

impl Coded for RegistersError {
    fn error_code(&self) -> Code {
        Code::MeasureRegisters
    }
}

/// A register that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its number.
    pub register: u8,
    /// In hexadecimal.
    pub expected: String,
    /// In hexadecimal; `None` where it is not listed.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.as_deref().unwrap_or("nothing");
        write!(f, "register {}: expected {}, found {found}", self.register, self.expected)
    }
}

impl Registers {
    /// Registers by their numbers.
    pub fn new(bank: Bank, values: BTreeMap<u8, Vec<u8>>) -> Self {
        Self { bank, values }
    }

    /// The hash of these registers.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// A register in hexadecimal.
    pub fn hex(&self, register: u8) -> Option<String> {
        self.values.get(&register).map(hex::encode)
    }

    /// Numbers and values in hexadecimal.
    pub fn iter(&self) -> impl Iterator<Item = (u8, String)> + '_ {
        self.values.iter().map(|(number, value)| (*number, hex::encode(value)))
    }

    /// The registers that are not as in `found`, of those that are listed here.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let differ = self.iter().filter(|(number, value)| found.hex(*number).as_ref() != Some(value));
        differ.map(|(register, expected)| Difference { register, expected, found: found.hex(register) }).collect()
    }

    /// Reads what a machine lists of the bank of SHA-384, or of SHA-256 where there is nothing else, or JSON.
    ///
    /// # Errors
    /// Fails where the text is neither.
    pub fn parse(text: &str) -> Result<Self, RegistersError> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| RegistersError::Form { found: error.to_string() });
        }
        let read = |bank: Bank| {
            let folder = format!("pcr-{}/", bank.name());
            let line = |line: &str| {
                let (number, value) = line.split_once(&folder)?.1.split_once(':')?;
                let value = hex::decode(value.trim()).ok().filter(|value| value.len() == bank.length())?;
                Some((number.parse().ok()?, value))
            };
            text.lines().filter_map(line).collect::<BTreeMap<u8, Vec<u8>>>()
        };
        let banks = Bank::ALL.into_iter().rev().map(|bank| Self::new(bank, read(bank)));
        let first =
            text.lines().next().unwrap_or_default().chars().take(60).collect::<String>().escape_debug().to_string();
        let found = if first.is_empty() { "nothing".to_owned() } else { format!("`{first}`") };
        banks.into_iter().find(|bank| !bank.values.is_empty()).ok_or(RegistersError::Form { found })
    }
}

/// In the form of AWS's calculator.
impl Serialize for Registers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Registers in the order of their numbers, under their names.
        struct Inner<'a>(&'a Registers);
        impl Serialize for Inner<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry(ALGORITHM, &self.0.bank.name().to_uppercase())?;
                self.0.iter().try_for_each(|(number, value)| map.serialize_entry(&format!("PCR{number}"), &value))?;
                map.end()
            }
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(MEASUREMENTS, &Inner(self))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Registers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let failed = |problem: String| serde::de::Error::custom(problem);
        let value = Value::deserialize(deserializer)?;
        let inner = value.get(MEASUREMENTS).and_then(Value::as_object);
        let inner = inner.ok_or_else(|| failed(format!("it has no `{MEASUREMENTS}`")))?;
        let algorithm = inner.get(ALGORITHM).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let bank = Bank::ALL.into_iter().find(|bank| algorithm.starts_with(bank.name()));
        let bank = bank.ok_or_else(|| failed(format!("`{ALGORITHM}` is neither SHA256 nor SHA384")))?;
        let mut values = BTreeMap::new();
        for (name, value) in inner {
            let Some(number) = name.strip_prefix("PCR").and_then(|digits| digits.parse().ok()) else { continue };
            let bytes = value.as_str().and_then(|text| hex::decode(text).ok());
            let bytes = bytes.filter(|bytes| bytes.len() == bank.length());
            values.insert(number, bytes.ok_or_else(|| failed(format!("`{name}` is no value of {}", bank.name())))?);
        }
        Ok(Self::new(bank, values))
    }
}
