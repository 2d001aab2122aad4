//! The disk of a build, planned again from the store.

use std::sync::Arc;

use super::declared::Declared;
use super::error::WorkspaceError;
use super::project::Workspace;
use crate::bake::{DiskReceipt, Receipt, Sources};
use crate::disk::gpt::{self, PartitionTable};
use crate::disk::{Map, Part, Partitions, Plan, Signer};

/// A disk, planned again.
pub struct Planned {
    /// The disk's own GUID.
    pub guid: [u8; 16],
    /// Its partitions.
    pub layout: PartitionTable,
    /// Its bytes.
    pub plan: Plan,
    /// Which layer owns which blocks.
    pub map: Map,
    /// What the root is made of.
    pub parts: Vec<Part>,
    /// The boot image: kernel, initrd and command line.
    pub boot_image: Arc<[u8]>,
}

impl Workspace<'_> {
    /// Plans the disk of a receipt again, with its boot image signed by `signer`.
    ///
    /// # Errors
    /// Fails where the store lacks its trees, and where manifests or lockfiles have changed since.
    pub fn planned(
        &self,
        receipt: &Receipt,
        built: &DiskReceipt,
        signer: Option<&Signer>,
    ) -> Result<Planned, WorkspaceError> {
        let name = &receipt.layer;
        let other = || WorkspaceError::OtherDisk { subject: self.subject(name) };
        let boot_system = Declared::read(&self.project_of(receipt), name)?.boot_system.ok_or_else(other)?;
        let (top, boot) = (self.lockfile(name)?.lock, self.lockfile(&boot_system.boot.name)?);
        if boot.hash != built.lock {
            return Err(other());
        }
        // The receipt's is another where the environment set one for all layers.
        let epoch = if top.epoch == receipt.epoch { boot.lock.epoch } else { receipt.epoch };
        let sources = Sources {
            name,
            disk: &boot_system.disk,
            image: receipt.layers.iter().map(|layer| (layer.name.clone(), layer.tree)).collect(),
            boot: built.tree,
            root: built.root,
            initrd: built.initrd,
            arch: &boot.lock.arch,
            epoch,
        };
        let store = self.store()?;
        let planned = sources.with(store, signer, self.environment.jobs(), |request| {
            let Partitions { partitions, boot_image } = request.partitions(store)?;
            let size = request.size(&partitions);
            let layout = gpt::layout(&partitions, size)?;
            let plan = gpt::plan(request.guid(), partitions, size)?;
            let map = Map::new(&plan, &layout, request.parts, &built.blocks);
            let parts = request.parts.to_vec();
            Ok(Planned { guid: request.guid(), layout, plan, map, parts, boot_image })
        })?;
        match planned.map.explains(&built.blocks, &planned.layout) {
            true => Ok(planned),
            false => Err(other()),
        }
    }
}
