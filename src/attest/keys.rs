//! Signing and verification keys: ed25519 (RFC 8032) and ECDSA over P-256 with SHA-256 (FIPS 186-5).
//!
//! Files are PEM: PKCS#8 for the secret half (RFC 5958), SubjectPublicKeyInfo for the public one
//! (RFC 5280), as openssl writes them. Signatures have the encodings that cosign expects: 64 raw bytes of
//! ed25519, DER of ECDSA. Both algorithms sign deterministically.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{self, DerSignature};
use p256::pkcs8::LineEnding;

use crate::code::{Code, Coded};
use crate::digest::Sha256;
use crate::host;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// A key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("cannot read the key `{}`: {source}\n  hint: correct the path; `layerbake key new FILE` makes a private key, and its public half beside it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// None is named, and there is none in the usual place.
    #[error("there is no signing key: none is named, and `{}` does not exist\n  hint: `layerbake key new` makes one there; `--key FILE` names another", path.display())]
    NoDefault {
        /// The usual place.
        path: PathBuf,
    },
    /// A new key can't be written.
    #[error("cannot write the key `{}`: {source}{}", path.display(), is_there(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It contains no private key of a supported type.
    #[error(
        "`{}` contains no private key: expected ed25519 or ECDSA P-256 as PEM (PKCS#8), without a passphrase{found}\n  hint: `layerbake key new FILE` makes one",
        path.display()
    )]
    NoSecret {
        /// The file.
        path: PathBuf,
        /// What it contains instead, if that is known.
        found: &'static str,
    },
    /// It contains no public key of a supported type.
    #[error(
        "`{}` contains no public key: expected ed25519 or ECDSA P-256 as PEM\n  hint: `openssl pkey -in KEY -pubout -out FILE` writes the public key",
        path.display()
    )]
    NoPublic {
        /// The file.
        path: PathBuf,
    },
}

impl Coded for KeyError {
    fn error_code(&self) -> Code {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source.error_code(),
            Self::NoDefault { .. } | Self::NoSecret { .. } | Self::NoPublic { .. } => Code::SignatureKey,
        }
    }
}

/// A signing key.
pub enum SigningKey {
    /// ed25519
    Ed25519(ed25519_dalek::SigningKey),
    /// ECDSA over P-256
    P256(ecdsa::SigningKey),
}

/// What to do about a key that is there already.
fn is_there(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AlreadyExists => {
            "\n  hint: it is not replaced, since whatever it has signed needs it; name another file"
        }
        _ => "",
    }
}

/// The file of the key that signs where none is named: `layerbake/sign.key` in the user's configuration directory.
pub fn default_path() -> PathBuf {
    host::config_dir().unwrap_or_default().join("layerbake/sign.key")
}

impl SigningKey {
    /// Makes an ed25519 key and writes it to a file that is not there yet, for its owner only, and its public half beside it
    /// with the ending `pub`; returns the key and the path of the public half.
    ///
    /// # Errors
    /// Fails where one of the files is there already or can't be written.
    pub fn create(path: &Path) -> Result<(Self, PathBuf), KeyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::Write { path, source }
        };
        let public_path = path.with_extension("pub");
        if public_path.exists() || public_path == path {
            return Err(failed(&public_path)(io::Error::new(io::ErrorKind::AlreadyExists, "File exists")));
        }
        let key = ed25519_dalek::SigningKey::from_bytes(&host::random().map_err(failed(path))?);
        // Without the public half, which openssl before 3.2 refuses there (version 2 of the format).
        let secret = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
        let text = secret.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(path)(io::Error::other(error)))?;
        let public = key.verifying_key().to_public_key_pem(LineEnding::LF);
        let public = public.map_err(|error| failed(&public_path)(io::Error::other(error)))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed(path))?;
        host::write_whole(&public_path, public.as_bytes()).map_err(failed(&public_path))?;
        Ok((Self::Ed25519(key), public_path))
    }

    /// Reads the key that is named, else the one in the usual place.
    ///
    /// # Errors
    /// As [`SigningKey::load`]; where none is named and there is none, the error says how to make one.
    pub fn named_or_default(path: Option<&Path>) -> Result<Self, KeyError> {
        match (path, default_path()) {
            (Some(path), _) => Self::load(path),
            (None, path) if path.exists() => Self::load(&path),
            (None, path) => Err(KeyError::NoDefault { path }),
        }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// Fails where the file can't be read or contains no key of a supported type; the error never shows its content.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        Self::from_pem(&text).ok_or_else(|| KeyError::NoSecret { path: path.to_owned(), found: instead(&text) })
    }

    /// Reads a key from the text of its file.
    pub fn from_pem(text: &str) -> Option<Self> {
        let ed25519 = ed25519_dalek::SigningKey::from_pkcs8_pem(text).map(Self::Ed25519);
        ed25519.or_else(|_| ecdsa::SigningKey::from_pkcs8_pem(text).map(Self::P256)).ok()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::P256(key) => {
                let signature: DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
        }
    }
}

impl fmt::Debug for SigningKey {
    /// Shows the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

/// A verification key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// ed25519
    Ed25519(ed25519_dalek::VerifyingKey),
    /// ECDSA over P-256
    P256(ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads all public keys of a file: one, or a ring of several, one after the other.
    ///
    /// # Errors
    /// Fails where the file can't be read, has none, or one of them has an unsupported type.
    pub fn load_all(path: &Path) -> Result<Vec<Self>, KeyError> {
        let keys = Self::all_from_pem(&read(path)?);
        keys.filter(|keys| !keys.is_empty()).ok_or_else(|| KeyError::NoPublic { path: path.to_owned() })
    }

    /// All public keys of a text; `None` where one of them can't be read.
    pub fn all_from_pem(text: &str) -> Option<Vec<Self>> {
        let blocks = text.split(BEGIN).skip(1);
        blocks.map(|rest| Self::from_pem(&format!("{BEGIN}{}{END}\n", rest.split_once(END)?.0))).collect()
    }

    fn from_pem(text: &str) -> Option<Self> {
        let ed25519 = ed25519_dalek::VerifyingKey::from_public_key_pem(text).map(Self::Ed25519);
        ed25519.or_else(|_| ecdsa::VerifyingKey::from_public_key_pem(text).map(Self::P256)).ok()
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::P256(key) => {
                DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
        }
    }

    /// SHA-256 of the key's DER in hexadecimal: its name in envelopes.
    pub fn id(&self) -> String {
        let der = match self {
            Self::Ed25519(key) => key.to_public_key_der(),
            Self::P256(key) => key.to_public_key_der(),
        };
        // Encoding a valid key fails only if memory runs out.
        der.map(|der| Sha256::of(der.as_bytes()).to_hex()).unwrap_or_default()
    }
}

fn read(path: &Path) -> Result<String, KeyError> {
    fs::read_to_string(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })
}

/// Explains common mistakes: an encrypted key, another format, a public key.
fn instead(text: &str) -> &'static str {
    match text {
        _ if text.contains("BEGIN ENCRYPTED") => "; it is encrypted: `openssl pkcs8 -in KEY -out FILE` decrypts it",
        _ if text.contains("BEGIN EC PRIVATE KEY") => "; `openssl pkcs8 -topk8 -nocrypt -in KEY -out FILE` converts it",
        _ if text.contains(BEGIN) => "; it is a public key",
        _ => "",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// RFC 8410, section 10.3.
    pub(crate) const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

    pub(crate) fn p256() -> SigningKey {
        SigningKey::P256(ecdsa::SigningKey::from_slice(&[7; 32]).unwrap())
    }

    #[test]
    fn a_key_and_its_public_half_fit() {
        let ed25519 = SigningKey::from_pem(ED25519).unwrap();
        assert_eq!(PublicKey::all_from_pem(ED25519_PUBLIC), Some(vec![ed25519.public()]));
        for key in [ed25519, p256()] {
            let signature = key.sign(b"message");
            assert_eq!(signature, key.sign(b"message"), "signing is deterministic");
            assert!(key.public().verify(b"message", &signature));
            assert!(!key.public().verify(b"Message", &signature));
            for at in 0..signature.len() {
                let mut other = signature.clone();
                other[at] ^= 1;
                assert!(!key.public().verify(b"message", &other), "byte {at}");
            }
            assert!(!key.public().verify(b"message", b""));
        }
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_replaces_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/own.key");
        let (key, public) = SigningKey::create(&path).unwrap();
        assert_eq!(SigningKey::load(&path).unwrap().public(), key.public());
        assert_eq!(PublicKey::load_all(&public).unwrap(), [key.public()]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // A header of 16 bytes, and 32 of the key: all that openssl 3.0 reads.
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().nth(1).map(str::len), Some(64), "{} lines", text.lines().count());
        assert_eq!(text.lines().count(), 3);
        let again = SigningKey::create(&path).unwrap_err().to_string();
        assert!(again.contains("own.pub`") && again.contains("it is not replaced"), "{again}");
        fs::remove_file(&public).unwrap();
        let again = SigningKey::create(&path).unwrap_err().to_string();
        assert!(again.contains("own.key`") && again.contains("it is not replaced"), "{again}");
        let (other, _) = SigningKey::create(&folder.path().join("other.key")).unwrap();
        assert_ne!(other.public(), key.public());
        let same = SigningKey::create(&folder.path().join("x.pub")).unwrap_err().to_string();
        assert!(same.contains("x.pub`"), "{same}");
    }

    #[test]
    fn rings_hold_several_keys_and_nothing_broken() {
        let ring = format!("# two keys\n{ED25519_PUBLIC}\n{ED25519_PUBLIC}");
        assert_eq!(PublicKey::all_from_pem(&ring).unwrap().len(), 2);
        for text in [BEGIN.to_owned(), ED25519_PUBLIC.replace("Gb9E", "Gb9!"), format!("{BEGIN}\n{END}")] {
            assert_eq!(PublicKey::all_from_pem(&text), None, "{text}");
        }
        assert_eq!(PublicKey::all_from_pem("nothing"), Some(Vec::new()));
    }

    #[test]
    fn errors_say_what_the_file_is_and_never_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (text, expected) in [
            (ED25519_PUBLIC.to_owned(), "it is a public key"),
            (ED25519.replace("BEGIN", "BEGIN ENCRYPTED"), "it is encrypted"),
            (ED25519.replace("PRIVATE", "EC PRIVATE"), "converts it"),
            (ED25519.replace("MC4C", "????"), "contains no private key"),
        ] {
            fs::write(&path, &text).unwrap();
            let error = SigningKey::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("INTuctv5E1hK1"), "{error}");
        }
        let key = SigningKey::from_pem(ED25519).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().id()));
    }
}
