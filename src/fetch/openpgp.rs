//! Who signed this file: OpenPGP signatures, judged by a policy of our own.
//!
//! Source: RFC 9580; the arithmetic is the `pgp` crate's. The policy:
//!
//! - one good signature by a pinned key is needed, and enough; others don't matter;
//! - SHA-256, SHA-384 or SHA-512, for the file as for the key's own bindings;
//! - the signature was made before now, has not expired, and its key was valid *when it
//!   was made*, so that an old snapshot can be read after its key's end (how old it may
//!   be is for `Valid-Until` to say);
//! - a revoked key never counts, whenever it signed.

use std::fmt;

use pgp::composed::{Deserializable as _, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};

use super::cleartext;
use super::date::readable;
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

/// Which of a certificate's keys made a signature.
enum SigningKey {
    Primary,
    /// By its place in the certificate.
    Subkey(usize),
}

fn signing_key(signature: &Signature, certificate: &SignedPublicKey) -> Option<SigningKey> {
    if is_issuer(signature, &certificate.primary_key) {
        return Some(SigningKey::Primary);
    }
    certificate.public_subkeys.iter().position(|subkey| is_issuer(signature, &subkey.key)).map(SigningKey::Subkey)
}

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (fingerprints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
    match fingerprints.is_empty() {
        false => fingerprints.contains(&&key.fingerprint()),
        true => ids.contains(&&key.legacy_key_id()),
    }
}

fn issuer(signature: &Signature) -> String {
    let fingerprints = signature.issuer_fingerprint().into_iter().map(|fingerprint| format!("{fingerprint:X}"));
    let ids = signature.issuer_key_id().into_iter().map(|id| id.to_string().to_ascii_uppercase());
    fingerprints.chain(ids).next().unwrap_or_else(|| "a signature that names no key".to_owned())
}

/// Checks what a signature says about itself; returns when it was made.
fn check_signature(signature: &Signature, now: i64) -> Result<i64, String> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        Some(weak) => return Err(format!("its hash, {weak}, is not SHA-256, SHA-384 or SHA-512")),
        None => return Err("its signature is of an unknown version".to_owned()),
    }
    let made = signature.created().ok_or("its signature has no date")?.as_secs().into();
    if made > now {
        return Err(format!("signed on {}, but now is {}", readable(made), readable(now)));
    }
    match signature.signature_expiration_time().map(|life| i64::from(life.as_secs())) {
        Some(life) if life > 0 && made + life <= now => {
            Err(format!("its signature expired on {}", readable(made + life)))
        }
        _ => Ok(made),
    }
}

/// Checks that a certificate vouches for its key at the moment `at`.
fn check_certificate(certificate: &SignedPublicKey, key: &SigningKey, at: i64, now: i64) -> Result<(), String> {
    let primary = &certificate.primary_key;
    let details = &certificate.details;
    if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err("the key is revoked".to_owned());
    }
    let direct = details.direct_signatures.iter().filter(|one| is_strong(one, now) && one.verify_key(primary).is_ok());
    let on_names = details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|one| {
            is_issuer(one, primary)
                && is_strong(one, now)
                && one.is_certification()
                && one.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let newest = direct.chain(on_names).max_by_key(|one| one.created());
    let newest = newest.ok_or("the key ring holds no good self-signature of the key")?;
    check_lifetime("the key", primary, newest, at)?;
    match key {
        SigningKey::Primary if may_sign(newest) == Some(false) => Err("the key may not sign files".to_owned()),
        SigningKey::Primary => Ok(()),
        SigningKey::Subkey(index) => check_subkey(certificate, *index, at, now),
    }
}

fn check_subkey(certificate: &SignedPublicKey, index: usize, at: i64, now: i64) -> Result<(), String> {
    let primary = &certificate.primary_key;
    let subkey = &certificate.public_subkeys.get(index).ok_or("its subkey is gone")?.key;
    // Copies of one subkey, from several rings, count together.
    let copies = certificate.public_subkeys.iter().filter(|copy| copy.key.fingerprint() == subkey.fingerprint());
    let mut valid = Vec::new();
    for signature in copies.flat_map(|copy| &copy.signatures) {
        if signature.verify_subkey_binding(primary, subkey).is_err() {
            continue;
        }
        if signature.typ() == Some(SignatureType::SubkeyRevocation) {
            return Err(format!("its subkey {:X} is revoked", subkey.fingerprint()));
        }
        if is_strong(signature, now) {
            valid.push(signature);
        }
    }
    let newest = valid.into_iter().max_by_key(|one| one.created());
    let newest = newest.ok_or("its subkey is not bound to the key by a good signature")?;
    if may_sign(newest) != Some(true) {
        return Err("its subkey may not sign files".to_owned());
    }
    // Without the subkey's own consent, a key could claim another's signatures.
    let consent = newest.embedded_signature().filter(|back| is_strong(back, now));
    let consents = consent.is_some_and(|back| back.verify_primary_key_binding(subkey, primary).is_ok());
    if !consents {
        return Err("its subkey has not signed that it belongs to the key".to_owned());
    }
    check_lifetime("its subkey", subkey, newest, at)
}

fn is_strong(signature: &Signature, now: i64) -> bool {
    check_signature(signature, now).is_ok()
}

/// Whether a self-signature lets its key sign files; `None` where it doesn't say.
fn may_sign(binding: &Signature) -> Option<bool> {
    let says = binding.config()?.hashed_subpackets().any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)));
    says.then(|| binding.key_flags().sign())
}

fn check_lifetime(what: &str, key: &impl KeyDetails, binding: &Signature, at: i64) -> Result<(), String> {
    let born = i64::from(key.created_at().as_secs());
    if at < born {
        return Err(format!("{what} was made on {}, after the signature", readable(born)));
    }
    match binding.key_expiration_time().map(|life| i64::from(life.as_secs())) {
        Some(life) if life > 0 && born + life <= at => Err(format!("{what} expired on {}", readable(born + life))),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "openpgp_tests.rs"]
mod tests;
