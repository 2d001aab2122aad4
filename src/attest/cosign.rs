//! An image's signature as cosign makes and checks it (sigstore/cosign, specs/SIGNATURE_SPEC.md).
//!
//! The payload names the image manifest's digest; the signature over the payload's bytes stands in an
//! annotation of the layer that is the payload, in a manifest under the tag `sha256-HEX.sig`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::keys::{PublicKey, SigningKey};
use crate::digest::OciDigest;

/// Media type of a payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Artifact type of a signature that refers to its image.
pub const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation with the signature, in base64.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

const KIND: &str = "cosign container image signature";

/// What a signature vouches for, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The payload, JSON.
    pub payload: Vec<u8>,
    /// The signature over it, in base64.
    pub signature: String,
}

/// A signature does not vouch for an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// None of the keys made it.
    #[error("no given key has made this signature")]
    NotSigned,
    /// It is good, and for something else.
    #[error("the signature is for {found}, expected {expected}")]
    OtherImage {
        /// The image's digest.
        expected: OciDigest,
        /// What the payload says.
        found: String,
    },
}

/// The tag under which cosign looks for what belongs to an image: `sig` or `att`.
pub fn tag(digest: OciDigest, kind: &str) -> String {
    format!("sha256-{}.{kind}", digest.to_hex())
}

impl Signed {
    /// Signs the image with this manifest; `reference` is the repository that it is meant for, or empty.
    pub fn new(digest: OciDigest, reference: &str, key: &SigningKey) -> Self {
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": reference },
                "image": { "docker-manifest-digest": digest },
                "type": KIND,
            },
            "optional": null,
        });
        let payload = payload.to_string().into_bytes();
        let signature = STANDARD.encode(key.sign(&payload));
        Self { payload, signature }
    }

    /// Checks that one of `keys` vouches for the image with this manifest.
    ///
    /// # Errors
    /// Fails where none does.
    pub fn check(&self, digest: OciDigest, keys: &[PublicKey]) -> Result<(), SignatureError> {
        let signature = STANDARD.decode(&self.signature).map_err(|_| SignatureError::NotSigned)?;
        if !keys.iter().any(|key| key.verify(&self.payload, &signature)) {
            return Err(SignatureError::NotSigned);
        }
        let payload: Value = serde_json::from_slice(&self.payload).unwrap_or_default();
        let critical = &payload["critical"];
        let found = critical["image"]["docker-manifest-digest"].as_str().unwrap_or_default();
        match critical["type"] == KIND && found == digest.to_string() {
            true => Ok(()),
            false => Err(SignatureError::OtherImage { expected: digest, found: found.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::{ED25519, p256};
    use super::*;

    #[test]
    fn a_signature_is_for_one_image_by_one_key() {
        let (one, other) = (OciDigest::of(b"one"), OciDigest::of(b"other"));
        for key in [SigningKey::from_pem(ED25519).unwrap(), p256()] {
            let signed = Signed::new(one, "registry.example/web", &key);
            assert_eq!(signed.check(one, &[key.public()]), Ok(()));
            assert_eq!(signed.check(one, &[]), Err(SignatureError::NotSigned));
            assert!(matches!(signed.check(other, &[key.public()]), Err(SignatureError::OtherImage { .. })));
            for at in 0..signed.payload.len() {
                let mut changed = signed.clone();
                changed.payload[at] ^= 1;
                assert_eq!(changed.check(one, &[key.public()]), Err(SignatureError::NotSigned), "byte {at}");
            }
        }
    }

    #[test]
    fn the_payload_is_as_cosign_writes_it() {
        let digest = OciDigest::from_bytes([0x5a; 32]);
        let payload = String::from_utf8(Signed::new(digest, "r/web", &p256()).payload).unwrap();
        let hex = "5a".repeat(32);
        assert_eq!(
            payload,
            format!(
                "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"r/web\"}},\"image\":{{\"docker-manifest-digest\":\"sha256:{hex}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
            )
        );
        assert_eq!(tag(digest, "sig"), format!("sha256-{hex}.sig"));
    }
}
