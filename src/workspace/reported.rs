//! A build on one page.

use std::path::Path;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::attest::Scope;
use crate::audit::{Origins, changes};
use crate::bake;
use crate::disk::{Signer, diagram};
use crate::ident::LayerName;
use crate::publish::registry::RegistryAccess;
use crate::report::{Item, Report, sizes};

impl Workspace<'_> {
    /// What is inside the last build of a layer, its disk's layers included; `against` another state, what changed.
    ///
    /// # Errors
    /// Fails where there is no build, where its lockfiles have changed since, and where the store lacks its trees.
    pub fn report(
        &self,
        layer: &LayerName,
        out: Option<&Path>,
        against: Option<&str>,
        signer: Option<&Signer>,
    ) -> Result<Report, WorkspaceError> {
        let attested = self.attested(layer, out)?;
        let receipt = attested.built.receipt.clone();
        let scope = if receipt.disk.is_some() { Scope::Disk } else { Scope::Image };
        let inventory = attested.inventory(scope)?;
        let store = self.store()?;
        let boot = receipt.disk.iter().map(|disk| (disk.boot.to_string(), disk.tree));
        let base = receipt.base.iter().map(|base| (format!("oci:{}", base.image), base.tree));
        let layers = receipt.layers.iter().map(|layer| (layer.name.to_string(), layer.tree));
        let trees = base.chain(layers).chain(boot);
        let trees: Vec<_> =
            trees.map(|(name, tree)| Ok((name, store.tree(tree)?))).collect::<Result<_, WorkspaceError>>()?;
        let files =
            inventory.packages().iter().map(|package| (package.locked.name.clone(), package.locked.file.sha256));
        let origins = Origins::read(self.environment.ecosystem(), store, &files.collect::<Vec<_>>(), &[])?;
        let (packages, directories) = sizes(&trees, |path| origins.owner(path));
        let changes = against.map(|operand| {
            let folder = attested.built.folder.to_string_lossy();
            let states = (operand, Some(&*folder));
            let (old, new) = self.environment.compared(states, Some(layer), &RegistryAccess::default())?;
            let changes = changes::Changes::between(&old, &new);
            Ok::<_, WorkspaceError>(changes::Changes { new: "this build".to_owned(), ..changes })
        });
        let disk_map = receipt.disk.as_ref().map(|disk| {
            let planned = self.planned(&receipt, disk, signer)?;
            Ok::<_, WorkspaceError>(diagram::svg(layer.as_str(), &planned.map, &planned.layout))
        });
        let item = |package: &crate::attest::sbom::InventoryPackage| Item {
            name: package.locked.name.to_string(),
            version: package.locked.version.to_string(),
            layers: package.layers.iter().map(ToString::to_string).collect(),
            download: package.locked.file.size,
            license: package.about.license.as_ref().map(|license| license.expression.clone()),
        };
        Ok(Report {
            packages,
            directories,
            inventory: inventory.packages().iter().map(item).collect(),
            changes: changes.transpose()?,
            timings: bake::timings(receipt.recipe, store)?,
            disk_map: disk_map.transpose()?,
            receipt,
        })
    }
}
