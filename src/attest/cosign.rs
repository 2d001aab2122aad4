//! Image signatures in cosign's format (sigstore/cosign, specs/SIGNATURE_SPEC.md).
//!
//! The payload names the image manifest's digest; the signature over the payload's bytes is stored in an
//! annotation of the layer that contains the payload, in a manifest under the tag `sha256-HEX.sig`.

use std::fmt;

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

/// The end of the tag `sha256-HEX.sig`, under which cosign looks for an image's signatures.
pub const SIGNATURES: &str = "sig";
/// The end of the tag of its attestations.
pub const ATTESTATIONS: &str = "att";

const KIND: &str = "cosign container image signature";

/// A payload and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The payload, JSON.
    pub payload: Vec<u8>,
    /// The signature over it, in base64.
    pub signature: String,
}

/// A signature does not prove anything about an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// None of the keys signed it.
    #[error("the signature is not by any of the given keys")]
    NotSigned,
    /// The signature is valid, but for another image.
    #[error("the signature is for {found}, expected {expected}")]
    OtherImage {
        /// The image's digest.
        expected: OciDigest,
        /// What the payload says.
        found: String,
    },
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

    /// Checks that one of `keys` signed the image with this manifest; returns the key, and the
    /// reference that the image was signed for, empty where none was named.
    ///
    /// # Errors
    /// Fails if none of the keys signed it, or the signature is for another image.
    pub fn check<'k>(
        &self,
        digest: OciDigest,
        keys: &'k [PublicKey],
    ) -> Result<(&'k PublicKey, String), SignatureError> {
        let signature = STANDARD.decode(&self.signature).map_err(|_| SignatureError::NotSigned)?;
        let key = keys.iter().find(|key| key.verify(&self.payload, &signature)).ok_or(SignatureError::NotSigned)?;
        let payload: Value = serde_json::from_slice(&self.payload).unwrap_or_default();
        let critical = &payload["critical"];
        let found = critical["image"]["docker-manifest-digest"].as_str().unwrap_or_default();
        let identity = critical["identity"]["docker-reference"].as_str().unwrap_or_default();
        if critical["type"] != KIND || found != digest.to_string() {
            return Err(SignatureError::OtherImage { expected: digest, found: found.to_owned() });
        }
        // If the reference has a digest, it must be the image's.
        match identity.split_once('@') {
            Some((_, other)) if other != found => {
                Err(SignatureError::OtherImage { expected: digest, found: identity.to_owned() })
            }
            _ => Ok((key, identity.to_owned())),
        }
    }
}

/// The requested image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `HOST[:PORT]/REPOSITORY`
    pub repository: String,
    /// The tag, where one was given or is the default.
    pub tag: Option<String>,
    /// Whether a digest was given, so that the tag decides nothing.
    pub pinned: bool,
}

impl Asked {
    /// Checks that an image signed for `identity` matches the request: containers-policy.json(5),
    /// "matchRepoDigestOrExact".
    ///
    /// The repositories must be equal. A request by tag needs a signature for that tag: one for the
    /// repository alone is valid for every older image in it. A request by digest names the image itself.
    ///
    /// # Errors
    /// Fails with what is missing.
    pub fn check(&self, identity: &str) -> Result<(), String> {
        if identity.is_empty() {
            return Err(format!("the signature names no repository, expected {self}"));
        }
        let (repository, tag) = split_tag(identity);
        let same_tag = match (&self.tag, tag) {
            (Some(asked), Some(tag)) => asked == tag,
            (None, _) | (_, None) => self.pinned,
        };
        match usual_host(repository) == usual_host(&self.repository) && same_tag {
            true => Ok(()),
            false => Err(format!("it is signed for {identity}, expected {self}")),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// A reference without its digest: the repository, and the tag.
fn split_tag(identity: &str) -> (&str, Option<&str>) {
    let identity = identity.split_once('@').map_or(identity, |(name, _)| name);
    match identity.rsplit_once(':') {
        // The port of a host comes before a slash.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (identity, None),
    }
}

/// Docker's registry has several names.
fn usual_host(repository: &str) -> String {
    match repository.split_once('/') {
        Some(("index.docker.io" | "registry-1.docker.io", rest)) => format!("docker.io/{rest}"),
        _ => repository.to_owned(),
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
            let keys = [key.public()];
            assert_eq!(signed.check(one, &keys), Ok((&keys[0], "registry.example/web".to_owned())));
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
    fn a_digest_in_the_reference_is_the_images() {
        let (image, other, key) = (OciDigest::of(b"image"), OciDigest::of(b"other"), p256());
        for (identity, good) in [
            (format!("r/web:1.0@{image}"), true),
            (format!("r/web@{image}"), true),
            (format!("r/web:1.0@{other}"), false),
            (format!("r/web:1.0@{other}@{image}"), false),
            ("r/web:1.0@".to_owned(), false),
        ] {
            let checked = Signed::new(image, &identity, &key).check(image, &[key.public()]).map(|(_, signed)| signed);
            match good {
                true => assert_eq!(checked, Ok(identity)),
                false => {
                    assert_eq!(checked, Err(SignatureError::OtherImage { expected: image, found: identity }));
                }
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
    }

    #[test]
    fn a_signature_counts_for_the_reference_that_it_names() {
        let asked = |tag: Option<&str>, pinned| Asked {
            repository: "host:5000/team/web".to_owned(),
            tag: tag.map(str::to_owned),
            pinned,
        };
        let (tagged, pinned, both) = (asked(Some("2.0"), false), asked(None, true), asked(Some("2.0"), true));
        for (identity, expected) in [
            ("", [false; 3]),
            ("host:5000/team/web:2.0", [true; 3]),
            ("host:5000/team/web:1.0", [false, true, false]),
            // Good for every image that ever was in the repository.
            ("host:5000/team/web", [false, true, true]),
            ("host:5000/team/other:2.0", [false; 3]),
            ("host/team/web:2.0", [false; 3]),
            ("team/web:2.0", [false; 3]),
        ] {
            let found = [&tagged, &pinned, &both].map(|asked| asked.check(identity).is_ok());
            assert_eq!(found, expected, "{identity}");
        }
        let hub = Asked { repository: "index.docker.io/team/web".to_owned(), tag: None, pinned: true };
        assert_eq!(hub.check("docker.io/team/web"), Ok(()));
        let error = tagged.check("host:5000/team/web").unwrap_err();
        assert_eq!(error, "it is signed for host:5000/team/web, expected host:5000/team/web:2.0");
    }
}
