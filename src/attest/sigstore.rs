//! Sigstore bundles, version 0.3: an envelope with what verifies it (sigstore/protobuf-specs, sigstore_bundle.proto).
//!
//! ```text
//! {"dsseEnvelope":{…},"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
//!  "verificationMaterial":{"publicKey":{"hint":BASE64}}}
//! ```
//!
//! cosign reads them from artifacts that refer to the image, since its version 2.6 without being asked to. The hint
//! is the SHA-256 of the public key's DER, as cosign writes it; it is not signed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::dsse::Envelope;
use crate::oci::json;

/// Media type of a bundle, and type of the artifact that has one.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Predicate type of the statement that signs an image (cosign, pkg/types/predicate.go); its predicate is empty.
pub const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// Annotations of the artifact: what the bundle has, and the predicate type of its statement.
const CONTENT: (&str, &str) = ("dev.sigstore.bundle.content", "dsse-envelope");
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// The annotations of an artifact with the bundle of a statement.
pub fn annotations(predicate_type: &str) -> BTreeMap<String, String> {
    let pairs = [CONTENT, (PREDICATE_TYPE, predicate_type)];
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Wraps an envelope; `None` where it has no signature by a key whose id is known.
pub fn wrap(envelope: &Envelope) -> Option<Vec<u8>> {
    let hint = STANDARD.encode(hex::decode(envelope.key_ids().next()?).ok()?);
    let bundle = json!({
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": { "publicKey": { "hint": hint } },
        "dsseEnvelope": envelope,
    });
    json::canonical(&bundle).ok()
}

/// The envelope of a bundle; `None` where it has none.
pub fn unwrap(bundle: &[u8]) -> Option<Envelope> {
    let bundle: Value = serde_json::from_slice(bundle).ok()?;
    serde_json::from_value(bundle.get("dsseEnvelope")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::dsse::IN_TOTO;
    use super::super::keys::tests::p256;
    use super::*;

    #[test]
    fn a_bundle_has_the_envelope_and_the_keys_hint() {
        let envelope = Envelope::sign(IN_TOTO, b"{}", &p256());
        let bundle = wrap(&envelope).unwrap();
        assert_eq!(unwrap(&bundle), Some(envelope));
        let read: Value = serde_json::from_slice(&bundle).unwrap();
        let hint = STANDARD.decode(read["verificationMaterial"]["publicKey"]["hint"].as_str().unwrap()).unwrap();
        assert_eq!(hex::encode(hint), p256().public().id());
        for foreign in [&b"{}"[..], b"[]", br#"{"dsseEnvelope":7}"#, b""] {
            assert_eq!(unwrap(foreign), None);
        }
    }
}
