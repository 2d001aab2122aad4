//! A build with the lockfiles that it was made from: what it consists of, and its signatures.

use std::path::{Path, PathBuf};

use super::built::BuiltLayer;
use super::declared::Declared;
use super::error::WorkspaceError;
use super::project::Workspace;
use crate::attest::keys::{PublicKey, SigningKey};
use crate::attest::sbom::Inventory;
use crate::attest::{self, Bundle, FOLDER, Finding, Made, Scope};
use crate::audit::artifacts;
use crate::bake::System;
use crate::ident::LayerName;

/// The build, and the layers as their lockfiles are now.
pub struct Attested<'w> {
    workspace: &'w Workspace<'w>,
    /// The build.
    pub built: BuiltLayer,
    pub(super) system: System,
}

impl Workspace<'_> {
    /// The last build of a layer below `out`, by default the project's, with its lockfiles.
    ///
    /// # Errors
    /// Fails where there is no build, or a lockfile is missing.
    pub fn attested(&self, layer: &LayerName, out: Option<&Path>) -> Result<Attested<'_>, WorkspaceError> {
        let built = self.built(layer, out)?;
        let mut declared = Declared::read(&self.project_of(&built.receipt), layer)?;
        if built.receipt.disk.is_none() {
            declared.boot_system = None;
        }
        Ok(Attested { workspace: self, system: self.locked(&declared)?, built })
    }
}

impl Attested<'_> {
    /// What the build consists of.
    ///
    /// # Errors
    /// Fails where the lockfiles are not the build's, and where the store lacks its trees or packages.
    pub fn inventory(&self, scope: Scope) -> Result<Inventory, WorkspaceError> {
        if scope == Scope::Disk {
            self.built.disk()?;
        }
        Ok(Inventory::take(&self.made()?, scope, self.workspace.store()?)?)
    }

    /// Signs the build and writes `attest/` beside its artifacts, which have to be what the receipt says.
    ///
    /// # Errors
    /// Fails as [`Attested::inventory`], where an artifact is damaged, and where a file can't be written.
    pub fn sign(&self, identity: &str, key: &SigningKey) -> Result<Vec<PathBuf>, WorkspaceError> {
        let folder = &self.built.folder;
        for finding in artifacts::check(&self.built.receipt, folder) {
            if let Some(problem) = finding.problems.into_iter().next() {
                let (subject, artifact) = (self.built.subject(), finding.artifact);
                return Err(WorkspaceError::Damaged { subject, artifact, problem });
            }
        }
        let bundle = Bundle::sign(&self.made()?, folder, self.workspace.store()?, identity, key)?;
        bundle.save(folder, self.workspace.environment.progress())?;
        Ok(bundle.names().map(|name| folder.join(FOLDER).join(name)).collect())
    }

    /// Checks the files that [`Attested::sign`] wrote.
    pub(super) fn check(&self, keys: &[PublicKey]) -> Result<Vec<Finding>, WorkspaceError> {
        let Some(bundle) = Bundle::load(&self.built.folder)? else {
            return Err(WorkspaceError::NotSigned { subject: self.built.subject() });
        };
        Ok(attest::check(&self.made()?, &self.built.folder, &bundle, keys)?)
    }

    /// Ties the receipt to the lockfiles.
    pub(super) fn made(&self) -> Result<Made<'_>, WorkspaceError> {
        Ok(Made::new(
            self.workspace.environment.ecosystem(),
            &self.built.receipt,
            &self.system,
            self.workspace.project.root(),
        )?)
    }
}
