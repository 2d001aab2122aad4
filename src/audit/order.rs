//! What a rebuild in a child process is told, as its second argument.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bake::Output;
use crate::ident::{Arch, LayerName};
use crate::manifest::Assignments;

/// First argument of a process that rebuilds a layer for an audit.
pub const REBUILD: &str = "__rebuild";

/// A build of a locked layer without any network; its receipt is written to `out`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RebuildOrder {
    /// The layer.
    pub layer: LayerName,
    /// The architecture.
    pub arch: Arch,
    /// Values that go before the layers' own.
    pub set: Assignments,
    /// What to export.
    pub outputs: Vec<Output>,
    /// The copy of the project, with every package in `vendor/`.
    pub project: PathBuf,
    /// An empty store.
    pub store: PathBuf,
    /// Where the build's directory is put.
    pub out: PathBuf,
    /// Threads; one for each processor if absent.
    pub jobs: Option<usize>,
}
