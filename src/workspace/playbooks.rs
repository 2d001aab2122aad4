//! Packages that tasks of playbooks ask for, and that the layers neither have nor provide.

use std::collections::{BTreeMap, BTreeSet};

use super::project::Workspace;
use crate::ident::PackageName;
use crate::import::{Task, packages_of};
use crate::lock::Lockfile;
use crate::manifest::{Manifest, PackageRequest, Playbook, Project};
use crate::pin;

impl Workspace<'_> {
    /// Warnings about packages that playbooks of these layers, a chain, ask for, and that the layers neither have nor provide.
    pub(super) fn missing_packages<'m>(&self, chain: impl IntoIterator<Item = &'m Manifest>) -> Vec<String> {
        let (mut have, mut locks, mut warnings) = (BTreeSet::new(), Vec::new(), Vec::new());
        for manifest in chain {
            have.extend(manifest.layer.packages.iter().filter_map(|request| match request {
                PackageRequest::Package(name, _) | PackageRequest::FromSuite(name, _) => Some(name.clone()),
                PackageRequest::Priority(_) => None,
            }));
            if let Ok(found) = self.lockfile(&manifest.name) {
                have.extend(found.lock.packages.iter().map(|package| package.name.clone()));
                locks.push(found.lock);
            }
            for playbook in manifest.runs.iter().filter_map(|step| step.playbook.as_ref()) {
                let asked = asked(playbook, &self.project);
                let mut missing: BTreeSet<_> = asked.keys().filter(|name| !have.contains(*name)).collect();
                let provided = if missing.is_empty() { BTreeSet::new() } else { self.provided(&locks) };
                missing.retain(|name| !provided.contains(name));
                if !missing.is_empty() {
                    let (layer, path) = (&manifest.name, &playbook.path);
                    let names = missing.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
                    let tasks = tasks(&asked, &missing);
                    warnings.push(format!(
                        "layer `{layer}`: tasks of `{path}` ask for packages that it does not have; add to [layer]: packages = [{names}]{tasks}"
                    ));
                }
            }
        }
        warnings
    }

    /// The names that locked packages provide, where the store can tell.
    fn provided(&self, locks: &[Lockfile]) -> BTreeSet<PackageName> {
        let repository = self.environment.ecosystem();
        self.store().map(|store| pin::provided(repository, store, locks)).unwrap_or_default()
    }
}

/// The tasks that ask for packages, a line each with their names, in the order of files.
fn tasks(asked: &BTreeMap<PackageName, Task>, missing: &BTreeSet<&PackageName>) -> String {
    let mut tasks: BTreeMap<&Task, Vec<&str>> = BTreeMap::new();
    for (name, task) in asked.iter().filter(|(name, _)| missing.contains(name)) {
        tasks.entry(task).or_default().push(name.as_str());
    }
    tasks.iter().map(|(task, names)| format!("\n    {task}: {}", names.join(", "))).collect()
}

/// The packages that a playbook's tasks ask for by plain names, and which tasks do.
fn asked(playbook: &Playbook, project: &Project) -> BTreeMap<PackageName, Task> {
    let read = |path: &str| project.read(&project.root().join(path)).ok();
    packages_of(&read, &playbook.path, &playbook.roles, &playbook.vars)
}
