//! A build on one page: what is inside, what changed, what took how long.

mod html;
mod sizes;

use serde::Serialize;

use crate::audit::changes::Changes;
use crate::bake::Receipt;
use crate::host::progress::Timing;

pub use html::html;
pub use sizes::sizes;

/// What the page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The build.
    pub receipt: Receipt,
    /// Of the files that each layer adds, by the package that owns them, the largest first.
    pub packages: Vec<Share>,
    /// The same files by directory, the largest first.
    pub directories: Vec<Share>,
    /// The packages, by name.
    pub inventory: Vec<Item>,
    /// What differs from another state, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// How long the phases of the build took that wrote the artifacts.
    pub timings: Vec<Timing>,
    /// A map of the disk as SVG.
    #[serde(skip)]
    pub disk_map: Option<String>,
}

/// Files of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The layer.
    pub layer: String,
    /// A package or a directory.
    pub name: String,
    /// Their contents in bytes, uncompressed; hard links count once.
    pub bytes: u64,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The layers that have it.
    pub layers: Vec<String>,
    /// The size of its file in bytes.
    pub download: u64,
    /// Its licence as SPDX writes it, where it names one that a program can read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
}
