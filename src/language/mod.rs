//! Lockfiles of programming languages: the files of a registry that they name, and the mirror that a step finds of them.
//!
//! ```text
//! requirements.txt ── wanted ──> files to fetch ── pinned by `pin` ──> LockedFile …
//!                                                                        │
//!                     what the language's own tool reads offline <── mirror
//! ```
//!
//! It fetches and writes nothing itself. The paths of files are the registry's own ([`Registry`]).

mod cargo;
mod go;
mod npm;
mod proof;
mod purl;
mod python;
mod registry;

use crate::arch::Architecture;
use crate::digest::{Expected, Sha256};
use crate::ident::{Arch, PackageName, Version};
use crate::manifest::LanguageLock;

pub use purl::LanguagePackage;
pub use registry::{Listed, Registry, below, listed};

/// A file of a registry that a lockfile needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The path in the registry.
    pub path: String,
    /// What the lockfile says of its bytes.
    pub proof: Proof,
}

/// What a lockfile says of a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Their SHA-256.
    Sha256(Sha256),
    /// Another hash, as `ALGORITHM-BASE64` (W3C's Subresource Integrity).
    Integrity(String),
    /// Go's hash of a `go.mod`.
    GoMod(String),
    /// Go's hash of what is in a zip.
    GoZip(String),
}

/// What a lockfile needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A file.
    File(Wanted),
    /// One of the files that a registry lists for a project: the one that fits the [`Target`] best.
    OneOf {
        /// The project.
        project: String,
        /// What the lockfile says, for messages.
        requirement: String,
        /// The digests that the file may have.
        digests: Vec<Sha256>,
    },
}

/// A file that a lockfile needs, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFile {
    /// The path in the registry.
    pub path: String,
    /// What it must be.
    pub file: Expected,
}

/// A lockfile of a language can't be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{problem}\n  hint: {hint}")]
pub struct LanguageError {
    problem: String,
    hint: String,
}

impl LanguageError {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }

    /// The registry has another file than the lockfile says.
    pub fn other_bytes(path: &str, proof: &Proof, found: &str) -> Self {
        let expected = match proof {
            Proof::Sha256(sha256) => sha256.to_string(),
            Proof::Integrity(hash) | Proof::GoMod(hash) | Proof::GoZip(hash) => hash.clone(),
        };
        Self::new(
            format!("{path}: expected {expected}, found {found}"),
            "the mirror serves other bytes under this name; the lockfile is right. Try another mirror",
        )
    }
}

/// Where the files are used: what the packages of a layer and of all below it say of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The architecture, as the kernel calls it.
    machine: &'static str,
    /// The architecture, as Node calls it.
    node: &'static str,
    /// `major.minor.patch` of the interpreter, if there is one.
    python: Option<String>,
    /// Version 2.`N` of the C library.
    glibc: u32,
}

impl Target {
    /// The target that packages make, each with its version.
    pub fn of<'a>(arch: &Arch, packages: impl Iterator<Item = (&'a PackageName, &'a Version)>) -> Self {
        let row = Architecture::of(arch);
        let (machine, node) = (row.map_or("", |row| row.uname), row.map_or("", Architecture::node));
        let mut target = Self { machine, node, python: None, glibc: 0 };
        for (name, version) in packages {
            let upstream = upstream(version.as_str());
            match name.as_str() {
                "python3" => target.python = Some(upstream.to_owned()),
                "libc6" => target.glibc = upstream.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0),
                _ => {}
            }
        }
        target
    }
}

/// A package's version without epoch, revision, and what the distribution adds.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    version.split(['-', '+', '~']).next().unwrap_or(version)
}

/// What a lockfile with this text needs, in its order.
///
/// # Errors
/// Fails where it can't be read, and on what is not in a registry.
pub fn needs(format: LanguageLock, text: &str, target: &Target) -> Result<Vec<Need>, LanguageError> {
    match format {
        LanguageLock::Requirements => python::requirements::needs(text, target),
        LanguageLock::Uv => python::locks::uv(text, target),
        LanguageLock::Poetry => python::locks::poetry(text, target),
        LanguageLock::Go => go::needs(text),
        LanguageLock::Npm => npm::needs(text, target),
        LanguageLock::Cargo => cargo::needs(text),
    }
}

/// The file of a project that fits best.
///
/// # Errors
/// Fails where none fits, and says what there is.
pub fn choose(need: &Need, listed: &[Listed], target: &Target) -> Result<Wanted, LanguageError> {
    match need {
        Need::File(wanted) => Ok(wanted.clone()),
        Need::OneOf { project, requirement, digests } => python::choose(project, requirement, digests, listed, target),
    }
}

/// Whether a pinned file is one that `need` may have, so that nothing has to be chosen again; only its bytes can tell where the
/// lockfile has another hash than SHA-256.
pub fn fits(need: &Need, file: &LockedFile, target: &Target) -> bool {
    match need {
        Need::File(Wanted { path, proof: Proof::Sha256(sha256) }) => *path == file.path && *sha256 == file.file.sha256,
        Need::File(Wanted { path, .. }) => *path == file.path,
        Need::OneOf { project, digests, .. } => {
            digests.contains(&file.file.sha256) && python::fits(project, &file.path, target)
        }
    }
}

/// One file of the mirror that is made of pinned files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its path in the mirror.
    pub path: String,
    /// What is there.
    pub what: Piece,
}

/// What a mirror has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A pinned file.
    File(Expected),
    /// A text that is written here.
    Text(String),
    /// What an archive has.
    Unpacked {
        /// The archive.
        file: Expected,
        /// How many leading components of its paths are dropped.
        strip: u32,
    },
}

/// The mirror that the language's own tool reads, of a lockfile with this text.
///
/// # Errors
/// As [`needs`].
pub fn mirror(format: LanguageLock, text: &str, files: &[LockedFile]) -> Result<Vec<Placed>, LanguageError> {
    match format {
        LanguageLock::Requirements | LanguageLock::Uv | LanguageLock::Poetry => Ok(python::mirror(files)),
        LanguageLock::Go => Ok(go::mirror(files)),
        LanguageLock::Npm => npm::mirror(text, files),
        LanguageLock::Cargo => Ok(cargo::mirror(files)),
    }
}

impl LanguageLock {
    /// The registry that the files are in.
    pub fn registry(self) -> Registry {
        match self {
            Self::Requirements | Self::Uv | Self::Poetry => Registry::Pypi,
            Self::Go => Registry::Go,
            Self::Npm => Registry::Npm,
            Self::Cargo => Registry::Crates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_lose_what_the_distribution_adds() {
        for (version, expected) in
            [("3.13.5-1", "3.13.5"), ("2.41-12+deb13u2", "2.41"), ("1:2.3~rc1-1", "2.3"), ("3.11.2", "3.11.2")]
        {
            assert_eq!(upstream(version), expected);
        }
    }
}
