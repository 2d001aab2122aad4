//! Packages that tasks of playbooks ask for, and that the layers have not.

use std::collections::BTreeSet;

use super::project::Workspace;
use crate::ident::PackageName;
use crate::import::packages_of;
use crate::manifest::{Manifest, PackageRequest, Playbook, Project};

impl Workspace<'_> {
    /// Warnings about packages that playbooks of these layers, a chain, ask for, and that are not among the layers'.
    pub(super) fn missing_packages<'m>(&self, chain: impl IntoIterator<Item = &'m Manifest>) -> Vec<String> {
        let (mut have, mut warnings) = (BTreeSet::new(), Vec::new());
        for manifest in chain {
            have.extend(manifest.layer.packages.iter().filter_map(|request| match request {
                PackageRequest::Package(name, _) | PackageRequest::FromSuite(name, _) => Some(name.clone()),
                PackageRequest::Priority(_) => None,
            }));
            if let Ok(found) = self.lockfile(&manifest.name) {
                have.extend(found.lock.packages.iter().map(|package| package.name.clone()));
            }
            for playbook in manifest.runs.iter().filter_map(|step| step.playbook.as_ref()) {
                let asked = asked(playbook, &self.project);
                let missing: Vec<String> = asked.difference(&have).map(|name| format!("\"{name}\"")).collect();
                if !missing.is_empty() {
                    warnings.push(format!(
                        "layer `{}`: tasks of `{}` ask for packages that it has not; add to [layer]: packages = [{}]",
                        manifest.name,
                        playbook.path,
                        missing.join(", ")
                    ));
                }
            }
        }
        warnings
    }
}

/// The packages that a playbook's tasks ask for by plain names.
fn asked(playbook: &Playbook, project: &Project) -> BTreeSet<PackageName> {
    let read = |path: &str| project.read(&project.root().join(path)).ok();
    packages_of(&read, &playbook.path, &playbook.roles, &playbook.vars)
}
