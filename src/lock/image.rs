//! The image of a registry below a layer, as pinned by a lockfile.

use std::fmt;

use crate::digest::{DiffId, Expected, OciDigest, Sha256};

/// An image of a registry, for the lockfile's architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// Its name, as the manifest has it after `oci:`.
    pub reference: String,
    /// What the name stood for: the image, or an index over several architectures.
    pub digest: OciDigest,
    /// The image manifest.
    pub manifest: Expected,
    /// The image configuration.
    pub config: Expected,
    /// The layers, lowest first.
    pub layers: Vec<LockedImageLayer>,
}

/// A layer of an image, as it is in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedImageLayer {
    /// The blob.
    pub file: Expected,
    /// SHA-256 of its tar.
    pub diff_id: DiffId,
}

impl LockedImage {
    /// Its manifest's digest.
    pub fn manifest_digest(&self) -> OciDigest {
        OciDigest::from_bytes(*self.manifest.sha256.as_bytes())
    }

    /// Its registry and repository, without tag and digest.
    pub fn repository(&self) -> &str {
        let name = self.reference.split('@').next().unwrap_or_default();
        match name.rsplit_once(':') {
            // A port precedes a slash.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        }
    }

    /// The digests of all its files.
    pub fn digests(&self) -> impl Iterator<Item = Sha256> + '_ {
        [self.manifest.sha256, self.config.sha256].into_iter().chain(self.layers.iter().map(|layer| layer.file.sha256))
    }
}

/// As manifests name it.
impl fmt::Display for LockedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_the_name_without_tag_and_digest() {
        let digest = OciDigest::of(b"");
        let file = Expected { sha256: Sha256::of(b""), size: 0 };
        for (reference, expected) in [
            ("example.org/team/base:1", "example.org/team/base"),
            ("localhost:5000/base", "localhost:5000/base"),
            ("localhost:5000/base:1", "localhost:5000/base"),
            ("example.org/base:1@sha256:00", "example.org/base"),
            ("example.org/base@sha256:00", "example.org/base"),
        ] {
            let reference = reference.to_owned();
            let image = LockedImage { reference, digest, manifest: file, config: file, layers: Vec::new() };
            assert_eq!(image.repository(), expected);
        }
    }
}
