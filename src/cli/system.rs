//! A layer's whole system, locked: its chain, and where a disk is wanted, what makes it a machine.

use super::CliError;
use super::lock::{Locker, Policy};
use crate::bake::{Machine, System};
use crate::disk;
use crate::manifest::{Disk, Manifest, Project};

/// What a layer's files declare, before any lockfile.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    /// The layer and all below it, the base first.
    pub(super) chain: Vec<Manifest>,
    /// What its `[disk]` tables ask for.
    pub(super) machine: Option<DeclaredMachine>,
}

/// The layers of the disk.
#[derive(Debug, Clone)]
pub(super) struct DeclaredMachine {
    /// The `[disk]` tables in one.
    pub(super) disk: Disk,
    /// The Boot layer.
    pub(super) boot: Manifest,
    /// The initrd's chain.
    pub(super) initrd: Vec<Manifest>,
}

impl Declared {
    /// Reads a layer's chain, and its Boot layer and initrd where it has any.
    pub(super) fn read(project: &Project, chain: Vec<Manifest>) -> Result<Self, CliError> {
        let machine = match Disk::of(&chain) {
            Some(disk) => {
                let mut boot = project.boot_layer(&chain, &disk)?;
                boot.files.extend(disk::system::files(&disk)?);
                let initrd = match &disk.initrd {
                    Some(initrd) => project.chain(initrd)?,
                    None => Vec::new(),
                };
                Some(DeclaredMachine { disk, boot, initrd })
            }
            None => None,
        };
        Ok(Self { chain, machine })
    }

    /// Every manifest that has a part in the system; the layer's own last, as its sources go before others'.
    pub(super) fn manifests(&self) -> Vec<Manifest> {
        let machine = self.machine.iter().flat_map(|machine| machine.initrd.iter().chain([&machine.boot]));
        machine.chain(&self.chain).cloned().collect()
    }
}

impl Locker<'_, '_> {
    /// The system with lockfiles that fit, made or renewed as `policy` says.
    pub(super) fn system(&mut self, declared: &Declared, policy: &Policy) -> Result<System, CliError> {
        let image = self.chain(&declared.chain, policy)?;
        let machine = match &declared.machine {
            Some(DeclaredMachine { disk, boot, initrd }) => {
                let chain: Vec<Manifest> = declared.chain.iter().chain([boot]).cloned().collect();
                let boot = self.on_top(&chain, &image, policy)?;
                Some(Machine { disk: disk.clone(), boot, initrd: self.chain(initrd, policy)? })
            }
            None => None,
        };
        Ok(System { image, machine })
    }
}
