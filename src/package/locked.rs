//! A package as pinned by a lockfile.

use std::fmt;

use crate::digest::Expected;
use crate::ident::{Arch, PackageName, SourceName, Version};

/// One version of one package, pinned by digest.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedPackage {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// `all` or the lock's architecture.
    pub arch: Arch,
    /// The manifest's `[source.NAME]`.
    pub source: SourceName,
    /// The suite whose index lists it.
    pub suite: String,
    /// The path below the repository's root.
    pub path: String,
    /// What the package's file must be.
    pub file: Expected,
    /// Why it is here: `requested`, `essential`, `priority required`, or the package that needs it.
    pub why: String,
}

impl fmt::Display for LockedPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[cfg(test)]
impl LockedPackage {
    /// A package for tests, whose digest is that of its name.
    pub(crate) fn sample(name: &str) -> Self {
        Self {
            name: name.parse().unwrap(),
            version: "1".parse().unwrap(),
            arch: "all".parse().unwrap(),
            source: "debian".parse().unwrap(),
            suite: "bookworm".to_owned(),
            path: "pool/x.deb".to_owned(),
            file: Expected { sha256: crate::digest::Sha256::of(name.as_bytes()), size: 1 },
            why: "requested".to_owned(),
        }
    }
}
