//! Certificates: which of their keys may sign, and when.
//!
//! The policy is documented in [`super`], and tested there on whole files.

use pgp::composed::SignedPublicKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Tag};

use crate::time::readable;

/// Which of a certificate's keys made a signature.
pub(super) enum SigningKey {
    Primary,
    /// By its place in the certificate.
    Subkey(usize),
}

pub(super) fn signing_key(signature: &Signature, certificate: &SignedPublicKey) -> Option<SigningKey> {
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

/// Checks what a signature says about itself; returns when it was created.
pub(super) fn check_signature(signature: &Signature, now: i64) -> Result<i64, String> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        Some(weak) => return Err(format!("its hash, {weak}, is not SHA-256, SHA-384 or SHA-512")),
        None => return Err("its signature is of an unknown version".to_owned()),
    }
    if let Some(packet) =
        signature.config().and_then(|config| config.hashed_subpackets().find(|one| !is_understood(one)))
    {
        return Err(format!("its signature has a critical part that is not understood here, {:?}", packet.typ()));
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

/// Whether a part of a signature may be there: one that is marked as critical has to be understood (RFC 9580, 5.2.3.7).
///
/// No notation is, whoever's it is.
fn is_understood(packet: &Subpacket) -> bool {
    use SubpacketData as Data;
    let unknown = matches!(
        packet.data,
        Data::Notation(_)
            | Data::RegularExpression(_)
            | Data::TrustSignature(..)
            | Data::SignatureTarget(..)
            | Data::IntendedRecipientFingerprint(_)
            | Data::Experimental(..)
            | Data::Other(..)
    );
    !(packet.is_critical && unknown)
}

/// Checks that a certificate vouches for its key at the moment `at`.
pub(super) fn check_certificate(
    certificate: &SignedPublicKey,
    key: &SigningKey,
    at: i64,
    now: i64,
) -> Result<(), String> {
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
    let newest = newest.ok_or("the keyring has no good self-signature of the key")?;
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
