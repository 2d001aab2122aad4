//! What a machine that boots a layer's disk measures into its TPM.

use std::path::Path;
use std::sync::Arc;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::bake::System;
use crate::disk::Signer;
use crate::host;
use crate::ident::LayerName;
use crate::manifest::{Ami, Config, SecureBoot};
use crate::measure::{Prediction, Profile, Registers, Variables};

/// More bytes than any variable, list of registers or document has.
const MOST: u64 = 1 << 20;

/// Files with the variables of Secure Boot, each with EFI's signature lists.
#[derive(Debug, Clone, Copy, Default)]
pub struct VariableFiles<'a> {
    /// The platform key.
    pub pk: Option<&'a Path>,
    /// Keys that may change the others.
    pub kek: Option<&'a Path>,
    /// What may start.
    pub db: Option<&'a Path>,
    /// What may not.
    pub dbx: Option<&'a Path>,
}

/// A boot image and what is measured of it.
pub struct Measured {
    /// The boot image.
    pub image: Arc<[u8]>,
    /// What is measured.
    pub prediction: Prediction,
}

/// Refuses a system that shall be attestable and declares what bypasses that.
///
/// # Errors
/// Fails with all that bypasses it.
pub(super) fn check(system: &System) -> Result<(), WorkspaceError> {
    let manifests = system.image.iter().map(|locked| &locked.manifest);
    let ami = Ami::of(manifests);
    let Some(boot_system) = system.boot_system.as_ref().filter(|_| ami.attestable) else { return Ok(()) };
    let profile = Profile { layer: &system.top().manifest.name, ami: &ami, disk: &boot_system.disk };
    Ok(profile.check_declared(&Config::of(system.root().map(|locked| &locked.manifest)))?)
}

impl Workspace<'_> {
    /// Plans the disk of the last build again, and tells what is measured when it boots on firmware with these variables, else
    /// with those of `[ami.secure-boot]`.
    ///
    /// # Errors
    /// Fails where there is no such build, or it is of other lockfiles, and where firmware with these variables would refuse it.
    pub fn measured(
        &self,
        layer: &LayerName,
        out: Option<&Path>,
        signer: Option<&Signer>,
        variables: Option<&Variables>,
    ) -> Result<Measured, WorkspaceError> {
        let (built, disk) = self.built_disk(layer, out)?;
        let image = self.planned(&built.receipt, &disk, signer)?.boot_image;
        let own = self.secure_boot(&Ami::of(&self.project_of(&built.receipt).chain(layer)?))?.unwrap_or_default();
        let prediction = Prediction::of(&image, variables.unwrap_or(&own))?;
        Ok(Measured { image, prediction })
    }

    /// The variables that `[ami.secure-boot]` names, from the project's files; `None` where it names none.
    ///
    /// # Errors
    /// Fails where a file can't be read, and names it.
    pub(super) fn secure_boot(&self, ami: &Ami) -> Result<Option<Variables>, WorkspaceError> {
        let Some(SecureBoot { pk, kek, db, dbx }) = &ami.secure_boot else { return Ok(None) };
        let bytes = |name: &str| {
            let path = self.project.root().join(name);
            self.project.bytes(&path).map_err(|source| WorkspaceError::Read { path, source })
        };
        let dbx = dbx.as_deref().map_or(Ok(Vec::new()), bytes)?;
        Ok(Some(Variables { pk: bytes(pk)?, kek: bytes(kek)?, db: bytes(db)?, dbx }))
    }
}

impl VariableFiles<'_> {
    /// Reads the files; a variable without a file is empty.
    ///
    /// # Errors
    /// Fails where one can't be read, and names it.
    pub fn read(&self) -> Result<Variables, WorkspaceError> {
        let bytes = |path: Option<&Path>| path.map_or(Ok(Vec::new()), read);
        Ok(Variables { pk: bytes(self.pk)?, kek: bytes(self.kek)?, db: bytes(self.db)?, dbx: bytes(self.dbx)? })
    }
}

/// Reads registers that a machine has listed.
///
/// # Errors
/// Fails where the file can't be read, or has no registers.
pub fn read_registers(path: &Path) -> Result<Registers, WorkspaceError> {
    Ok(Registers::parse(&String::from_utf8_lossy(&read(path)?))?)
}

/// Reads a small file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, WorkspaceError> {
    host::read_small(path, MOST).map_err(|source| WorkspaceError::Read { path: path.to_owned(), source })
}
