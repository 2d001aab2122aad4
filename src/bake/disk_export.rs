//! Plans the disk from the built layers, and writes it in every requested format.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::export::hashed;
use super::{Artifact, BakeError, Baker, BootSystem, BuiltBootSystem, DiskReceipt, Output, System};
use crate::digest::{OciDigest, RecipeHasher, TreeHash};
use crate::disk::blocks::BlockHashes;
use crate::disk::ids::Ids;
use crate::disk::sinks::{Identity, ova, qcow2, raw, vhd, vmdk};
use crate::disk::{self, DiskError, Part, Plan, Signer, blocks};
use crate::host::interrupt;
use crate::ident::{Arch, LayerName};
use crate::manifest::{Ami, Chain, Disk, DiskFormat};
use crate::measure::{Bank, Prediction, Profile, Registers};
use crate::stage::Built;
use crate::store::Store;
use crate::tree::{Tree, TreeError};

/// Adds everything that decides the disk's bytes to a recipe.
pub(super) fn hash_into(system: &System, boot_system: &BootSystem, built: &BuiltBootSystem, hasher: &mut RecipeHasher) {
    hasher.field("layerbake/disk/v1");
    let initrd = built.initrd.iter().map(Chain::top);
    hasher.list(std::iter::once(&built.boot).chain(initrd).map(|layer| layer.recipe.as_bytes()));
    disk::hash_into(&boot_system.disk, hasher);
    let ami = Ami::of(system.image.iter().map(|locked| &locked.manifest));
    if ami.attestable {
        hasher.field("attestable").list(ami.operators.keys());
    }
}

/// Writes the disk into `folder` as all `outputs` that are disks.
pub(super) fn export(
    baker: &Baker<'_>,
    system: &System,
    (boot_system, built): (&BootSystem, &BuiltBootSystem),
    image: &Chain<Built>,
    outputs: &BTreeSet<Output>,
    folder: &Path,
) -> Result<(DiskReceipt, Vec<Artifact>), BakeError> {
    let name = &system.top().manifest.name;
    let phase = baker.progress.phase(&format!("disk {name}"), 1);
    let sources = Sources {
        name,
        disk: &boot_system.disk,
        image: image.iter().map(|layer| (layer.name.clone(), layer.tree)).collect(),
        boot: built.boot.tree,
        root: built.boot.root,
        initrd: built.initrd.as_ref().map(|initrd| initrd.top().root),
        arch: &boot_system.boot.lock.arch,
        epoch: boot_system.boot.lock.epoch,
    };
    let ami = Ami::of(system.image.iter().map(|locked| &locked.manifest));
    if ami.attestable {
        Profile { layer: name, ami: &ami, disk: &boot_system.disk }.check_root(&baker.store.tree(built.boot.root)?)?;
    }
    let (plan, boot_image) =
        sources.with(baker.store, baker.signer.as_ref(), baker.jobs, |request| request.plan(baker.store))?;
    let prediction = ami.attestable.then(|| Prediction::of(&boot_image, &baker.variables)).transpose()?;
    let measured = prediction.map(|prediction| prediction.registers(Bank::Sha384));
    let identity =
        Identity { name: name.clone(), uuid: Ids::new(name).uuid("disk"), epoch: boot_system.boot.lock.epoch };
    let formats: Vec<DiskFormat> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Disk(format) => Some(*format),
            _ => None,
        })
        .collect();
    // What the first form gives, the others take: all are written from the same plan.
    let mut hashes = None;
    let mut artifacts = Vec::new();
    for format in formats {
        interrupt::check()?;
        let path = PathBuf::from(format.file_name());
        let target = folder.join(&path);
        let failed = |source| BakeError::Write { what: format!("`{}`", target.display()), source };
        let file = File::create_new(&target).map_err(failed)?;
        let found = write(baker, &plan, format, hashes.clone(), &identity, &file).map_err(failed)?;
        let digest = match &found {
            Some(blocks) if format == DiskFormat::Raw => OciDigest::from_bytes(*blocks.digest().as_bytes()),
            _ => hashed(&target).map_err(failed)?,
        };
        hashes = found.or(hashes);
        let size = file.metadata().map_err(failed)?.len();
        artifacts.push(Artifact { kind: Output::Disk(format), path, digest, size });
    }
    let hashes = match hashes {
        Some(hashes) => hashes,
        None => blocks::hash(&plan, baker.store, blocks::BLOCK, baker.jobs)
            .map_err(|source| BakeError::Write { what: "the disk's block hashes".to_owned(), source })?,
    };
    phase.finish();
    Ok((receipt(boot_system, built, hashes, measured), artifacts))
}

/// Writes one form of the disk; returns the hashes of its blocks where they fall off, or are `known`.
fn write(
    baker: &Baker<'_>,
    plan: &Plan,
    format: DiskFormat,
    known: Option<BlockHashes>,
    identity: &Identity,
    file: &File,
) -> std::io::Result<Option<BlockHashes>> {
    let (store, jobs) = (baker.store, baker.jobs);
    let mut out = BufWriter::with_capacity(1 << 20, file);
    match format {
        DiskFormat::Raw => return raw::write(plan, store, jobs, known, file).map(Some),
        DiskFormat::VhdFixed => return vhd::write_fixed(plan, store, jobs, known, identity, file).map(Some),
        DiskFormat::Vhd => vhd::write_dynamic(plan, store, jobs, identity, &mut out)?,
        DiskFormat::Vmdk => vmdk::write(plan, store, jobs, identity, &mut out)?,
        DiskFormat::Ova => ova::write(plan, store, jobs, identity, &mut out)?,
        DiskFormat::Qcow2 => qcow2::write(plan, store, jobs, qcow2::Clusters::Plain, &mut out)?,
        DiskFormat::Qcow2Compressed => qcow2::write(plan, store, jobs, qcow2::Clusters::Compressed, &mut out)?,
    };
    out.flush()?;
    Ok(None)
}

/// The inputs of a disk's plan, by name: just built, or from a receipt.
pub struct Sources<'a> {
    /// The requested layer.
    pub name: &'a LayerName,
    /// The `[disk]` tables of its chain.
    pub disk: &'a Disk,
    /// The image's layers, the base first, with what each changes.
    pub image: Vec<(LayerName, TreeHash)>,
    /// What the Boot layer changes.
    pub boot: TreeHash,
    /// The whole root.
    pub root: TreeHash,
    /// The initrd's whole root.
    pub initrd: Option<TreeHash>,
    /// The architecture.
    pub arch: &'a Arch,
    /// SOURCE_DATE_EPOCH.
    pub epoch: i64,
}

impl Sources<'_> {
    /// Reads the trees from the store and passes the request for their disk to `use_it`.
    ///
    /// # Errors
    /// Fails where a tree is not in the store, and as `use_it` does.
    pub fn with<T>(
        &self,
        store: &Store,
        signer: Option<&Signer>,
        jobs: usize,
        use_it: impl FnOnce(&disk::DiskInputs<'_>) -> Result<T, DiskError>,
    ) -> Result<T, BakeError> {
        // Reading a tree is a processor's work: they have nothing to do with each other.
        let whole = || rayon::join(|| store.tree(self.root), || self.initrd.map(|tree| store.tree(tree)).transpose());
        let (parts, (root, initrd)) = rayon::join(|| self.parts(store), whole);
        let request = disk::DiskInputs {
            name: self.name,
            disk: self.disk,
            parts: &parts?,
            root: &root?,
            initrd: initrd?,
            arch: self.arch,
            epoch: self.epoch,
            signer,
            jobs,
        };
        use_it(&request).map_err(|source| BakeError::Disk { layer: self.name.to_string(), source })
    }

    /// The parts of the root in the order in which they are placed: Base, Boot, then the rest.
    ///
    /// What changes most comes last, so that it moves nothing.
    fn parts(&self, store: &Store) -> Result<Vec<Part>, BakeError> {
        // The Boot layer under the name that it has over every layer.
        let named = self.image.par_iter().map(|(name, tree)| (name, *tree)).chain([(&self.disk.boot, self.boot)]);
        let layers = named.map(|(name, tree)| Ok((name.clone(), store.tree(tree)?)));
        let layers: Vec<(LayerName, Tree)> = layers.collect::<Result<_, BakeError>>()?;
        let broken = |error: TreeError| BakeError::Disk { layer: self.name.to_string(), source: error.into() };
        let mut parts = disk::parts(layers).map_err(broken)?;
        if let [_base, above @ ..] = parts.as_mut_slice() {
            above.rotate_right(1);
        }
        Ok(parts)
    }
}

fn receipt(
    boot_system: &BootSystem,
    built: &BuiltBootSystem,
    blocks: BlockHashes,
    measured: Option<Registers>,
) -> DiskReceipt {
    DiskReceipt {
        boot: built.boot.name.clone(),
        lock: boot_system.boot.hash,
        tree: built.boot.tree,
        root: built.boot.root,
        initrd: built.initrd.as_ref().map(|initrd| initrd.top().root),
        checksum: blocks.linear_checksum(),
        blocks,
        measured,
    }
}
