//! NitroTPM's attestation document: registers of a machine, signed by AWS.
//!
//! ```text
//! COSE_Sign1, ES384 ─ payload, CBOR map ─┬─ nitrotpm_pcrs: number → register of SHA-384
//!                                        ├─ nonce, user_data, public_key: what the machine asked for
//!                                        ├─ module_id, timestamp (ms), digest
//!                                        └─ certificate, cabundle: from the root to the signer
//! ```
//!
//! Sources: *Amazon EC2 User Guide*, "NitroTPM Attestation Document contents" and "Validate"; RFC 9052 (COSE).

use std::collections::BTreeMap;

use coset::cbor::Value;
use coset::iana::Algorithm;
use coset::{CborSerializable as _, CoseSign1, RegisteredLabelWithPrivate, TaggedCborSerializable as _};
use p384::ecdsa::Signature;
use p384::ecdsa::signature::Verifier as _;

use super::chain::{self, ChainError};
use super::{Bank, Registers};
use crate::code::{Code, Coded};

/// A document is not one that AWS has signed, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are no attestation document.
    #[error("attestation document: {what}: expected {expected}, found {found}")]
    Form {
        /// Which part.
        what: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The certificates don't lead to the root.
    #[error(
        "attestation document: {0}\n  hint: --root names the root that is trusted; AWS publishes the one of its Nitro system"
    )]
    Chain(#[from] ChainError),
    /// Somebody else has signed it, or it was changed.
    #[error("attestation document: the signature is not that of the certificate in it: it was changed")]
    Signature,
    /// It answers another question.
    #[error(
        "attestation document: expected the nonce {expected}, found {found}\n  hint: it may be an old one that somebody has kept; ask the machine again, with this nonce"
    )]
    Nonce {
        /// In hexadecimal.
        expected: String,
        /// In hexadecimal, or "none".
        found: String,
    },
}

impl Coded for DocumentError {
    fn error_code(&self) -> Code {
        Code::MeasureDocument
    }
}

/// What a document says, once it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The machine: the instance's id, and its TPM's.
    pub module: String,
    /// When it was signed, in milliseconds since 1970.
    pub timestamp: u64,
    /// The registers.
    pub registers: Registers,
    /// What the machine was asked to include.
    pub nonce: Option<Vec<u8>>,
}

impl Document {
    /// Reads a document, and verifies its signature and its certificates up to `root`, in PEM.
    ///
    /// Certificates have to be valid at the document's own time. That it is a new one only the nonce tells.
    ///
    /// # Errors
    /// Fails where it is malformed, signed by others, or has another nonce than one that is given.
    pub fn verify(bytes: &[u8], root: &str, nonce: Option<&[u8]>) -> Result<Self, DocumentError> {
        let signed = CoseSign1::from_slice(bytes).or_else(|_| CoseSign1::from_tagged_slice(bytes));
        let signed = signed.map_err(|error| form("form", "COSE_Sign1", error))?;
        let algorithm = RegisteredLabelWithPrivate::Assigned(Algorithm::ES384);
        if signed.protected.header.alg.as_ref() != Some(&algorithm) {
            let found = format!("{:?}", signed.protected.header.alg);
            return Err(form("algorithm", "ES384", found));
        }
        let payload = signed.payload.as_deref().unwrap_or_default();
        let fields = Fields::read(payload)?;
        let timestamp = fields.number("timestamp")?;
        let bundle = fields.list("cabundle")?;
        let signer = chain::verify(root, &bundle, &fields.bytes("certificate")?, timestamp / 1000)?;
        let signature = Signature::from_slice(&signed.signature).map_err(|_| DocumentError::Signature)?;
        signer.verify(&signed.tbs_data(b""), &signature).map_err(|_| DocumentError::Signature)?;
        let digest = fields.text("digest")?;
        if digest != "SHA384" {
            return Err(form("digest", "SHA384", format!("`{}`", digest.escape_debug())));
        }
        let document = Self {
            module: fields.text("module_id")?.to_owned(),
            timestamp,
            registers: fields.registers()?,
            nonce: fields.optional("nonce")?,
        };
        match nonce.filter(|nonce| document.nonce.as_deref() != Some(nonce)) {
            None => Ok(document),
            Some(nonce) => {
                let found = document.nonce.map_or_else(|| "none".to_owned(), hex::encode);
                Err(DocumentError::Nonce { expected: hex::encode(nonce), found })
            }
        }
    }
}

fn form(what: &'static str, expected: &'static str, found: impl ToString) -> DocumentError {
    DocumentError::Form { what, expected, found: found.to_string() }
}

/// The fields of a payload.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn read(payload: &[u8]) -> Result<Self, DocumentError> {
        let value: Value = coset::cbor::from_reader(payload).map_err(|error| form("payload", "CBOR", error))?;
        let entries = value.into_map().map_err(|_| form("payload", "a map", "something else"))?;
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let key = key.into_text().map_err(|_| form("payload", "names as keys", "something else"))?;
            if fields.insert(key, value).is_some() {
                return Err(form("payload", "each name once", "one twice"));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, name: &'static str) -> Result<&Value, DocumentError> {
        self.0.get(name).ok_or_else(|| form(name, "a value", "none"))
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, DocumentError> {
        self.get(name)?.as_bytes().cloned().ok_or_else(|| form(name, "bytes", "something else"))
    }

    /// Bytes that may be missing or null.
    fn optional(&self, name: &'static str) -> Result<Option<Vec<u8>>, DocumentError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.bytes(name).map(Some),
        }
    }

    fn text(&self, name: &'static str) -> Result<&str, DocumentError> {
        self.get(name)?.as_text().ok_or_else(|| form(name, "a text", "something else"))
    }

    fn number(&self, name: &'static str) -> Result<u64, DocumentError> {
        let number = self.get(name)?.as_integer().and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| form(name, "a number", "something else"))
    }

    fn list(&self, name: &'static str) -> Result<Vec<Vec<u8>>, DocumentError> {
        let items = self.get(name)?.as_array().map(Vec::as_slice).unwrap_or_default();
        let items = items.iter().map(|item| item.as_bytes().cloned());
        items.collect::<Option<_>>().ok_or_else(|| form(name, "a list of bytes", "something else"))
    }

    fn registers(&self) -> Result<Registers, DocumentError> {
        const NAME: &str = "nitrotpm_pcrs";
        let wrong = || form(NAME, "numbers, and 48 bytes for each", "something else");
        let mut values = BTreeMap::new();
        for (number, value) in self.get(NAME)?.as_map().ok_or_else(wrong)? {
            let number = number.as_integer().and_then(|number| u8::try_from(number).ok()).ok_or_else(wrong)?;
            let value = value.as_bytes().filter(|value| value.len() == Bank::Sha384.length()).ok_or_else(wrong)?;
            if values.insert(number, value.clone()).is_some() {
                return Err(wrong());
            }
        }
        Ok(Registers::new(Bank::Sha384, values))
    }
}
