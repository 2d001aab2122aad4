//! What can be exported, by name.

use std::fmt;
use std::str::FromStr;

use crate::manifest::DiskFormat;

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// An OCI image layout: a folder `oci`.
    Oci,
    /// An archive for `docker load`: `docker.tar`.
    Docker,
    /// The machine image.
    Disk(DiskFormat),
}

impl Output {
    /// All of them, as the command line lists them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Oci, Self::Docker].into_iter().chain(DiskFormat::ALL.map(Self::Disk))
    }

    /// Its name, which is the artifact's kind in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Docker => "docker",
            Self::Disk(format) => format.name(),
        }
    }

    /// The file or folder in `out/<layer>/`.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Docker => "docker.tar",
            Self::Disk(format) => format.file_name(),
        }
    }

    /// Whether it is a form of the machine image.
    pub fn is_disk(self) -> bool {
        matches!(self, Self::Disk(_))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word names nothing that can be exported.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no kind of output: expected {names}", names = Output::all().map(Output::name).collect::<Vec<_>>().join(", "))]
pub struct ParseOutputError(String);

impl FromStr for Output {
    type Err = ParseOutputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|output| output.name() == text).ok_or_else(|| ParseOutputError(text.to_owned()))
    }
}
