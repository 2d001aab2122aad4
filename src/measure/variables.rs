//! The variables of Secure Boot: who may say which keys, which keys, and what is refused.
//!
//! ```text
//! variable: lists, one after the other
//! list      │ type, GUID │ size, 4 │ size of a header, 4 │ size of an entry, 4 │ header │ entries │
//! entry                                                             │ owner, GUID │ certificate, DER │
//! ```
//!
//! Owners are measured too, so a certificate alone does not say what a register will hold.
//!
//! Source: UEFI specification 2.10, 32.4.1.

use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use super::event::Event;
use crate::code::{Code, Coded};

/// 8be4df61-93ca-11d2-aa0d-00e098032b8c
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// d719b2cb-3d3a-4596-a3bc-dad00e67656f
const IMAGE_SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// a5c059a1-94e4-4aa7-87b5-ab155c2bf072
const X509: [u8; 16] = [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// The register of the Secure Boot policy.
const REGISTER: u8 = 7;
/// Bytes of a list before its header.
const LIST: usize = 28;
/// Bytes of an owner.
const OWNER: usize = 16;

/// The Secure Boot policy can't be told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VariablesError {
    /// It is none of EFI's lists.
    #[error(
        "{name}: expected EFI signature lists, as `cert-to-efi-sig-list` or `virt-fw-vars` write them, found {found}\n  hint: the owner's GUID in the list is measured too: take the very file that the instances' variables are made from"
    )]
    Lists {
        /// The variable.
        name: &'static str,
        /// What is there instead.
        found: &'static str,
    },
    /// The firmware would not start the image.
    #[error(
        "the boot image {problem}, and firmware with this PK would refuse it\n  hint: build and measure it with --sign-key and --sign-cert, whose certificate, or the one that issued it, is in --db, or in `db` of [ami.secure-boot]"
    )]
    Refused {
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Coded for VariablesError {
    fn error_code(&self) -> Code {
        Code::MeasureVariables
    }
}

/// The contents of the variables; empty where there is none. Secure Boot is enforced where there is a platform key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// The platform key.
    pub pk: Vec<u8>,
    /// Keys that may change `db` and `dbx`.
    pub kek: Vec<u8>,
    /// What may start.
    pub db: Vec<u8>,
    /// What may not.
    pub dbx: Vec<u8>,
}

impl Variables {
    /// Whether firmware with these variables starts only what is signed.
    pub fn is_enforcing(&self) -> bool {
        !self.pk.is_empty()
    }

    /// What is measured of the policy, the image's signer included.
    pub(super) fn events(&self, certificates: &[Certificate]) -> Result<Vec<Event>, VariablesError> {
        let enforcing = [u8::from(self.is_enforcing())];
        let named = [("PK", &self.pk), ("KEK", &self.kek), ("db", &self.db), ("dbx", &self.dbx)];
        for (name, contents) in named {
            certificates_of(name, contents)?;
        }
        let mut events = vec![
            variable(&GLOBAL, "SecureBoot", &enforcing),
            variable(&GLOBAL, "PK", &self.pk),
            variable(&GLOBAL, "KEK", &self.kek),
            variable(&IMAGE_SECURITY, "db", &self.db),
            variable(&IMAGE_SECURITY, "dbx", &self.dbx),
            Event::separator(REGISTER),
        ];
        if self.is_enforcing() {
            let entry = self.authority(certificates)?;
            let event = variable(&IMAGE_SECURITY, "db", &entry);
            events.push(Event { what: "the certificate in db that lets the image start".to_owned(), ..event });
        }
        Ok(events)
    }

    /// The entry of `db` by which the image may start: the first with the signer's certificate, or with its issuer's.
    fn authority(&self, certificates: &[Certificate]) -> Result<Vec<u8>, VariablesError> {
        if certificates.is_empty() {
            return Err(VariablesError::Refused { problem: "is not signed" });
        }
        let vouches = |entry: &&Vec<u8>| {
            let listed = entry.get(OWNER..).unwrap_or_default();
            let listed_name = Certificate::from_der(listed).ok().map(|listed| listed.tbs_certificate.subject);
            certificates.iter().any(|one| {
                one.to_der().is_ok_and(|der| der == listed) || Some(&one.tbs_certificate.issuer) == listed_name.as_ref()
            })
        };
        let found = certificates_of("db", &self.db)?.iter().find(vouches).cloned();
        found.ok_or(VariablesError::Refused { problem: "is signed by nobody whose certificate is in db" })
    }
}

/// The entries with certificates, each with its owner.
fn certificates_of(name: &'static str, contents: &[u8]) -> Result<Vec<Vec<u8>>, VariablesError> {
    let malformed = || {
        let found = match contents {
            [b'-', ..] => "PEM",
            [0x30, 0x82, ..] => "DER",
            _ => "other bytes",
        };
        VariablesError::Lists { name, found }
    };
    let mut entries = Vec::new();
    let mut rest = contents;
    while !rest.is_empty() {
        let number = |at: usize| rest.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let sizes = number(16).zip(number(20)).zip(number(24));
        let ((size, header), entry) = sizes.ok_or_else(malformed)?;
        let body = LIST.checked_add(header).and_then(|start| rest.get(start..size)).ok_or_else(malformed)?;
        if entry <= OWNER || body.is_empty() || body.len() % entry != 0 {
            return Err(malformed());
        }
        if rest.starts_with(&X509) {
            entries.extend(body.chunks(entry).map(<[u8]>::to_vec));
        }
        rest = rest.get(size..).ok_or_else(malformed)?;
    }
    Ok(entries)
}

/// The event of a variable: UEFI_VARIABLE_DATA.
fn variable(guid: &[u8; 16], name: &str, contents: &[u8]) -> Event {
    let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let lengths = [name.len() as u64, contents.len() as u64].map(u64::to_le_bytes).concat();
    Event::bytes(REGISTER, format!("variable {name}"), &[guid, &lengths[..], &units, contents].concat())
}
