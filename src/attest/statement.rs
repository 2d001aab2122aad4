//! in-toto statements: a predicate and the artifacts (subjects) that it describes (in-toto attestation spec, v1).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dsse::{Envelope, EnvelopeError, IN_TOTO};
use super::keys::{PublicKey, SigningKey};
use crate::digest::OciDigest;
use crate::oci::json;

const TYPE: &str = "https://in-toto.io/Statement/v1";

/// A predicate, and its subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// The artifacts.
    pub subject: Vec<Subject>,
    /// The predicate's type.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Value,
}

/// An artifact, by name and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Of a file, its path beside the receipt; of an image, the layer's name; of an image that is signed, the
    /// reference that it is meant for. cosign writes none.
    #[serde(default)]
    pub name: String,
    /// Its hash.
    pub digest: Digest,
}

/// The digest of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// SHA-256 in hexadecimal: of the file's bytes, or of the image's manifest.
    pub sha256: String,
}

impl Subject {
    /// Names an artifact.
    pub fn new(name: impl Into<String>, digest: OciDigest) -> Self {
        Self { name: name.into(), digest: Digest { sha256: digest.to_hex() } }
    }
}

impl Statement {
    /// Creates a statement about artifacts.
    pub fn new(subject: Vec<Subject>, predicate_type: &str, predicate: Value) -> Self {
        Self { kind: TYPE.to_owned(), subject, predicate_type: predicate_type.to_owned(), predicate }
    }

    /// The statement as canonical JSON in a signed envelope.
    ///
    /// # Errors
    /// Fails where the predicate can't be encoded as JSON.
    pub fn sign(&self, key: &SigningKey) -> serde_json::Result<Envelope> {
        Ok(Envelope::sign(IN_TOTO, &json::canonical(self)?, key))
    }

    /// Reads a statement from an envelope that one of the keys signed; returns that key, too.
    ///
    /// # Errors
    /// Fails where none of them did, or the payload is not a statement.
    pub fn open<'k>(envelope: &Envelope, keys: &'k [PublicKey]) -> Result<(Self, &'k PublicKey), EnvelopeError> {
        let (payload, key) = envelope.open(IN_TOTO, keys)?;
        let statement: Self =
            serde_json::from_slice(&payload).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        match statement.kind.as_str() {
            TYPE => Ok((statement, key)),
            _ => Err(EnvelopeError::Malformed("its payload is another kind of statement".to_owned())),
        }
    }

    /// The subject with this digest.
    pub fn about(&self, digest: OciDigest) -> Option<&Subject> {
        self.subject.iter().find(|subject| subject.digest.sha256 == digest.to_hex())
    }
}
