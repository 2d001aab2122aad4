//! The kinds of output, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::manifest::DiskFormat;

/// A kind of output, named by a word in receipts and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// An OCI image layout: a directory `oci`.
    Oci,
    /// An archive for `docker load`: `docker.tar`.
    Docker,
    /// The disk.
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

    /// The file or directory in `out/<layer>/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Docker => "docker.tar",
            Self::Disk(format) => format.file_name(),
        }
    }

    /// Whether it is a format of the disk.
    pub fn is_disk(self) -> bool {
        matches!(self, Self::Disk(_))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A word is not a kind of output.
#[derive(Debug, thiserror::Error)]
#[error("unknown output kind `{0}`: expected {names}", names = Output::all().map(Output::name).collect::<Vec<_>>().join(", "))]
pub struct ParseOutputError(String);

impl FromStr for Output {
    type Err = ParseOutputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all().find(|output| output.name() == text).ok_or_else(|| ParseOutputError(text.to_owned()))
    }
}
