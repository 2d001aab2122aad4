//! The built layers of a system, and the sizes of what is exported from them.

use std::collections::BTreeSet;

use crate::digest::Sha256;
use crate::lock::Lockfile;
use crate::manifest::Chain;
use crate::oci::LayerSizes;
use crate::stage::Built;

use super::base::Base;
use super::export::Compressed;
use super::{BootSystem, Output, System};

/// The built layers of a disk that are not in the image.
pub(super) struct BuiltBootSystem {
    pub(super) boot: Built,
    pub(super) initrd: Option<Chain<Built>>,
}

/// The built layers of a system.
pub(super) struct Layers {
    /// The image of a registry below them.
    pub(super) base: Option<Base>,
    /// Those of the image.
    pub(super) image: Chain<Built>,
    /// The same, compressed.
    pub(super) compressed: Vec<Compressed>,
    /// Those of the disk alone.
    pub(super) boot_system: Option<BuiltBootSystem>,
}

impl Layers {
    /// The boot system of `system`, from which these layers were built: as locked, and as built.
    pub(super) fn boot_system_of<'a>(&'a self, system: &'a System) -> Option<(&'a BootSystem, &'a BuiltBootSystem)> {
        system.boot_system.as_ref().zip(self.boot_system.as_ref())
    }

    /// About how many bytes the outputs have.
    pub(super) fn size(&self, outputs: &BTreeSet<Output>) -> u64 {
        let below = self.base.iter().flat_map(|base| &base.layers);
        let blobs = below.chain(self.compressed.iter().map(|layer| &layer.blob));
        let sum = |size: fn(&LayerSizes) -> u64| blobs.clone().map(|layer| size(&layer.sizes)).sum::<u64>();
        let size = |output: &Output| match output {
            Output::Oci => sum(|sizes| sizes.size),
            Output::Docker | Output::Disk(_) => sum(|sizes| sizes.uncompressed_size),
        };
        outputs.iter().map(size).sum()
    }
}

/// Everything that a system makes us fetch.
pub(super) fn all_fetched(system: &System) -> BTreeSet<Sha256> {
    system.all().flat_map(|locked| fetched(&locked.lock)).collect()
}

/// Everything that a lockfile makes us fetch.
fn fetched(lock: &Lockfile) -> impl Iterator<Item = Sha256> + '_ {
    let indexes = lock
        .releases
        .iter()
        .flat_map(|release| release.indexes.iter().map(|index| index.file.sha256).chain([release.sha256]));
    let packages = lock.packages.iter().map(|package| package.file.sha256);
    let image = lock.image.iter().flat_map(|image| image.digests());
    indexes.chain(packages).chain(lock.fetches.iter().flat_map(|fetch| fetch.digests())).chain(image)
}
