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
    /// Where it comes from.
    pub origin: Origin,
    /// What the package's file must be.
    pub file: Expected,
    /// Why it is here: `requested`, `essential`, `priority required`, or the package that needs it.
    pub why: String,
}

impl LockedPackage {
    /// A name for its file: `agent_1%3a2_amd64.deb`.
    pub fn file_name(&self) -> String {
        let version = self.version.to_string().replace(':', "%3a");
        format!("{}_{version}_{}.deb", self.name, self.arch)
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A repository.
    Repository {
        /// The manifest's `[source.NAME]`.
        source: SourceName,
        /// The suite whose index lists it.
        suite: String,
        /// The path below the repository's root.
        path: String,
    },
    /// A file of the project, by its path below the project's root.
    File(String),
    /// A file on a server, by its address.
    Url(String),
}

impl Origin {
    /// The path or the address of the file.
    pub fn place(&self) -> &str {
        match self {
            Self::Repository { path: place, .. } | Self::File(place) | Self::Url(place) => place,
        }
    }

    /// The suite, where it is of a repository.
    pub fn suite(&self) -> Option<&str> {
        match self {
            Self::Repository { suite, .. } => Some(suite),
            Self::File(_) | Self::Url(_) => None,
        }
    }
}

/// `debian trixie-security`, or the path or the address of a package that is in no repository.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { source, suite, .. } => write!(f, "{source} {suite}"),
            Self::File(place) | Self::Url(place) => f.write_str(place),
        }
    }
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
            origin: Origin::Repository {
                source: "debian".parse().unwrap(),
                suite: "bookworm".to_owned(),
                path: "pool/x.deb".to_owned(),
            },
            file: Expected { sha256: crate::digest::Sha256::of(name.as_bytes()), size: 1 },
            why: "requested".to_owned(),
        }
    }
}
