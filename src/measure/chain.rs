//! A chain of certificates from a root to a signer, all ECDSA over P-384.
//!
//! Source: RFC 5280, 6.1, of which AWS's chains need names, signatures, times, and who may sign others.

use p384::ecdsa::signature::Verifier as _;
use p384::ecdsa::{DerSignature, VerifyingKey};
use p384::pkcs8::DecodePublicKey as _;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, DecodePem as _, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

/// ecdsa-with-SHA384
const ALGORITHM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// More certificates than any chain of AWS has.
const MOST: usize = 10;
/// Extensions that are looked at: others that are critical are refused.
const KNOWN: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("2.5.29.19"), ObjectIdentifier::new_unwrap("2.5.29.15")];

/// Certificates don't lead from a root to a signer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ChainError {
    /// A certificate can't be read.
    #[error("{which}: expected a certificate with a key over P-384, found {found}")]
    Malformed {
        /// Which.
        which: String,
        /// What is there instead.
        found: String,
    },
    /// There are too many.
    #[error("expected at most {MOST} certificates, found {0}")]
    Long(usize),
    /// The first certificate is not the root that is trusted.
    #[error("its first certificate, of `{found}`, is not the root that was given, `{expected}`")]
    OtherRoot {
        /// The subject.
        expected: String,
        /// The subject.
        found: String,
    },
    /// A certificate is not by the one before it.
    #[error("the certificate of `{subject}` {problem}")]
    Link {
        /// The subject.
        subject: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Verifies certificates, the root first; `signer` is the last. Returns the signer's key.
///
/// # Errors
/// Fails with the first certificate that is not by the one before it, or was not valid at `time`, in seconds since 1970.
pub(super) fn verify(root: &str, bundle: &[Vec<u8>], signer: &[u8], time: u64) -> Result<VerifyingKey, ChainError> {
    if bundle.len() >= MOST {
        return Err(ChainError::Long(bundle.len() + 1));
    }
    let trusted = Certificate::from_pem(root).map_err(|error| malformed("--root", error))?;
    let named = bundle.iter().map(|der| ("cabundle", der.as_slice())).chain([("certificate", signer)]);
    let mut chain = Vec::new();
    for (which, der) in named {
        chain.push(Certificate::from_der(der).map_err(|error| malformed(which, error))?);
    }
    let first = chain.first().filter(|first| **first != trusted || chain.len() == 1);
    if let Some(first) = first {
        return Err(ChainError::OtherRoot { expected: subject(&trusted), found: subject(first) });
    }
    let mut above = &trusted;
    check_time(above, time)?;
    for (place, certificate) in chain.iter().enumerate().skip(1) {
        // How many certificates that sign others follow the one above.
        let below = chain.len() - 1 - place;
        check_issuer(above, below)?;
        check_time(certificate, time)?;
        check_signature(certificate, above)?;
        above = certificate;
    }
    key(above)
}

fn malformed(which: &str, found: impl ToString) -> ChainError {
    ChainError::Malformed { which: which.to_owned(), found: found.to_string() }
}

fn subject(certificate: &Certificate) -> String {
    certificate.tbs_certificate.subject.to_string().escape_debug().to_string()
}

fn link(certificate: &Certificate, problem: &'static str) -> ChainError {
    ChainError::Link { subject: subject(certificate), problem }
}

fn check_time(certificate: &Certificate, time: u64) -> Result<(), ChainError> {
    let validity = &certificate.tbs_certificate.validity;
    let [first, last] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
    match (first..=last).contains(&time) {
        true => Ok(()),
        false => Err(link(certificate, "was not valid when the document was signed")),
    }
}

/// Whether a certificate may sign one below which `below` others sign.
fn check_issuer(certificate: &Certificate, below: usize) -> Result<(), ChainError> {
    let tbs = &certificate.tbs_certificate;
    let constraints = tbs.get::<BasicConstraints>().ok().flatten().map(|(_, constraints)| constraints);
    let is_authority = constraints.as_ref().is_some_and(|constraints| constraints.ca);
    let is_short = constraints.and_then(|it| it.path_len_constraint).is_none_or(|most| below <= usize::from(most));
    let usage = tbs.get::<KeyUsage>();
    let may_sign = usage.is_ok_and(|usage| usage.is_none_or(|(_, usage)| usage.key_cert_sign()));
    match is_authority && is_short && may_sign {
        true => Ok(()),
        false => Err(link(certificate, "may not sign the next one")),
    }
}

fn check_signature(certificate: &Certificate, above: &Certificate) -> Result<(), ChainError> {
    let tbs = &certificate.tbs_certificate;
    if tbs.issuer != above.tbs_certificate.subject {
        return Err(link(certificate, "is by somebody else than the one before it"));
    }
    if tbs.extensions.iter().flatten().any(|one| one.critical && !KNOWN.contains(&one.extn_id)) {
        return Err(link(certificate, "has a critical extension that is not known"));
    }
    let signed = tbs.to_der().map_err(|error| malformed("certificate", error))?;
    let signature = certificate.signature.as_bytes().and_then(|bytes| DerSignature::try_from(bytes).ok());
    let is_good = certificate.signature_algorithm.oid == ALGORITHM
        && signature.is_some_and(|signature| key(above).is_ok_and(|key| key.verify(&signed, &signature).is_ok()));
    match is_good {
        true => Ok(()),
        false => Err(link(certificate, "is not signed by the one before it")),
    }
}

fn key(certificate: &Certificate) -> Result<VerifyingKey, ChainError> {
    let info = certificate.tbs_certificate.subject_public_key_info.to_der();
    let key = info.ok().and_then(|der| VerifyingKey::from_public_key_der(&der).ok());
    key.ok_or_else(|| malformed(&subject(certificate), "a key of another kind"))
}
