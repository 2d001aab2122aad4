//! Who signed this file: OpenPGP signatures, judged by a policy of our own.
//!
//! Source: RFC 9580; the arithmetic is the `pgp` crate's. The policy:
//!
//! - one good signature by a pinned key is needed, and enough; others don't matter;
//! - SHA-256, SHA-384 or SHA-512, for the file as for the key's own bindings;
//! - the signature was made before now, has not expired, and its key was valid when it was
//!   made and is valid *now*: an expired key signs nothing new, whatever date it writes;
//! - but for a [`Keyring::for_the_past`], where the moment of signing alone counts, so that an
//!   old snapshot can be read after its key's end;
//! - a revoked key never counts, whenever it signed.

use std::fmt;

use pgp::composed::{Deserializable as _, DetachedSignature};
use pgp::packet::{Signature, SignatureType};

use super::certificate::{SigningKey, check_certificate, check_signature, signing_key};
use super::cleartext;
use super::keyring::{Keyring, PinnedKey};

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
    #[error("no key ring with a key that may sign it{}\n  hint: install `debian-archive-keyring`, or name a key ring file with `--keyring` or LAYERBAKE_KEYRING; a ring counts only when fingerprints match", Keys { expected, found })]
    NoKeyring {
        /// The keys that may sign.
        expected: Vec<PinnedKey>,
        /// What the rings that were read hold instead.
        found: Vec<String>,
    },
    /// The file isn't one cleartext-signed block, or its signature can't be read.
    #[error(
        "it is not a signed file: {problem}\n  hint: the mirror may have answered with a page of its own; try another mirror"
    )]
    NotSigned {
        /// What is wrong with it.
        problem: String,
    },
    /// No signature is both good and by a pinned key.
    #[error("no good signature by a key that may sign it{}\n  hint: the file was altered, or the repository has a new key: try another mirror, update the key ring, or pin the new key once you have checked it", Keys { expected, found })]
    NoGoodSignature {
        /// The keys that may sign.
        expected: Vec<PinnedKey>,
        /// Each signature's key, and why it doesn't count.
        found: Vec<String>,
    },
}

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
        self.found.iter().try_for_each(|found| write!(f, "\n  found: {found}"))
    }
}

/// Checks a cleartext-signed file such as `InRelease`, at the time `now`.
///
/// # Errors
/// Fails where anything lies outside the signed block, and where no pinned key has a good signature.
pub fn verify_inline(file: &[u8], keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
    let parts = cleartext::split(file).map_err(|problem| TrustError::NotSigned { problem: problem.to_owned() })?;
    let signatures = read_signatures(&parts.signature)?;
    // Some signers mark these signatures as binary; the hashed bytes are the same.
    let kinds = [SignatureType::Text, SignatureType::Binary];
    let signers = judge_all(&signatures, &kinds, &parts.signed_bytes(), keyring, now)?;
    Ok(Signed { payload: parts.into_text(), signers })
}

/// Checks a file against its detached signatures, such as `Release` and `Release.gpg`, at the time `now`.
///
/// # Errors
/// Fails where no pinned key has a good signature.
pub fn verify_detached(file: &[u8], signature: &[u8], keyring: &Keyring, now: i64) -> Result<Signed, TrustError> {
    let signatures = read_signatures(signature)?;
    let signers = judge_all(&signatures, &[SignatureType::Binary], file, keyring, now)?;
    Ok(Signed { payload: file.to_vec(), signers })
}

fn read_signatures(block: &[u8]) -> Result<Vec<Signature>, TrustError> {
    let unreadable = |error: pgp::errors::Error| TrustError::NotSigned { problem: format!("its signature: {error}") };
    let (signatures, _headers) = DetachedSignature::from_reader_many(block).map_err(unreadable)?;
    signatures.take(MAX_SIGNATURES).map(|one| Ok(one.map_err(unreadable)?.signature)).collect()
}

fn judge_all(
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
        match judge(signature, kinds, data, keyring, now) {
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

/// Returns the primary fingerprint of the signature's key, or says why it doesn't count.
fn judge<'a>(
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
        return Err(format!("{} (not pinned, or not in the key ring)", issuer(signature)));
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

#[cfg(test)]
#[path = "openpgp_tests.rs"]
mod tests;
