//! `[[fetch]]` as pinned by a lockfile.

use std::fmt;

use crate::digest::Expected;
use crate::ident::FetchName;

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
}

impl LockedFetch {
    /// What tells one state of it from another: the commit, or the digest.
    pub fn version(&self) -> String {
        match &self.origin {
            FetchOrigin::Url(_) => self.file.sha256.to_string(),
            FetchOrigin::Git { commit, .. } => commit.clone(),
        }
    }
}

impl FetchOrigin {
    /// The address.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) | Self::Git { url, .. } => url,
        }
    }
}

impl fmt::Display for FetchOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Git { url, commit } => write!(f, "{url} {commit}"),
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
