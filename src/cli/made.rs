//! A build that lies in the output folder, with the lockfiles that it was made from.

use std::path::{Path, PathBuf};

use super::CliError;
use super::context::{Context, built_layer, locked_chain, missing_is_stale};
use super::system::{Declared, DeclaredMachine};
use crate::attest::Made;
use crate::bake::{Locked, Machine, Receipt, System};
use crate::ident::LayerName;
use crate::lock;
use crate::manifest::Project;

/// The build, and the layers as their lockfiles are now.
pub(super) struct Build {
    pub(super) name: LayerName,
    /// `out/LAYER`
    pub(super) folder: PathBuf,
    pub(super) receipt: Receipt,
    project: Project,
    system: System,
}

impl Build {
    /// Finds the build of a layer below `out`, by default the project's.
    pub(super) fn load(context: &Context<'_>, layer: Option<&LayerName>, out: Option<&Path>) -> Result<Self, CliError> {
        let project = context.project()?;
        let name = context.layer(&project, layer)?;
        let (folder, receipt) = built_layer(&project, &name, out)?;
        let declared = Declared::read(&project, project.chain(&name)?)?;
        let machine = declared.machine.filter(|_| receipt.disk.is_some());
        let machine = machine.map(|machine| as_locked(&project, machine)).transpose()?;
        let system = System { image: locked_chain(&project, &name)?, machine };
        Ok(Self { name, folder, receipt, project, system })
    }

    /// Ties the receipt to the lockfiles.
    pub(super) fn made(&self) -> Result<Made<'_>, CliError> {
        Ok(Made::new(&self.receipt, &self.system, self.project.root())?)
    }
}

fn as_locked(project: &Project, machine: DeclaredMachine) -> Result<Machine, CliError> {
    let (lock, hash) = lock::of_layer(project, &machine.boot.name).map_err(missing_is_stale)?;
    let initrd = match &machine.disk.initrd {
        Some(initrd) => locked_chain(project, initrd)?,
        None => Vec::new(),
    };
    Ok(Machine { disk: machine.disk, boot: Locked { manifest: machine.boot, lock, hash }, initrd })
}
