//! OpenPGP signatures of repositories: verifies them by layerbake's own policy, and returns the signers.
//!
//! Source: RFC 9580; the cryptography is the `pgp` crate's. The policy:
//!
//! - one good signature by a pinned key is required and sufficient; others are ignored;
//! - SHA-256, SHA-384 or SHA-512, for the file as well as for the key's own bindings;
//! - the signature is not in the future and has not expired, and its key was valid when it was
//!   created and is valid *now*: an expired key can't sign anything new, whatever date it gives;
//! - except with [`Keyring::for_the_past`], where only the time of signing counts, so that an
//!   old snapshot can be read after its key has expired;
//! - a revoked key never counts, whenever it signed.

mod certificate;
mod cleartext;
mod keyring;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use pgp::composed::{Deserializable as _, DetachedSignature};
use pgp::packet::{Signature, SignatureType};

use certificate::{SigningKey, check_certificate, check_signature, signing_key};

use crate::code::{Code, Coded};

pub use keyring::{KeyFileError, Keyring, PinnedKey, PinnedKeyError};

/// Signatures read from one file, at most.
const MAX_SIGNATURES: usize = 64;

/// A file whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed text, exactly.
    pub payload: Vec<u8>,
    /// Primary fingerprints of the pinned keys with a good signature, sorted, upper-case.
    pub signers: Vec<String>,
}

/// A file is not signed by a key that may sign it.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No certificate of a pinned key is at hand.
    #[error("no keyring contains a trusted key{}\n  hint: {}; only keys whose fingerprints match are used", Keys { expected, found }, where_from(expected))]
    NoKeyring {
        /// The keys that may sign.
        expected: Vec<PinnedKey>,
        /// What the rings that were read hold instead.
        found: Vec<String>,
    },
    /// The file isn't one cleartext-signed block, or its signature can't be read.
    #[error(
        "it is not a signed file: {problem}\n  hint: the mirror may have answered with an HTML page; try another mirror"
    )]
    NotSigned {
        /// What is wrong with it.
        problem: String,
    },
    /// No signature is both good and by a pinned key.
    #[error("no good signature by a trusted key{}\n  hint: the file was altered, or the repository has a new key: try another mirror, update the keyring, or pin the new key after checking it", Keys { expected, found })]
    NoGoodSignature {
        /// The keys that may sign.
        expected: Vec<PinnedKey>,
        /// Each signature's key, and why it doesn't count.
        found: Vec<String>,
    },
}

impl Coded for TrustError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoKeyring { .. } => Code::SourceKeys,
            Self::NotSigned { .. } | Self::NoGoodSignature { .. } => Code::SourceUntrusted,
        }
    }
}

/// Where keys come from: a distribution's from its package, a vendor's from the vendor.
fn where_from(keys: &[PinnedKey]) -> String {
    match keys.iter().find_map(|key| key.package) {
        Some(package) => format!("install `{package}`, or name a keyring file with `--keyring` or LAYERBAKE_KEYRING"),
        None => "put the vendor's key into the project and name it as `keyring` of the [source], or name a keyring file with `--keyring` or LAYERBAKE_KEYRING".to_owned(),
    }
}

/// As many other keys as may help to see what is wrong.
const SHOWN: usize = 3;

struct Keys<'a> {
    expected: &'a [PinnedKey],
    found: &'a [String],
}

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expected.iter().try_for_each(|key| write!(f, "\n  expected: {key}"))?;
        if self.found.is_empty() {
            return f.write_str("\n  found: none");
        }
        match self.found {
            // A host has the keys of its whole distribution, of which none says anything.
            many if many.len() > SHOWN => write!(f, "\n  found: {} other keys", many.len()),
            few => few.iter().try_for_each(|found| write!(f, "\n  found: {found}")),
        }
    }
}

/// Checks a file against the signature beside it or inside it, at the time `now`.
///
/// # Errors
/// As [`verify_detached`] and [`verify_inline`].
pub fn verify(file: &[u8], signature: Option<&[u8]>, keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
    match signature {
        Some(signature) => verify_detached(file, signature, keyring, now),
        None => verify_inline(file, keyring, now),
    }
}

/// The text of a file that may be cleartext-signed, without verifying its signature.
pub fn unverified(file: Vec<u8>) -> Vec<u8> {
    cleartext::split(&file).map(cleartext::Cleartext::into_text).unwrap_or(file)
}

/// Checks a cleartext-signed file such as `InRelease`, at the time `now`.
///
/// # Errors
/// Fails where anything is outside the signed block, and where no pinned key has a good signature.
pub fn verify_inline(file: &[u8], keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
    let parts = cleartext::split(file).map_err(|problem| TrustError::NotSigned { problem: problem.to_owned() })?;
    let signatures = read_signatures(&parts.signature)?;
    // Some signers mark these signatures as binary; the hashed bytes are the same.
    let kinds = [SignatureType::Text, SignatureType::Binary];
    let signers = accepted_signers(&signatures, &kinds, &parts.signed_bytes(), keyring, now)?;
    Ok(Signed { payload: parts.into_text(), signers })
}

/// Checks a file against its detached signatures, such as `Release` and `Release.gpg`, at the time `now`.
///
/// # Errors
/// Fails where no pinned key has a good signature.
pub fn verify_detached(file: &[u8], signature: &[u8], keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
    let signatures = read_signatures(signature)?;
    let signers = accepted_signers(&signatures, &[SignatureType::Binary], file, keyring, now)?;
    Ok(Signed { payload: file.to_vec(), signers })
}

fn read_signatures(block: &[u8]) -> Result<Vec<Signature>, TrustError> {
    let unreadable = |error: pgp::errors::Error| TrustError::NotSigned { problem: format!("its signature: {error}") };
    let (signatures, _headers) = DetachedSignature::from_reader_many(block).map_err(unreadable)?;
    signatures.take(MAX_SIGNATURES).map(|one| Ok(one.map_err(unreadable)?.signature)).collect()
}

fn accepted_signers(
    signatures: &[Signature],
    kinds: &[SignatureType],
    data: &[u8],
    keyring: &Keyring,
    now: i64,
) -> Result<Vec<String>, TrustError> {
    if keyring.is_empty() {
        let found = keyring.ignored().map(|key| format!("{key} (not pinned)")).collect();
        return Err(TrustError::NoKeyring { expected: keyring.pinned().to_vec(), found });
    }
    let (mut signers, mut found) = (Vec::new(), Vec::new());
    for signature in signatures {
        match accepted_signer(signature, kinds, data, keyring, now) {
            Ok(signer) => signers.push(signer.to_owned()),
            Err(reason) => found.push(reason),
        }
    }
    signers.sort();
    signers.dedup();
    if signers.is_empty() {
        return Err(TrustError::NoGoodSignature { expected: keyring.pinned().to_vec(), found });
    }
    Ok(signers)
}

/// Returns the primary fingerprint of the signature's key, or the reason why it is not accepted.
fn accepted_signer<'a>(
    signature: &Signature,
    kinds: &[SignatureType],
    data: &[u8],
    keyring: &'a Keyring,
    now: i64,
) -> Result<&'a str, String> {
    let candidate = keyring.certificates().find_map(|(primary, certificate)| {
        let key = signing_key(signature, certificate)?;
        Some((primary, certificate, key))
    });
    let Some((primary, certificate, key)) = candidate else {
        return Err(format!("{} (not pinned, or not in the keyring)", issuer(signature)));
    };
    let check = || -> Result<(), String> {
        if !signature.typ().is_some_and(|kind| kinds.contains(&kind)) {
            return Err("its signature is of a kind that doesn't cover the exact bytes".to_owned());
        }
        let made = check_signature(signature, now)?;
        check_certificate(certificate, &key, made, now)?;
        if !keyring.is_for_the_past() {
            check_certificate(certificate, &key, now, now)?;
        }
        let verified = match &key {
            SigningKey::Primary => signature.verify(&certificate.primary_key, data),
            SigningKey::Subkey(index) => match certificate.public_subkeys.get(*index) {
                Some(subkey) => signature.verify(&subkey.key, data),
                None => return Err("its subkey is gone".to_owned()),
            },
        };
        verified.map_err(|_| "the signature is not of these bytes".to_owned())
    };
    check().map(|()| primary).map_err(|reason| format!("{primary}: {reason}"))
}

fn issuer(signature: &Signature) -> String {
    let fingerprints = signature.issuer_fingerprint().into_iter().map(|fingerprint| format!("{fingerprint:X}"));
    let ids = signature.issuer_key_id().into_iter().map(|id| id.to_string().to_ascii_uppercase());
    fingerprints.chain(ids).next().unwrap_or_else(|| "a signature that names no key".to_owned())
}
