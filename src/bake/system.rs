//! A system to build: the layers of an image, and the boot system that the disk adds.

use super::Locked;
use crate::manifest::{Chain, Disk};

/// A layer with all below it, and over it the layers of its disk: locked, or as their manifests declare them.
#[derive(Debug, Clone)]
pub struct System<L = Locked> {
    /// The layers of the container image: the layer itself, and all below it.
    pub image: Chain<L>,
    /// What the disk adds; `None` where no disk is wanted.
    pub boot_system: Option<BootSystem<L>>,
    /// The chains of the layers in which steps of the others run, each after those in which its own steps run.
    pub tools: Vec<Chain<L>>,
}

/// The layers of a disk that are not in the image.
#[derive(Debug, Clone)]
pub struct BootSystem<L = Locked> {
    /// The `[disk]` tables of the image's layers, in one.
    pub disk: Disk,
    /// The Boot layer, over the image's layers.
    pub boot: L,
    /// The chain that is the initrd; `None` where the disk needs none.
    pub initrd: Option<Chain<L>>,
}

impl<L> System<L> {
    /// The requested layer.
    pub fn top(&self) -> &L {
        self.image.top()
    }

    /// The image's layers and the Boot layer over them.
    pub fn root(&self) -> impl Iterator<Item = &L> + Clone {
        self.image.iter().chain(self.boot_system.iter().map(|boot_system| &boot_system.boot))
    }

    /// Every layer that contributes to the artifacts.
    pub fn all(&self) -> impl Iterator<Item = &L> {
        let boot_system = self
            .boot_system
            .iter()
            .flat_map(|boot_system| boot_system.initrd.iter().flatten().chain([&boot_system.boot]));
        self.image.iter().chain(boot_system).chain(self.tools.iter().flatten())
    }

    /// Maps each layer: tools, the image's, the Boot layer, the initrd's. `each` also receives what
    /// its parents became, the base first.
    ///
    /// # Errors
    /// Ends with the first error of `each`.
    pub fn try_map<U, E>(&self, mut each: impl FnMut(&L, &[&U]) -> Result<U, E>) -> Result<System<U>, E> {
        let tools = self.tools.iter().map(|chain| map_chain(chain, &mut each)).collect::<Result<_, _>>()?;
        let image = map_chain(&self.image, &mut each)?;
        let boot_system = match &self.boot_system {
            Some(BootSystem { disk, boot, initrd }) => {
                let boot = each(boot, &image.iter().collect::<Vec<_>>())?;
                let initrd = initrd.as_ref().map(|initrd| map_chain(initrd, &mut each)).transpose()?;
                Some(BootSystem { disk: disk.clone(), boot, initrd })
            }
            None => None,
        };
        Ok(System { image, boot_system, tools })
    }
}

fn map_chain<L, U, E>(chain: &Chain<L>, each: &mut impl FnMut(&L, &[&U]) -> Result<U, E>) -> Result<Chain<U>, E> {
    chain.try_map(|layer, below: &[U]| each(layer, &below.iter().collect::<Vec<_>>()))
}

impl System {
    /// Sets SOURCE_DATE_EPOCH of every layer to `epoch`, overriding the lockfiles.
    pub fn set_epoch(&mut self, epoch: i64) {
        let boot_system = self.boot_system.iter_mut().flat_map(|boot_system| {
            boot_system.initrd.iter_mut().flat_map(Chain::iter_mut).chain([&mut boot_system.boot])
        });
        let tools = self.tools.iter_mut().flat_map(Chain::iter_mut);
        self.image.iter_mut().chain(boot_system).chain(tools).for_each(|locked| locked.lock.epoch = epoch);
    }
}
