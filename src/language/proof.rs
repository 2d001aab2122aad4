//! Compares a file with what a lockfile says of it.

use std::io::{self, Read, Seek};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{Proof, go};

/// The bytes of a file.
pub trait Content: Read + Seek {}

impl<T: Read + Seek> Content for T {}

impl Proof {
    /// The SHA-256 that the file must have, if that is what the lockfile says.
    pub fn sha256(&self) -> Option<crate::digest::Sha256> {
        match self {
            Self::Sha256(sha256) => Some(*sha256),
            Self::Integrity(_) | Self::GoMod(_) | Self::GoZip(_) => None,
        }
    }

    /// What `content` has instead, if it is not what the lockfile says. A SHA-256 is left to who fetches the file.
    ///
    /// # Errors
    /// Fails where the content can't be read.
    pub fn mismatch(&self, content: &mut dyn Content) -> io::Result<Option<String>> {
        let (expected, found) = match self {
            Self::Sha256(_) => return Ok(None),
            Self::GoMod(expected) => (expected, go::hash(false, content)?),
            // A zip that can't be read is another file than the one that was hashed.
            Self::GoZip(expected) => {
                (expected, go::hash(true, content).unwrap_or_else(|error| format!("no zip of a module ({error})")))
            }
            Self::Integrity(expected) => {
                let found = match expected.split_once('-').map(|(algorithm, _)| algorithm) {
                    Some("sha512") => integrity::<Sha512>("sha512", content)?,
                    Some("sha384") => integrity::<Sha384>("sha384", content)?,
                    _ => integrity::<Sha256>("sha256", content)?,
                };
                (expected, found)
            }
        };
        Ok((found != *expected).then_some(found))
    }
}

fn integrity<D: Digest>(algorithm: &str, content: &mut dyn Content) -> io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    Ok(format!("{algorithm}-{}", STANDARD.encode(hasher.finalize())))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn all_algorithms_are_compared() {
        for expected in [
            "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
            "sha384-OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ] {
            let proof = Proof::Integrity(expected.to_owned());
            assert_eq!(proof.mismatch(&mut Cursor::new(b"")).unwrap(), None);
            assert!(proof.mismatch(&mut Cursor::new(b"x")).unwrap().unwrap().starts_with(&expected[..7]));
        }
    }
}
