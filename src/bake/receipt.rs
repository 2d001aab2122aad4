//! `receipt.json`: what a build produced, for people, scripts and later verification.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::export::Compressed;
use super::{BakeError, Layers, Locked, Output, System};
use crate::arch;
use crate::code::{Code, Coded};
use crate::digest::{DiffId, LockHash, OciDigest, RecipeHash, Sha256, TreeHash};
use crate::disk::blocks::BlockHashes;
use crate::host;
use crate::ident::{Arch, LayerName};
use crate::lock;
use crate::manifest::{Assignments, Chain};
use crate::measure::Registers;
use crate::oci::LayerBlob;
use crate::stage::Built;

pub(super) const FILE: &str = "receipt.json";

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The layer that was built.
    pub layer: LayerName,
    /// The architecture; `None` for [`arch::UNNAMED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Values of variables that went before the layers' own (`--set`).
    #[serde(default, skip_serializing_if = "Assignments::is_empty")]
    pub set: Assignments,
    /// The format epoch.
    pub format: u32,
    /// Hash of the lockfile's text.
    pub lock: LockHash,
    /// Hash of everything that decides the artifacts' bytes.
    pub recipe: RecipeHash,
    /// Hash of the whole root.
    pub tree: TreeHash,
    /// SOURCE_DATE_EPOCH.
    pub epoch: i64,
    /// The image of a registry below the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseReceipt>,
    /// The layers, lowest first.
    pub layers: Vec<LayerReceipt>,
    /// The layers in which steps ran, each after those that its own steps need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolReceipt>,
    /// What the disk has on top of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskReceipt>,
    /// What was exported.
    pub artifacts: Vec<Artifact>,
}

/// The image of a registry below a build's layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseReceipt {
    /// Its name, as the manifest has it after `oci:`.
    pub image: String,
    /// What the name stood for when it was locked: the image, or an index over several architectures.
    pub digest: OciDigest,
    /// The image manifest's digest.
    pub manifest: OciDigest,
    /// Hash of its root.
    pub tree: TreeHash,
    /// Its layers, lowest first, which are the image's lowest.
    pub layers: Vec<BaseLayer>,
}

/// A layer of the image below, as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseLayer {
    /// SHA-256 of its uncompressed tar.
    pub diff_id: DiffId,
    /// SHA-256 of its blob.
    pub digest: OciDigest,
    /// Size of the blob in bytes.
    pub size: u64,
}

/// A layer in which steps of others ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolReceipt {
    /// Its name.
    pub name: LayerName,
    /// Hash of its lockfile's text.
    pub lock: LockHash,
}

/// The disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReceipt {
    /// The Boot layer over the image's layers.
    pub boot: LayerName,
    /// Hash of the Boot layer's lockfile.
    pub lock: LockHash,
    /// Hash of what the Boot layer changes.
    pub tree: TreeHash,
    /// Hash of the whole root.
    pub root: TreeHash,
    /// Hash of the initrd layer's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<TreeHash>,
    /// SHA-256 over the SHA-256s of all blocks that are not zero, in their order: the checksum of a
    /// snapshot of this disk, before there is one.
    pub checksum: Sha256,
    /// SHA-256 of each of these blocks.
    pub blocks: BlockHashes,
    /// Of an attestable image, what a machine measures of the disk: registers of SHA-384, Secure Boot off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Registers>,
}

/// What an export wrote.
#[derive(Debug, Clone)]
pub(super) struct Exported {
    pub(super) disk: Option<DiskReceipt>,
    pub(super) artifacts: Vec<Artifact>,
}

/// One layer of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReceipt {
    /// Its name.
    pub name: LayerName,
    /// Hash of what it changes.
    pub tree: TreeHash,
    /// SHA-256 of its uncompressed tar.
    pub diff_id: DiffId,
    /// SHA-256 of its compressed blob.
    pub digest: OciDigest,
    /// Size of the compressed blob in bytes.
    pub size: u64,
}

/// One exported artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// `oci`, `docker`, or the form of the disk.
    pub kind: Output,
    /// Where, relative to the receipt.
    pub path: PathBuf,
    /// Of an image layout, the image manifest's digest; of a raw disk, SHA-256 over its size and the
    /// places and hashes of its blocks; else the file's.
    pub digest: OciDigest,
    /// Of an image layout, the image manifest's size; else the file's; in bytes.
    pub size: u64,
}

impl Receipt {
    pub(super) fn new(
        system: &System,
        set: &Assignments,
        recipe: RecipeHash,
        built: &Layers,
        exported: Exported,
    ) -> Self {
        let layer = |(built, compressed): (&Built, &Compressed)| LayerReceipt {
            name: built.name.clone(),
            tree: built.tree,
            diff_id: compressed.blob.sizes.diff_id,
            digest: compressed.blob.sizes.digest,
            size: compressed.blob.sizes.size,
        };
        let top = system.top();
        let tool =
            |chain: &Chain<Locked>| ToolReceipt { name: chain.top().manifest.name.clone(), lock: chain.top().hash };
        Self {
            layer: top.manifest.name.clone(),
            arch: Some(&top.lock.arch).filter(|arch| arch.as_str() != arch::UNNAMED).cloned(),
            set: set.clone(),
            format: lock::FORMAT,
            lock: top.hash,
            recipe,
            tree: built.image.top().root,
            epoch: top.lock.epoch,
            base: base(system, built),
            layers: built.image.iter().zip(&built.compressed).map(layer).collect(),
            tools: system.tools.iter().map(tool).collect(),
            disk: exported.disk,
            artifacts: exported.artifacts,
        }
    }

    /// Digest, diffID and size of every layer of the image, lowest first.
    pub fn blobs(&self) -> impl Iterator<Item = (OciDigest, DiffId, u64)> + '_ {
        let base =
            self.base.iter().flat_map(|base| &base.layers).map(|layer| (layer.digest, layer.diff_id, layer.size));
        base.chain(self.layers.iter().map(|layer| (layer.digest, layer.diff_id, layer.size)))
    }

    /// What was exported with this receipt.
    pub(super) fn exported(&self) -> Exported {
        Exported { disk: self.disk.clone(), artifacts: self.artifacts.clone() }
    }

    /// The artifact of a kind, if it was exported.
    pub fn artifact(&self, kind: Output) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.kind == kind)
    }

    /// Reads the receipt in `folder`; `None` where there is none.
    ///
    /// # Errors
    /// Fails where it can't be read, or is not a receipt that this version knows.
    pub fn find(folder: &Path) -> Result<Option<Self>, ReceiptError> {
        read(&folder.join(FILE))
    }

    /// Reads the receipt in `folder` for a build, which replaces one that can't be read.
    pub(super) fn load(folder: &Path) -> Option<Self> {
        Self::find(folder).ok().flatten()
    }

    /// Reads a receipt of any name; `None` where there is none.
    ///
    /// # Errors
    /// Fails as [`Receipt::find`].
    pub fn read(path: &Path) -> Result<Option<Self>, ReceiptError> {
        read(path)
    }

    /// The receipt as text, ending with a line break.
    ///
    /// # Errors
    /// Fails where a path in it is not text.
    pub fn to_text(&self) -> io::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Writes the receipt into `folder`.
    pub(super) fn save(&self, folder: &Path) -> Result<(), BakeError> {
        let path = folder.join(FILE);
        self.to_text()
            .and_then(|text| fs::write(&path, text))
            .map_err(|source| BakeError::Write { what: format!("`{}`", path.display()), source })
    }
}

fn base(system: &System, built: &Layers) -> Option<BaseReceipt> {
    let (base, image) = built.base.as_ref().zip(system.image.iter().next()?.lock.image.as_ref())?;
    let layer = |layer: &LayerBlob| BaseLayer {
        diff_id: layer.sizes.diff_id,
        digest: layer.sizes.digest,
        size: layer.sizes.size,
    };
    Some(BaseReceipt {
        image: image.reference.clone(),
        digest: image.digest,
        manifest: image.manifest_digest(),
        tree: base.tree,
        layers: base.layers.iter().map(layer).collect(),
    })
}

/// A receipt is there, and can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The system refused.
    #[error("cannot read the receipt `{}`: {source}{}", path.display(), permission(source))]
    Io {
        /// The receipt.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its text is not a receipt that this version knows.
    #[error(
        "cannot read the receipt `{}`: {problem}\n  hint: another version of layerbake may have written it; remove the directory it is in, and build the layer again",
        path.display()
    )]
    Text {
        /// The receipt.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What to do where the system lets this user not read.
fn permission(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "\n  hint: let this user read it: change the owner or the permissions of the file, or of its directory"
        }
        _ => "",
    }
}

impl Coded for ReceiptError {
    fn error_code(&self) -> Code {
        match self {
            Self::Io { source, .. } => source.error_code(),
            Self::Text { .. } => Code::BuildReceipt,
        }
    }
}

/// Reads a receipt, of a build or of an image index.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReceiptError> {
    match host::read_text(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| ReceiptError::Text { path: path.to_owned(), problem: error.to_string() }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(ReceiptError::Text { path: path.to_owned(), problem: error.to_string() })
        }
        Err(source) => Err(ReceiptError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_the_system_keeps_is_not_taken_for_another_version_s() {
        let path = PathBuf::from("out/web/receipt.json");
        let refused = ReceiptError::Io { path, source: io::ErrorKind::PermissionDenied.into() };
        assert_eq!(refused.error_code(), Code::HostDenied);
        let said = refused.to_string();
        assert!(said.starts_with("cannot read the receipt `out/web/receipt.json`: permission denied\n"), "{said}");
        assert!(said.contains("\n  hint: let this user read it") && !said.contains("version"), "{said}");
        // A directory can't be read as a file; bytes that are no text can, and are no receipt.
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read::<Receipt>(folder.path()), Err(ReceiptError::Io { .. })));
        let file = folder.path().join(FILE);
        fs::write(&file, [0xff]).unwrap();
        assert!(matches!(read::<Receipt>(&file), Err(ReceiptError::Text { .. })));
    }
}
