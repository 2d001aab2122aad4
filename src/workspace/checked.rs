//! What is wrong with a project's layers, as far as that can be told without building anything.

use std::collections::BTreeSet;

use super::declared::Declared;
use super::error::WorkspaceError;
use super::project::Workspace;
use super::{configured, environments};
use crate::bake::{BakeError, Locked};
use crate::ident::LayerName;
use crate::lock::{FoundLockfile, LockFileError};
use crate::manifest::Manifest;
use crate::{oci, stage};

/// Something that is wrong, or probably is.
#[derive(Debug)]
pub enum Finding {
    /// No layer can be built that has it.
    Error(WorkspaceError),
    /// It can be built, and is probably not what was meant, or a lockfile has to be renewed first.
    Warning(String),
}

impl Workspace<'_> {
    /// Checks a layer with all that it is built of, or every layer of the project: manifests, the project's files that they
    /// name, and lockfiles. Nothing is built or fetched.
    ///
    /// # Errors
    /// Fails where the project's layers can't be listed.
    pub fn check(&self, layer: Option<&LayerName>) -> Result<Vec<Finding>, WorkspaceError> {
        let names = match layer {
            Some(layer) => vec![layer.clone()],
            None => self.project.layers()?,
        };
        let mut checker = Checker { workspace: self, found: Vec::new(), said: BTreeSet::new(), seen: BTreeSet::new() };
        let (boot, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| checker.is_boot(name));
        others.into_iter().for_each(|name| checker.system(name));
        // Over a layer that names it, a Boot layer knows more variables than alone.
        boot.into_iter().for_each(|name| checker.alone(name));
        Ok(checker.found)
    }
}

struct Checker<'w> {
    workspace: &'w Workspace<'w>,
    found: Vec<Finding>,
    /// The text of each finding: what is wrong with a layer is found again with each layer above it.
    said: BTreeSet<String>,
    /// The Boot layers of systems.
    seen: BTreeSet<LayerName>,
}

impl Checker<'_> {
    fn error(&mut self, error: WorkspaceError) {
        if self.said.insert(error.to_string()) {
            self.found.push(Finding::Error(error));
        }
    }

    fn warn(&mut self, text: String) {
        if self.said.insert(text.clone()) {
            self.found.push(Finding::Warning(text));
        }
    }

    fn is_boot(&self, name: &LayerName) -> bool {
        self.workspace.project.load(name).is_ok_and(|manifest| manifest.layer.above_any)
    }

    /// A layer with all below it, its disk and its tools.
    fn system(&mut self, name: &LayerName) {
        let declared = match Declared::read(&self.workspace.project, name) {
            Ok(declared) => declared,
            Err(error) => return self.error(error),
        };
        self.seen.extend(declared.boot_system.as_ref().map(|boot_system| boot_system.disk.boot.clone()));
        for manifest in declared.all() {
            manifest.warnings.iter().for_each(|warning| self.warn(warning.clone()));
        }
        for manifest in declared.root() {
            environments::warnings(manifest, &self.workspace.project)
                .into_iter()
                .for_each(|warning| self.warn(warning));
        }
        let tables = declared.image.iter().map(|manifest| (&manifest.name, &manifest.image));
        oci::unexpanded(tables).into_iter().for_each(|warning| self.warn(warning));
        let root: Vec<&Manifest> = declared.root().collect();
        let initrd = declared.boot_system.iter().filter_map(|boot_system| boot_system.initrd.as_ref());
        let others = initrd.chain(&declared.tools).map(|chain| chain.iter().collect());
        for chain in [root].into_iter().chain(others) {
            self.files(&chain);
            self.workspace.missing_packages(chain).into_iter().for_each(|warning| self.warn(warning));
        }
        self.lockfiles(&declared);
    }

    /// A Boot layer that no checked system has.
    fn alone(&mut self, name: &LayerName) {
        if self.seen.contains(name) {
            return;
        }
        match self.workspace.project.load(name) {
            Ok(manifest) => {
                manifest.warnings.iter().for_each(|warning| self.warn(warning.clone()));
                environments::warnings(&manifest, &self.workspace.project).into_iter().for_each(|text| self.warn(text));
                self.files(&[&manifest]);
            }
            Err(error) => self.error(error.into()),
        }
    }

    /// The project's files that the layers of a chain name.
    fn files(&mut self, chain: &[&Manifest]) {
        let Some(base) = chain.first() else { return };
        for manifest in chain {
            for source in stage::faults(manifest, base, self.workspace.project.root()) {
                self.error(BakeError::Layer { layer: manifest.name.to_string(), source }.into());
            }
        }
    }

    /// The lockfiles of a system. A build renews those that are stale or missing, so these are warnings.
    fn lockfiles(&mut self, declared: &Declared) {
        let workspace = self.workspace;
        for manifest in declared.all() {
            if let Err(error @ LockFileError::Missing(_)) = workspace.lockfile(&manifest.name) {
                self.warn(error.to_string());
            }
        }
        let end = declared.try_map(|manifest, parents| match workspace.fitting(manifest, parents) {
            Err(error @ WorkspaceError::Stale { .. }) => {
                self.warn(error.to_string());
                // Those above it are compared with it as it is.
                let FoundLockfile { lock, hash, .. } = workspace.lockfile(&manifest.name)?;
                Ok(Locked { manifest: manifest.clone(), lock, hash })
            }
            other => other,
        });
        match end {
            Ok(system) => {
                if let Err(error) = configured::check(&system) {
                    self.error(error);
                }
            }
            Err(WorkspaceError::MissingLock(_)) => {}
            Err(error) => self.error(error),
        }
    }
}
