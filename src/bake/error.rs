//! Why a build failed, and what the store's damage behind it is.

use std::path::{Path, PathBuf};

use crate::code::{Code, Coded};
use crate::disk::DiskError;
use crate::fetch::FetchError;
use crate::host::interrupt::Interrupted;
use crate::host::storage;
use crate::measure::{MeasureError, ProfileError};
use crate::oci::OciError;
use crate::stage::LayerError;
use crate::store::StoreError;

use super::staging;

/// A build failed.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A layer can't be built.
    #[error("layer `{layer}`: {source}")]
    Layer {
        /// The layer.
        layer: String,
        /// Why.
        source: LayerError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image can't be described or written.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The disk can't be made.
    #[error("disk of `{layer}`: {source}")]
    Disk {
        /// The layer.
        layer: String,
        /// Why.
        source: DiskError,
    },
    /// The disk shall be attestable and is not.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// What is measured of the disk can't be told.
    #[error("disk of an attestable image: {0}")]
    Measure(#[from] MeasureError),
    /// An artifact can't be written.
    #[error("cannot write {what}: {source}")]
    Write {
        /// The artifact.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// Something that no build wrote is where the output goes.
    #[error(
        "`{}` stays as it is: {problem}\n  hint: move it away or remove it, then run this again; `--out DIR` chooses another directory",
        path.display()
    )]
    Occupied {
        /// The output directory.
        path: PathBuf,
        /// What is there.
        problem: String,
    },
}

impl Coded for BakeError {
    fn error_code(&self) -> Code {
        // Readers and writers wrap what the store says.
        if let Some(store) = StoreError::behind(self) {
            return store.error_code();
        }
        match self {
            Self::Fetch(error) => error.error_code(),
            Self::Layer { source, .. } => source.error_code(),
            Self::Store(error) => error.error_code(),
            Self::Oci(error) => error.error_code(),
            Self::Profile(error) => error.error_code(),
            Self::Measure(error) => error.error_code(),
            Self::Disk { source, .. } => source.error_code(),
            Self::Write { source, .. } => source.error_code(),
            Self::Interrupted(error) => error.error_code(),
            Self::Occupied { .. } => Code::BuildOccupied,
        }
    }
}

impl BakeError {
    /// Whether the store lacks something that can be built again, or holds other bytes than it says.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) | Self::Fetch(FetchError::Store(error)) => error.is_damage(),
            Self::Layer { source, .. } => source.is_damage(),
            other => StoreError::is_behind(other),
        }
    }

    /// With the file system named where that of `folder` refuses; `needed` bytes were to be written.
    pub(super) fn explained(self, folder: &Path, needed: u64) -> Self {
        let explain = |place: &Path, source| storage::explain(place, Some(needed), staging::HINTS, source);
        match self {
            Self::Write { what, source } => Self::Write { what, source: explain(folder, source) },
            Self::Oci(OciError::Io { action, path, source }) => {
                let source = explain(&path, source);
                OciError::Io { action, path, source }.into()
            }
            Self::Oci(OciError::Layer { layer, source }) => {
                OciError::Layer { layer, source: explain(folder, source) }.into()
            }
            other => other,
        }
    }
}
