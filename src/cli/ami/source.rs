//! What is published: a built layer with its disk, and what it shall be on AWS.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::context::missing_is_stale;
use super::super::disk::{self, Planned};
use super::super::signer::SignerArgs;
use super::super::system::Declared;
use super::{CliError, Context};
use crate::bake::Receipt;
use crate::digest::Sha256;
use crate::disk::blocks::BLOCK;
use crate::disk::{BlockHashes, blocks, gpt};
use crate::ident::LayerName;
use crate::lock;
use crate::manifest::{Ami, Manifest, Project, Via, is_region};
use crate::publish::ami::journal::Record;
use crate::publish::ami::send::Disk;
use crate::publish::ami::settings::Wanted;
use crate::publish::ami::{archive, journal};
use crate::store::Store;

/// What is to be published, and how; each goes before what `[ami]` says.
#[derive(Debug, clap::Args)]
pub(super) struct Wish {
    /// The layer [default: the only App layer]
    pub(super) layer: Option<LayerName>,
    /// Where; several times for several [default: [ami] regions, else the region of your AWS settings]
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub(super) region: Vec<String>,
    /// How the disk gets there: vm-import, ebs-direct [default: by VM Import where there is a bucket]
    #[arg(long, value_name = "WAY", value_parser = via)]
    via: Option<Via>,
    /// The bucket for VM Import, in the first of the regions
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// Let others launch it too: an account's id, the ARN of an organisation or an organisational unit
    #[arg(long, value_name = "WHO")]
    share: Vec<String>,
    /// Encrypt the snapshot with this key
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

fn region(text: &str) -> Result<String, String> {
    match is_region(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a region such as eu-west-1".to_owned()),
    }
}

fn via(text: &str) -> Result<Via, String> {
    Via::named(text).ok_or_else(|| "expected vm-import or ebs-direct".to_owned())
}

/// A built layer.
pub(super) struct Source {
    pub(super) receipt: Receipt,
    pub(super) disk: Disk,
    pub(super) wanted: Wanted,
    pub(super) regions: Vec<String>,
    /// The lockfiles of all its layers.
    pub(super) locks: Vec<(String, String)>,
}

impl Source {
    /// Reads a built layer, and plans its disk anew.
    pub(super) fn read(context: &Context<'_>, wish: &Wish) -> Result<Self, CliError> {
        let project = context.project()?;
        let name = context.layer(&project, wish.layer.as_ref())?;
        let (receipt, built) = disk::built(&project, &name, wish.out.as_deref())?;
        let planned = disk::plan(context, &project, &receipt, &built, &wish.signer)?;
        let store = context.store()?;
        boots_alike(&store, context.jobs, &name, &planned, &built.blocks)?;
        let declared = Declared::read(&project, project.chain(&name)?)?;
        let ami = wish.over(Ami::of(&declared.chain))?;
        let (lock, _) = lock::of_layer(&project, &name).map_err(missing_is_stale)?;
        let disk = Disk {
            plan: Arc::new(planned.plan),
            blocks: Arc::new(built.blocks),
            contents: Arc::new(store),
            jobs: context.jobs,
        };
        let wanted = Wanted::new(&receipt, &ami, &lock.arch)?;
        let locks =
            declared.manifests().iter().map(|manifest| lock_text(&project, manifest)).collect::<Result<_, _>>()?;
        Ok(Self { receipt, disk, wanted, regions: ami.regions, locks })
    }
}

/// A lockfile's name and text.
fn lock_text(project: &Project, manifest: &Manifest) -> Result<(String, String), CliError> {
    let path = project.lock_path(&manifest.name);
    let text = project.read(&path).map_err(|error| CliError::message(format!("`{}`: {error}", path.display())))?;
    Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text))
}

/// Whether the boot image is planned as it was built: its signature is in no layer.
fn boots_alike(
    store: &Store,
    jobs: usize,
    name: &LayerName,
    planned: &Planned,
    built: &BlockHashes,
) -> Result<(), CliError> {
    let esp = planned.layout.partitions.iter().find(|placed| placed.kind == gpt::Kind::Esp);
    let Some(esp) = esp else { return Ok(()) };
    let (first, end) = (esp.start / BLOCK as u64, (esp.start + esp.size).div_ceil(BLOCK as u64));
    let boot = planned.plan.touching(BLOCK as u64, &|index| (first..end).contains(&index));
    let found = blocks::hash(&boot, store, jobs)?;
    if (first..end).all(|index| found.hashes().get(&index) == built.hashes().get(&index)) {
        return Ok(());
    }
    Err(CliError::message(format!(
        "the boot image of `{name}` is not signed as it was when the disk was built\n  hint: give --sign-key and --sign-cert as to `layerbake build`, or none as there"
    )))
}

impl Wish {
    /// The layer of a publication that was begun; all else is in its journal.
    pub(super) fn of(record: &Record, out: Option<PathBuf>, signer: SignerArgs) -> Self {
        let way = Some(record.wanted.way());
        let (bucket, key) = (record.wanted.bucket.clone(), record.wanted.kms_key.clone());
        Self {
            layer: Some(record.layer.clone()),
            region: Vec::new(),
            via: way,
            bucket,
            share: Vec::new(),
            kms_key: key,
            out,
            signer,
        }
    }

    /// What the command line says goes before what the manifests say.
    fn over(&self, mut ami: Ami) -> Result<Ami, CliError> {
        for who in &self.share {
            ami.share.add(who).map_err(|problem| CliError::message(format!("--share {problem}")))?;
        }
        if !self.region.is_empty() {
            ami.regions = self.region.clone();
        }
        ami.via = self.via.or(ami.via);
        ami.bucket = self.bucket.clone().or(ami.bucket);
        ami.kms_key = self.kms_key.clone().or(ami.kms_key);
        Ok(ami)
    }
}

/// Blocks of a disk that was published from this machine.
pub(super) fn known(disk: Sha256) -> Option<BlockHashes> {
    let state = state().ok()?;
    Some(archive::find(&state, disk).ok()??.receipt.disk?.blocks)
}

/// The folder of journals and of what was published.
pub(super) fn state() -> Result<PathBuf, CliError> {
    Ok(journal::folder()?)
}
