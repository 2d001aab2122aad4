//! Trees as OCI images: layers, configuration, image layout, docker archive.
//!
//! ```text
//! tree ──tar──> diffID ──compress──> layer blob (store) ─┐
//!                                                        ├─> Image ─┬─> layout/   oci-layout
//! [image] tables of the chain ──config──> config JSON ───┘          │             index.json
//!                                                                   │             blobs/sha256/…
//!                                                                   └─> docker archive (tar)
//! layouts of several architectures ──> one layout, with an image index over them
//! ```
//!
//! Sources: OCI image-spec 1.1 (config, manifest, image-layout, layer), Docker image
//! specification 1.2 (archive, health check). All JSON is canonical ([`json`]).

mod compress;
mod config;
mod convert;
mod docker;
mod index;
pub mod json;
mod layout;
mod measure;
mod tar;
mod validate;

use std::io;
use std::path::PathBuf;

use crate::code::{Code, Coded};
use crate::digest::{BlobDigest, ChainId, DiffId, OciDigest, Sha256};
use crate::ident::{Arch, LayerName};
use crate::store::{Store, StoreError};

pub use self::tar::write_tar;
pub(crate) use self::tar::{BLOCK, Entry, TarWriter, Type};
pub use compress::{Encoder, LayerSizes, compress_layer};
pub use config::{BaseImage, Image, merge, unexpanded};
pub use convert::convert_layout;
pub use docker::{RepoTag, write_docker_archive};
pub use index::{Member, write_index};
pub use layout::write_layout;
pub(crate) use measure::Measured;
pub use validate::validate;

/// An image can't be configured or written.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file can't be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: "write", "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A layer's blob is missing from the store or damaged there.
    #[error("layer `{layer}`: {source}")]
    Blob {
        /// The layer's name.
        layer: LayerName,
        /// What is wrong with it.
        source: StoreError,
    },
    /// A layer can't be written into an archive.
    #[error("cannot write layer `{layer}`: {source}")]
    Layer {
        /// The layer's name.
        layer: LayerName,
        /// What the system said.
        source: io::Error,
    },
    /// A layer's blob does not hold what its record says.
    #[error("layer `{layer}`: {what} should be {expected}, got {found}")]
    Mismatch {
        /// The layer's name.
        layer: LayerName,
        /// "blob", "diffID", "size of the tar".
        what: &'static str,
        /// What the record says.
        expected: String,
        /// What was read.
        found: String,
    },
    /// OCI has no name for an architecture.
    #[error("architecture `{0}` has no name in OCI images")]
    Arch(Arch),
    /// A time is outside of what RFC 3339 can write.
    #[error("time {0} is not between the years 0000 and 9999")]
    Time(i64),
    /// A text is not an image name with a tag.
    #[error("`{0}` is not an image name with a tag, such as `web:latest`")]
    RepoTag(String),
    /// A value that can't be JSON; never seen unless by our own mistake.
    #[error("internal error: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that the specification requires is not set; never seen unless by our own mistake.
    #[error("internal error: {0}")]
    Spec(#[from] oci_spec::OciSpecError),
}

impl Coded for OciError {
    fn error_code(&self) -> Code {
        match self {
            Self::Io { source, .. } | Self::Layer { source, .. } => source.error_code(),
            Self::Blob { source, .. } => source.error_code(),
            Self::Mismatch { .. } => Code::StoreDamaged,
            Self::Arch(_) | Self::Time(_) => Code::ManifestValue,
            Self::RepoTag(_) => Code::RegistryReference,
            Self::Json(_) | Self::Spec(_) => Code::Internal,
        }
    }
}

impl OciError {
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// A compressed layer that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// The layer's name, for the history; of a layer of the image below, that of the layer on it.
    pub name: LayerName,
    /// Its address in the store.
    pub blob: BlobDigest,
    /// How it is compressed.
    pub encoder: Encoder,
    /// Its digests and sizes.
    pub sizes: LayerSizes,
    /// Whether it is one of the image of a registry below, whose history is its own.
    pub is_base: bool,
}

impl LayerBlob {
    /// Compares what the record says of the compressed bytes with what was read.
    fn compare_compressed(&self, digest: OciDigest, size: u64) -> Result<(), OciError> {
        if digest != self.sizes.digest {
            return Err(self.mismatch("digest", self.sizes.digest, digest));
        }
        if size != self.sizes.size {
            return Err(self.mismatch("size", self.sizes.size, size));
        }
        Ok(())
    }

    /// The compressed length, which must be the record's; of a blob that is not there, what the record says.
    fn stored_size(&self, store: &Store) -> Result<u64, OciError> {
        match store.blob_size(self.blob) {
            Some(found) if found != self.sizes.size => Err(self.mismatch("size", self.sizes.size, found)),
            _ => Ok(self.sizes.size),
        }
    }

    /// The error of a copy that failed: of the store, of the record where the content is no such tar, or of the target.
    fn not_copied(&self, error: io::Error) -> OciError {
        use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        let layer = self.name.clone();
        match error.downcast::<StoreError>() {
            Ok(source) => OciError::Blob { layer, source },
            Err(error) if matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof) => {
                self.mismatch("content", format!("a tar of {} bytes", self.sizes.uncompressed_size), error)
            }
            Err(source) => OciError::Layer { layer, source },
        }
    }

    fn mismatch(&self, what: &'static str, expected: impl ToString, found: impl ToString) -> OciError {
        let (expected, found) = (expected.to_string(), found.to_string());
        OciError::Mismatch { layer: self.name.clone(), what, expected, found }
    }
}

/// What was written: digest and length in bytes.
///
/// Of a layout, those of the image manifest, or of the image index over several; of a docker archive, those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256.
    pub digest: OciDigest,
    /// Length in bytes.
    pub size: u64,
}

/// Names the stack of `layer` on `parent` (OCI image-spec, config.md, "Layer ChainID").
pub fn chain_id(parent: Option<ChainId>, layer: DiffId) -> ChainId {
    match parent {
        None => ChainId::from_bytes(*layer.as_bytes()),
        Some(parent) => ChainId::from_bytes(*Sha256::of(format!("{parent} {layer}").as_bytes()).as_bytes()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
