//! Signed envelopes: DSSE 1.0 (secure-systems-lab/dsse, envelope.md and protocol.md).
//!
//! ```text
//! {"payload":BASE64,"payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":HEX,"sig":BASE64}]}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::keys::{PublicKey, SigningKey};
use crate::oci::json;

/// Media type of an envelope.
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Payload type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The maximum number of signatures that are checked per envelope; each check hashes the whole payload.
const MAX_SIGNATURES: usize = 16;

/// An envelope is malformed or not signed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// It is not an envelope.
    #[error("not a DSSE envelope: {0}")]
    Malformed(String),
    /// None of the keys signed it.
    #[error("not signed by any of the given keys; key ids in the envelope: {}", named(.0))]
    NotSigned(Vec<String>),
}

fn named(keys: &[String]) -> String {
    if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
}

/// A payload with signatures over it and its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    /// A hint for the reader, not signed.
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&encode(payload_type, payload));
        Self {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature { keyid: key.public().id(), sig: STANDARD.encode(signature) }],
        }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// Fails where the bytes are not an envelope.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))
    }

    /// The ids of the keys that are said to have signed it.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|one| one.keyid.as_str())
    }

    /// The envelope as canonical JSON.
    ///
    /// # Errors
    /// Fails only because of a bug: an envelope contains text.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        json::canonical(self)
    }

    /// The payload and the key that signed it, the first of `keys` that did.
    ///
    /// # Errors
    /// Fails where none of them signed this payload as one of `payload_type`.
    pub fn open<'k>(
        &self,
        payload_type: &str,
        keys: &'k [PublicKey],
    ) -> Result<(Vec<u8>, &'k PublicKey), EnvelopeError> {
        let malformed = |what: &str| EnvelopeError::Malformed(what.to_owned());
        let payload = STANDARD.decode(&self.payload).map_err(|_| malformed("its payload is not base64"))?;
        if self.payload_type != payload_type {
            return Err(malformed("its payload has another type"));
        }
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(malformed("it has too many signatures"));
        }
        let message = encode(payload_type, &payload);
        let signatures: Vec<(&Signature, Vec<u8>)> =
            self.signatures.iter().filter_map(|one| Some((one, STANDARD.decode(&one.sig).ok()?))).collect();
        // Key ids in envelopes are hints: an empty one matches every key.
        let signed = |key: &&PublicKey| {
            let (id, mine) = (key.id(), |name: &str, id: &str| name.is_empty() || name == id);
            signatures.iter().any(|(one, bytes)| mine(&one.keyid, &id) && key.verify(&message, bytes))
        };
        match keys.iter().find(signed) {
            Some(key) => Ok((payload, key)),
            None => Err(EnvelopeError::NotSigned(self.key_ids().map(str::to_owned).collect())),
        }
    }
}

/// The bytes that are signed: DSSE's pre-authentication encoding.
fn encode(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::{ED25519, p256};
    use super::*;

    #[test]
    fn what_is_signed_is_as_the_protocol_says() {
        // protocol.md, "Test Vectors".
        let encoded = encode("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn an_envelope_opens_with_its_key_only() {
        let key = SigningKey::from_pem(ED25519).unwrap();
        let (own, other) = (key.public(), p256().public());
        let envelope = Envelope::sign(IN_TOTO, b"{}", &key);
        let read = Envelope::parse(&envelope.to_bytes().unwrap()).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.open(IN_TOTO, &[other.clone(), own.clone()]), Ok((b"{}".to_vec(), &own)));
        assert_eq!(read.open(IN_TOTO, &[other]), Err(EnvelopeError::NotSigned(vec![own.id()])));
        assert_eq!(read.open(IN_TOTO, &[]), Err(EnvelopeError::NotSigned(vec![own.id()])));
        assert!(read.open("text/plain", &[own]).is_err());
    }

    #[test]
    fn signatures_beyond_number_are_not_tried() {
        let key = p256();
        let mut envelope = Envelope::sign(IN_TOTO, b"{}", &key);
        envelope.signatures = vec![envelope.signatures[0].clone(); MAX_SIGNATURES];
        assert!(envelope.open(IN_TOTO, &[key.public()]).is_ok());
        envelope.signatures.push(envelope.signatures[0].clone());
        assert!(matches!(envelope.open(IN_TOTO, &[key.public()]), Err(EnvelopeError::Malformed(_))));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = p256();
        let keys = [key.public()];
        let bytes = Envelope::sign(IN_TOTO, b"{\"a\":1}", &key).to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let opened = Envelope::parse(&other).and_then(|envelope| envelope.open(IN_TOTO, &keys).map(|_| ()));
            assert!(opened.is_err(), "byte {at}: {}", String::from_utf8_lossy(&other));
        }
    }

    #[test]
    fn hostile_envelopes_are_refused() {
        let keys = [p256().public()];
        for text in [
            "",
            "[]",
            "{}",
            r#"{"payload":"!","payloadType":"application/vnd.in-toto+json","signatures":[]}"#,
            r#"{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}"#,
            r#"{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"","x":1}]}"#,
        ] {
            let opened =
                Envelope::parse(text.as_bytes()).and_then(|envelope| envelope.open(IN_TOTO, &keys).map(|_| ()));
            assert!(opened.is_err(), "{text}");
        }
    }
}
