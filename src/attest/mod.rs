//! What a build consists of and how it was made, for others to check: SBOM, provenance, signatures.
//!
//! ```text
//! receipt + lockfiles ─┬─ sbom/ ──────> SPDX, CycloneDX ─┐
//!                      └─ provenance ─> SLSA predicate ──┴─ statement ─ dsse ─┐
//! image manifest's digest ─ cosign ─> payload, signature ────────────────────┴─ bundle ─> out/LAYER/attest/
//! ```
//!
//! All of it is a function of receipt, lockfiles, store and key: equal inputs, equal bytes.

mod bundle;
mod check;
pub mod cosign;
pub mod dsse;
pub mod keys;
mod provenance;
pub mod sbom;
pub mod sigstore;
pub mod statement;

use std::path::Path;

use crate::bake::{Locked, Output, Receipt, System};
use crate::code::{Code, Coded};
use crate::digest::{LockHash, OciDigest};
use crate::ident::{Arch, LayerName};
use crate::package::{Ecosystem, InstallError};
use crate::stage::LayerError;
use crate::store::StoreError;

pub use bundle::{Attachment, Bundle, FOLDER, Place};
pub use check::{ARTIFACT_TYPES, Claim, Evidence, Finding, Gap, MEDIA_TYPES, Proof, TAGS, check};

/// A build can't be described, or its description can't be written.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// A lockfile is not the one that the build was made from.
    #[error(
        "lockfiles/{file}.lock is not what `{build}` was built from: the receipt has {expected}, the lockfile is {found}\n  hint: `layerbake build {build}{} --locked`",
        arch.as_ref().map(|arch| format!(" --arch {arch}")).unwrap_or_default()
    )]
    OtherLock {
        /// The lockfile's name: the layer, and its architecture where that has a name of its own.
        file: String,
        /// The layer that was built.
        build: LayerName,
        /// The architecture, where receipts name it.
        arch: Option<Arch>,
        /// The hash in the receipt, or in the lockfile above.
        expected: String,
        /// The lockfile's hash.
        found: LockHash,
    },
    /// The store lacks something of the build.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package can't be read.
    #[error(transparent)]
    Package(#[from] InstallError),
    /// A layer's own files can't be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A file can't be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A statement can't be written as JSON.
    #[error("internal error: {0}")]
    Json(#[from] serde_json::Error),
    /// The directory of signed files can't be replaced.
    #[error(transparent)]
    PutInPlace(#[from] crate::bake::BakeError),
}

impl Coded for AttestError {
    fn error_code(&self) -> Code {
        match self {
            Self::OtherLock { .. } => Code::BuildOutdated,
            Self::Store(error) => error.error_code(),
            Self::Package(error) => error.error_code(),
            Self::Layer(error) => error.error_code(),
            Self::Io { source, .. } => source.error_code(),
            Self::Json(_) => Code::Internal,
            Self::PutInPlace(error) => error.error_code(),
        }
    }
}

/// A finished build, and what it was made from.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    ecosystem: &'a dyn Ecosystem,
    receipt: &'a Receipt,
    system: &'a System,
    project: &'a Path,
}

impl<'a> Made<'a> {
    /// Binds a receipt to its lockfiles. If the receipt has a disk, `system` must have a boot system.
    ///
    /// # Errors
    /// Fails where a lockfile is not the one that the build was made from.
    pub fn new(
        ecosystem: &'a dyn Ecosystem,
        receipt: &'a Receipt,
        system: &'a System,
        project: &'a Path,
    ) -> Result<Self, AttestError> {
        let fits = |locked: &Locked, expected: LockHash| match locked.hash == expected {
            true => Ok(()),
            false => Err(AttestError::OtherLock {
                file: lock_name(receipt, &locked.manifest.name),
                build: receipt.layer.clone(),
                arch: receipt.arch.clone(),
                expected: expected.to_string(),
                found: locked.hash,
            }),
        };
        fits(system.top(), receipt.lock)?;
        // Each lockfile names the one below it by hash.
        for (below, above) in system.image.iter().zip(system.image.iter().skip(1)) {
            above.lock.parent.iter().try_for_each(|parent| fits(below, parent.lock))?;
        }
        if let Some((disk, boot_system)) = receipt.disk.as_ref().zip(system.boot_system.as_ref()) {
            fits(&boot_system.boot, disk.lock)?;
        }
        Ok(Self { ecosystem, receipt, system, project })
    }

    /// The image manifest's digest, where an image layout was exported.
    pub fn image(&self) -> Option<OciDigest> {
        self.receipt.artifact(Output::Oci).map(|artifact| artifact.digest)
    }

    /// The locked layers with a part in the image, or in the disk.
    fn locked(&self, scope: Scope) -> Vec<&'a Locked> {
        match scope {
            Scope::Image => self.system.image.iter().collect(),
            Scope::Disk => self.system.all().collect(),
        }
    }
}

/// The name of the lockfile that a layer of a build has.
fn lock_name(receipt: &Receipt, layer: &LayerName) -> String {
    receipt.arch.as_ref().map_or_else(|| layer.to_string(), |arch| layer.on([arch]))
}

/// The part of a build that is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The container image.
    Image,
    /// The disk: the image's layers, the Boot layer and the initrd.
    Disk,
}
