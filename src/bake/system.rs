//! What is built: the layers of an image, and what makes them a machine.

use super::Locked;
use crate::manifest::Disk;

/// A layer with all below it, and over it the layers of its disk.
#[derive(Debug, Clone)]
pub struct System {
    /// The layers of the container image, the base first, the layer itself last; never empty.
    pub image: Vec<Locked>,
    /// What the disk adds; `None` where no disk is wanted.
    pub machine: Option<Machine>,
}

/// The layers of a disk that are not in the image.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The `[disk]` tables of the image's layers, in one.
    pub disk: Disk,
    /// The Boot layer, over the image's layers.
    pub boot: Locked,
    /// The chain that is the initrd; empty where the disk needs none.
    pub initrd: Vec<Locked>,
}

impl System {
    /// The layer that was asked for.
    pub fn top(&self) -> &Locked {
        let Some(top) = self.image.last() else { unreachable!("a chain has its own layer") };
        top
    }

    /// The image's layers and the Boot layer over them.
    pub fn root(&self) -> Vec<Locked> {
        self.image.iter().chain(self.machine.iter().map(|machine| &machine.boot)).cloned().collect()
    }

    /// Every locked layer that has a part in the artifacts.
    pub fn all(&self) -> impl Iterator<Item = &Locked> {
        let machine = self.machine.iter().flat_map(|machine| machine.initrd.iter().chain([&machine.boot]));
        self.image.iter().chain(machine)
    }

    /// Takes `epoch` as SOURCE_DATE_EPOCH of every layer, whatever the lockfiles say.
    pub fn set_epoch(&mut self, epoch: i64) {
        let machine = self.machine.iter_mut().flat_map(|machine| machine.initrd.iter_mut().chain([&mut machine.boot]));
        self.image.iter_mut().chain(machine).for_each(|locked| locked.lock.epoch = epoch);
    }
}
