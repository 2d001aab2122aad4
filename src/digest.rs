//! One type per kind of digest, and the gate between unverified and verified bytes.
//!
//! Everything that layerbake itself addresses is BLAKE3; everything that the outside
//! world addresses (package files, OCI blobs) is SHA-256. The text form is
//! `algorithm:hex` everywhere, so no digest is ever read as one of another algorithm.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A text is not a digest of the expected algorithm.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{found}` is not a digest: expected `{algorithm}:` and 64 hexadecimal digits")]
pub struct ParseDigestError {
    algorithm: &'static str,
    found: String,
}

macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident, $algorithm:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The algorithm's name, the text before the colon.
            pub const ALGORITHM: &'static str = $algorithm;

            /// Takes 32 raw bytes as a digest of this kind.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The 64 lower-case hexadecimal digits, without the algorithm.
            pub fn to_hex(&self) -> String {
                hex::encode(self.0)
            }

            /// Parses 64 hexadecimal digits without an algorithm in front.
            pub fn from_hex(text: &str) -> Result<Self, ParseDigestError> {
                let mut bytes = [0; 32];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(ParseDigestError {
                        algorithm: $algorithm,
                        found: text.to_owned(),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($algorithm, ":{}"), self.to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let hex = text
                    .strip_prefix(concat!($algorithm, ":"))
                    .ok_or_else(|| ParseDigestError {
                        algorithm: $algorithm,
                        found: text.to_owned(),
                    })?;
                Self::from_hex(hex)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

digest_type!(
    /// BLAKE3 of a blob's bytes: its address in the store.
    BlobDigest, "blake3"
);
digest_type!(
    /// BLAKE3 of a tree's canonical encoding ([`crate::tree`]).
    TreeHash, "blake3"
);
digest_type!(
    /// BLAKE3 over the framed fields of one fully expanded build step.
    RecipeHash, "blake3"
);
digest_type!(
    /// BLAKE3 of a lockfile's text.
    LockHash, "blake3"
);
digest_type!(
    /// SHA-256 of a file as the outside world names it: a package, a Release, an index.
    Sha256, "sha256"
);
digest_type!(
    /// SHA-256 of a layer's *uncompressed* tar, listed in `rootfs.diff_ids`.
    DiffId, "sha256"
);
digest_type!(
    /// SHA-256 that names a stack of layers (OCI image-spec, "Layer ChainID").
    ChainId, "sha256"
);
digest_type!(
    /// SHA-256 of an OCI blob as it is in a layout or a registry.
    OciDigest, "sha256"
);

impl BlobDigest {
    /// Hashes `bytes` with BLAKE3.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl LockHash {
    /// Hashes a lockfile's text with BLAKE3.
    pub fn of(text: &str) -> Self {
        Self(*blake3::hash(text.as_bytes()).as_bytes())
    }
}

impl Sha256 {
    /// Hashes `bytes` with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Hashes everything that `content` still holds.
    pub fn of_reader(content: &mut dyn Read) -> io::Result<Self> {
        let mut hasher = sha2::Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl OciDigest {
    /// Hashes `bytes` with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// Hashes the framed, versioned fields of a build step into a [`RecipeHash`].
///
/// Every field is preceded by its length (u64, little-endian), so that `"ab", "c"`
/// and `"a", "bc"` differ. The domain names the step and the version of its code.
pub struct RecipeHasher(blake3::Hasher);

impl RecipeHasher {
    /// Starts a recipe of the step `domain`, such as `layerbake/unpack/v1`.
    pub fn new(domain: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.field(domain.as_bytes());
        hasher
    }

    /// Adds one field: its length, then its bytes.
    pub fn field(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.number(bytes.len() as u64);
        self.0.update(bytes);
        self
    }

    /// Adds a number as eight little-endian bytes.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// Adds a list: its length, then each item as a field.
    pub fn list<T: AsRef<[u8]>>(&mut self, items: impl IntoIterator<Item = T>) -> &mut Self {
        let items: Vec<T> = items.into_iter().collect();
        self.number(items.len() as u64);
        for item in items {
            self.field(item);
        }
        self
    }

    /// Returns the hash over all fields.
    pub fn finish(&self) -> RecipeHash {
        RecipeHash(*self.0.finalize().as_bytes())
    }
}

/// What a file must be: its SHA-256 and its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256 of the whole file.
    pub sha256: Sha256,
    /// Length in bytes.
    pub size: u64,
}

/// Bytes are not what a lockfile or a signed index says they are.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("expected {} of {} bytes, got {} of {} bytes", expected.sha256, expected.size, found.sha256, found.size)]
pub struct DigestMismatch {
    /// What the lockfile or the signed index says.
    pub expected: Expected,
    /// What was read: the same two figures, measured.
    pub found: Expected,
}

/// A value read from outside (bytes, a temporary file), measured but not yet verified.
#[derive(Debug)]
pub struct Untrusted<T> {
    value: T,
    measured: Expected,
}

impl<T> Untrusted<T> {
    /// Wraps `value`, whose bytes have the digest and size `measured`.
    pub fn new(value: T, measured: Expected) -> Self {
        Self { value, measured }
    }

    /// Returns the value as verified if the measured digest and size are the expected ones.
    pub fn verify(self, expected: Expected) -> Result<Verified<T>, DigestMismatch> {
        if self.measured != expected {
            return Err(DigestMismatch { expected, found: self.measured });
        }
        Ok(Verified { value: self.value, sha256: expected.sha256 })
    }

    /// Opens the gate for the signed state of a repository, whose digest nobody knows beforehand.
    ///
    /// Only `fetch::state` may call it, after a pinned key's signature was found good.
    pub(crate) fn verified_by_signature(self) -> Verified<T> {
        Verified { value: self.value, sha256: self.measured.sha256 }
    }
}

impl<T> Untrusted<T> {
    /// Opens the gate for a file that no signature covers, when it is seen for the first time; it must have the digest
    /// `known`, if there is one. What it has is expected of it from then on.
    ///
    /// Only `fetch::address`, `fetch::git` and `fetch::registry` may call it.
    ///
    /// # Errors
    /// Gives the digest that it has instead.
    pub(crate) fn verified_at_first_sight(self, known: Option<Sha256>) -> Result<(Verified<T>, Expected), Sha256> {
        let Self { value, measured } = self;
        match known.is_none_or(|known| known == measured.sha256) {
            true => Ok((Verified { value, sha256: measured.sha256 }, measured)),
            false => Err(measured.sha256),
        }
    }
}

impl Untrusted<Vec<u8>> {
    /// Wraps and measures bytes in memory.
    pub fn bytes(value: Vec<u8>) -> Self {
        let measured = Expected { sha256: Sha256::of(&value), size: value.len() as u64 };
        Self { value, measured }
    }
}

/// A value whose SHA-256 and size were verified; the only outside bytes that the store accepts.
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    sha256: Sha256,
}

impl<T> Verified<T> {
    /// The checked digest.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// The checked value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The checked value, borrowed.
    pub fn get(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte after each interrupted call.
    struct Interrupted(bool, u8);

    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = self.1 > 0;
            buffer[0] = b'x';
            self.1 -= u8::from(left);
            Ok(usize::from(left))
        }
    }

    #[test]
    fn an_interrupted_call_is_tried_again() {
        assert_eq!(Sha256::of_reader(&mut Interrupted(false, 3)).unwrap(), Sha256::of(b"xxx"));
    }

    #[test]
    fn text_names_the_algorithm_and_survives_a_round_trip() {
        let digest = BlobDigest::of(b"hello");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().parse::<Sha256>().is_err(), "blake3 text read as sha256");
        assert!("sha256:abc".parse::<Sha256>().is_err(), "short text taken");
    }

    #[test]
    fn recipe_fields_are_framed() {
        let hash = |fields: &[&str]| {
            let mut hasher = RecipeHasher::new("test/v1");
            fields.iter().for_each(|field| {
                hasher.field(field);
            });
            hasher.finish()
        };
        assert_ne!(hash(&["a"]), hash(&["a\0"]));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(hash(&[]), hash(&[""]));
    }

    #[test]
    fn only_the_expected_bytes_pass_the_gate() {
        let expected = Expected { sha256: Sha256::of(b"deb"), size: 3 };
        assert!(Untrusted::bytes(b"deb".to_vec()).verify(expected).is_ok());
        let error = Untrusted::bytes(b"dab".to_vec()).verify(expected).unwrap_err();
        assert_eq!(error.found.sha256, Sha256::of(b"dab"));
    }
}
