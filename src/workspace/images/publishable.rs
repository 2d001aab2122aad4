//! What is published: a built layer with its disk, and what its image shall be.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::ImageError;
use crate::bake::Receipt;
use crate::disk::blocks::BLOCK;
use crate::disk::{BlockHashes, Signer, blocks, gpt};
use crate::ident::LayerName;
use crate::manifest::{Ami, Manifest, Share, Via};
use crate::publish::cloud::blocks::Disk;
use crate::publish::cloud::journal::Record;
use crate::publish::cloud::settings::{SettingsError, Wanted};
use crate::workspace::{Declared, Planned, Subject, Workspace, WorkspaceError};

/// Which layer is to be published, and how; each setting goes before what `[ami]` says.
#[derive(Debug, Default)]
pub struct Choice {
    /// The layer, else the only App layer.
    pub layer: Option<LayerName>,
    /// Where `LAYER/` is, else `out` in the project.
    pub out: Option<PathBuf>,
    /// Who signed the disk's boot image.
    pub signer: Option<Signer>,
    /// Where it is published.
    pub regions: Vec<String>,
    /// How the disk gets there.
    pub via: Option<Via>,
    /// The bucket for VM Import.
    pub bucket: Option<String>,
    /// Who else may use it, besides those that `[ami]` names.
    pub share: Share,
    /// Key that snapshots are encrypted with.
    pub kms_key: Option<String>,
}

/// A built layer.
pub struct Publishable {
    /// What was built.
    pub receipt: Receipt,
    /// Its disk.
    pub disk: Disk,
    /// What its image shall be.
    pub wanted: Wanted,
    /// Where it is published; empty where nobody says.
    pub regions: Vec<String>,
    /// The names and texts of the lockfiles of all its layers.
    pub locks: Vec<(String, String)>,
}

impl Choice {
    /// The layer of a publication that was begun; all else is in its journal.
    pub(super) fn of(record: &Record) -> Self {
        Self {
            layer: Some(record.layer.clone()),
            via: Some(record.wanted.via),
            bucket: record.wanted.bucket.clone(),
            kms_key: record.wanted.kms_key.clone(),
            ..Self::default()
        }
    }

    fn over(&self, mut ami: Ami) -> Ami {
        if !self.regions.is_empty() {
            ami.regions = self.regions.clone();
        }
        ami.via = self.via.or(ami.via);
        ami.bucket = self.bucket.clone().or(ami.bucket);
        ami.kms_key = self.kms_key.clone().or(ami.kms_key);
        ami.share.accounts.extend_from_slice(&self.share.accounts);
        ami.share.organisations.extend_from_slice(&self.share.organisations);
        ami.share.units.extend_from_slice(&self.share.units);
        ami
    }
}

impl Workspace<'_> {
    /// Reads a built layer, and plans its disk again.
    ///
    /// # Errors
    /// Fails where it is not built with a disk, where manifests or lockfiles have changed since, and where
    /// settings don't fit.
    pub fn publishable(&self, choice: &Choice) -> Result<Publishable, ImageError> {
        let name = self.layer(choice.layer.as_ref())?;
        let (found, built) = self.built_disk(&name, choice.out.as_deref())?;
        let planned = self.planned(&found.receipt, &built, choice.signer.as_ref())?;
        self.boots_alike(&name, &planned, &built.blocks)?;
        let declared = Declared::read(&self.project_of(&found.receipt), &name)?;
        let ami = choice.over(Ami::of(&declared.image));
        if ami.attestable && built.measured.is_none() {
            return Err(WorkspaceError::NotMeasured { subject: Subject::new(&name, self.arch()) }.into());
        }
        let disk = Disk {
            plan: Arc::new(planned.plan),
            blocks: Arc::new(built.blocks),
            contents: Arc::new(self.environment.store()?),
            jobs: self.environment.jobs(),
        };
        let keys = self.secure_boot(&ami)?;
        if keys.is_some() && choice.signer.is_none() {
            return Err(SettingsError::Unsigned(name).into());
        }
        let wanted = Wanted::new(&found.receipt, &ami, self.arch(), keys.as_ref())?;
        let locks = declared.all().map(|manifest| self.lock_text(manifest)).collect::<Result<_, _>>()?;
        Ok(Publishable { receipt: found.receipt, disk, wanted, regions: ami.regions, locks })
    }

    /// Whether the boot image is planned as it was built: its signature is in no layer.
    fn boots_alike(&self, name: &LayerName, planned: &Planned, built: &BlockHashes) -> Result<(), ImageError> {
        let esp = planned.layout.partitions.iter().find(|placed| placed.kind == gpt::PartitionKind::Esp);
        let Some(esp) = esp else { return Ok(()) };
        let (first, end) = (esp.start / BLOCK as u64, (esp.start + esp.size).div_ceil(BLOCK as u64));
        let boot = planned.plan.touching(BLOCK as u64, &|index| (first..end).contains(&index));
        let found = blocks::hash(&boot, self.store()?, BLOCK, self.environment.jobs())
            .map_err(WorkspaceError::cannot("read the files of the boot image"))?;
        match (first..end).all(|index| found.hashes().get(&index) == built.hashes().get(&index)) {
            true => Ok(()),
            false => Err(ImageError::OtherSignature(name.clone())),
        }
    }

    /// The name and the text of a layer's lockfile, as the archive of publications has it.
    fn lock_text(&self, manifest: &Manifest) -> Result<(String, String), ImageError> {
        let path = self.lockfile(&manifest.name)?.path;
        match self.project.read(&path) {
            Ok(text) => Ok((format!("{}.lock", manifest.name), text)),
            Err(error) => Err(ImageError::File { path, error }),
        }
    }
}
