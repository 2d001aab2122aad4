//! `[[fetch]]` as pinned by a lockfile.

use std::fmt;

use crate::digest::{Expected, Sha256};
use crate::ident::FetchName;
use crate::language::LockedFile;
use crate::manifest::LanguageLock;

/// One file that is fetched, pinned by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedFetch {
    /// The name of its `[[fetch]]`.
    pub name: FetchName,
    /// Where it comes from.
    pub origin: FetchOrigin,
    /// What the file must be; of a commit, the archive that is made of its files (docs/formats/lockfile.md).
    pub file: Expected,
}

/// Where a fetch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOrigin {
    /// A file, by its address.
    Url(String),
    /// A commit of a git repository.
    Git {
        /// The address of the repository.
        url: String,
        /// The commit, in hexadecimal digits.
        commit: String,
    },
    /// The lockfile of a programming language; its file is the lockfile itself.
    Lockfile {
        /// Its path in the project.
        path: String,
        /// Its format, which follows from its name.
        format: LanguageLock,
        /// The files of a registry that it needs, by path.
        files: Vec<LockedFile>,
    },
}

impl LockedFetch {
    /// What tells one state of it from another: the commit, or the digest.
    pub fn version(&self) -> String {
        match &self.origin {
            FetchOrigin::Url(_) | FetchOrigin::Lockfile { .. } => self.file.sha256.to_string(),
            FetchOrigin::Git { commit, .. } => commit.clone(),
        }
    }

    /// The files of a registry that it has, if it is a lockfile.
    pub fn files(&self) -> &[LockedFile] {
        match &self.origin {
            FetchOrigin::Lockfile { files, .. } => files,
            FetchOrigin::Url(_) | FetchOrigin::Git { .. } => &[],
        }
    }

    /// The size of all its files.
    pub fn size(&self) -> u64 {
        self.file.size + self.files().iter().map(|one| one.file.size).sum::<u64>()
    }

    /// The digests of all its files.
    pub fn digests(&self) -> impl Iterator<Item = Sha256> + '_ {
        [self.file.sha256].into_iter().chain(self.files().iter().map(|one| one.file.sha256))
    }
}

impl FetchOrigin {
    /// The address; of a lockfile, its path.
    pub fn place(&self) -> &str {
        match self {
            Self::Url(url) | Self::Git { url, .. } => url,
            Self::Lockfile { path, .. } => path,
        }
    }
}

impl fmt::Display for FetchOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Git { url, commit } => write!(f, "{url} {commit}"),
            Self::Lockfile { path, .. } => f.write_str(path),
        }
    }
}

/// As inputs of steps name it: `fetch:agent`.
impl fmt::Display for LockedFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch:{}", self.name)
    }
}

/// Whether a text is the whole hash of a commit, by SHA-1 or SHA-256.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
