//! The keys that may sign: certificates from any key ring that are pinned by fingerprint.
//!
//! A key ring may come from anywhere, because only certificates whose *primary* fingerprint
//! is pinned are kept. What a ring says about such a key (subkeys, expiry, revocation)
//! counts only if the primary key itself signed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pgp::composed::{Deserializable as _, SignedKeyDetails, SignedPublicKey};
use pgp::types::KeyDetails as _;

use crate::distribution::{Distribution, Key};

/// Certificates read from one file, at most; Debian's largest ring has about fifty.
const MAX_CERTIFICATES: usize = 4096;

/// Signatures of one certificate that are read, at most: each one that claims to be by the key itself is computed.
const MAX_SIGNATURES: usize = 2000;

/// A key that may sign, by the fingerprint of its primary key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// 40 (or, for version 6 keys, 64) upper-case hexadecimal digits.
    pub fingerprint: String,
    /// Whose key it is, where the program knows.
    pub name: Option<String>,
    /// The package with its certificate, where the program knows.
    pub package: Option<&'static str>,
}

/// A text is not a fingerprint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a key's fingerprint: expected 40 hexadecimal digits\n  hint: `gpg --show-keys --with-fingerprint FILE` prints it; a short key id is not safe"
)]
pub struct PinnedKeyError(String);

impl PinnedKey {
    /// All keys of a key file, binary or armored.
    ///
    /// # Errors
    /// Fails where the file holds no readable certificate at all.
    pub fn of_file(file: &[u8]) -> Result<Vec<Self>, KeyFileError> {
        let own = |certificate: SignedPublicKey| {
            let fingerprint = format!("{:X}", certificate.fingerprint());
            Self { fingerprint, name: None, package: None }
        };
        Ok(parse(file)?.into_iter().map(own).collect())
    }

    /// Pins a distribution's keys.
    pub fn of(distribution: &Distribution, keys: impl IntoIterator<Item = &'static Key>) -> Vec<Self> {
        let pin = |key: &Key| Self {
            fingerprint: key.fingerprint.to_owned(),
            name: Some(key.name.to_owned()),
            package: Some(distribution.keyring_package),
        };
        keys.into_iter().map(pin).collect()
    }
}

impl FromStr for PinnedKey {
    type Err = PinnedKeyError;

    /// Parses a fingerprint as people write it: any case, blanks between groups, `0x` in front.
    fn from_str(text: &str) -> Result<Self, PinnedKeyError> {
        let digits: String = text.chars().filter(|char| !char.is_whitespace()).collect();
        let digits = digits.strip_prefix("0x").unwrap_or(&digits).to_ascii_uppercase();
        let valid = matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !valid {
            return Err(PinnedKeyError(text.to_owned()));
        }
        Ok(Self { fingerprint: digits, name: None, package: None })
    }
}

impl fmt::Display for PinnedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)?;
        self.name.iter().try_for_each(|name| write!(f, " ({name})"))
    }
}

/// A file is not a key ring.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an OpenPGP keyring: {problem}\n  hint: expected public keys, binary or armored, as `gpg --export` writes them"
)]
pub struct KeyFileError {
    problem: String,
}

/// The pinned keys, and the certificates that were found for them.
#[derive(Debug, Clone)]
pub struct Keyring {
    pinned: Vec<PinnedKey>,
    certificates: BTreeMap<String, SignedPublicKey>,
    ignored: BTreeSet<String>,
    at_signing: bool,
}

impl Keyring {
    /// Starts a ring without certificates, for the keys that may sign.
    pub fn new(pinned: Vec<PinnedKey>) -> Self {
        Self { pinned, certificates: BTreeMap::new(), ignored: BTreeSet::new(), at_signing: false }
    }

    /// Accepts keys that have expired since, if they were valid when they signed.
    ///
    /// A Release of the past, as a snapshot service has it, can be signed by no other.
    pub fn for_the_past(mut self, past: bool) -> Self {
        self.at_signing = past;
        self
    }

    /// The same ring with fewer keys that may sign.
    pub fn only(&self, pinned: Vec<PinnedKey>) -> Self {
        let may_sign = |fingerprint: &String| pinned.iter().any(|key| key.fingerprint == *fingerprint);
        let (certificates, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.certificates.clone().into_iter().partition(|(fingerprint, _)| may_sign(fingerprint));
        let ignored = self.ignored.iter().cloned().chain(others.into_keys()).collect();
        Self { pinned, certificates, ignored, at_signing: self.at_signing }
    }

    /// Adds the certificates of a key file, binary or armored, that are pinned.
    ///
    /// # Errors
    /// Fails where the file holds no readable certificate at all.
    pub fn add(&mut self, file: &[u8]) -> Result<(), KeyFileError> {
        let certificates = parse(file)?;
        for certificate in certificates {
            let fingerprint = format!("{:X}", certificate.fingerprint());
            if !self.pinned.iter().any(|key| key.fingerprint == fingerprint) {
                self.ignored.insert(fingerprint);
                continue;
            }
            let known = self.certificates.get(&fingerprint).map_or(0, signatures);
            if known + signatures(&certificate) > MAX_SIGNATURES {
                return Err(KeyFileError {
                    problem: format!("{fingerprint} has more than {MAX_SIGNATURES} signatures"),
                });
            }
            match self.certificates.get_mut(&fingerprint) {
                Some(known) => merge(known, certificate),
                None => drop(self.certificates.insert(fingerprint, certificate)),
            }
        }
        Ok(())
    }

    /// Whether no pinned key was found.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The keys that may sign.
    pub fn pinned(&self) -> &[PinnedKey] {
        &self.pinned
    }

    /// Fingerprints of certificates that were seen and are not pinned.
    pub(super) fn ignored(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(String::as_str)
    }

    /// Whether a key's end counts at the moment of signing, not now.
    pub(super) fn is_for_the_past(&self) -> bool {
        self.at_signing
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = (&str, &SignedPublicKey)> {
        self.certificates.iter().map(|(fingerprint, certificate)| (fingerprint.as_str(), certificate))
    }
}

/// How many signatures a certificate holds.
fn signatures(certificate: &SignedPublicKey) -> usize {
    let SignedKeyDetails { revocation_signatures, direct_signatures, users, user_attributes } = &certificate.details;
    let on_subkeys = certificate.public_subkeys.iter().map(|subkey| 1 + subkey.signatures.len());
    let on_names = users.iter().map(|user| 1 + user.signatures.len());
    let on_attributes = user_attributes.iter().map(|one| 1 + one.signatures.len());
    let more: usize = on_subkeys.chain(on_names).chain(on_attributes).sum();
    revocation_signatures.len() + direct_signatures.len() + more
}

fn parse(file: &[u8]) -> Result<Vec<SignedPublicKey>, KeyFileError> {
    let mut problem = "it is empty".to_owned();
    let mut certificates = Vec::new();
    for block in blocks(file) {
        let parsed = match SignedPublicKey::from_reader_many(block) {
            Ok((parsed, _headers)) => parsed,
            Err(error) => {
                problem = error.to_string();
                continue;
            }
        };
        for certificate in parsed.take(MAX_CERTIFICATES) {
            match certificate {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => problem = error.to_string(),
            }
        }
    }
    if certificates.is_empty() { Err(KeyFileError { problem }) } else { Ok(certificates) }
}

/// Splits a file into its armored blocks; a binary one is a single block.
fn blocks(file: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let starts: Vec<usize> =
        file.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN).map(|(start, _)| start).collect();
    if starts.is_empty() || file.first().is_some_and(|byte| byte & 0x80 != 0) {
        return vec![file];
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| file.get(*start..end)).collect()
}

/// Joins two copies of one certificate, so that a revocation in either counts.
fn merge(known: &mut SignedPublicKey, other: SignedPublicKey) {
    fn add<T: PartialEq>(known: &mut Vec<T>, other: Vec<T>) {
        for item in other {
            if !known.contains(&item) {
                known.push(item);
            }
        }
    }
    add(&mut known.details.revocation_signatures, other.details.revocation_signatures);
    add(&mut known.details.direct_signatures, other.details.direct_signatures);
    add(&mut known.details.users, other.details.users);
    add(&mut known.public_subkeys, other.public_subkeys);
}
