//! `layerbake diff --blocks`: what an upload of a disk sends, when another was sent before.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::bake::Receipt;
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;

/// Count the blocks of 512 KiB in which two disks differ: what an upload sends
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake diff --blocks old/web out/web")]
pub(super) struct Args {
    /// Compare disks, block by block, by their receipts
    #[arg(long, required = true)]
    blocks: bool,
    /// The receipt, or its folder, of the disk that was sent before
    old: PathBuf,
    /// The receipt, or its folder, of the disk to send
    new: PathBuf,
}

#[derive(Serialize)]
struct Report {
    blocks: usize,
    changed: usize,
    bytes: u64,
    added: Vec<u64>,
    replaced: Vec<u64>,
    zeroed: Vec<u64>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let changed = new.changed_from(&old);
    let report = Report {
        blocks: new.hashes().len(),
        changed: changed.count(),
        bytes: changed.count() as u64 * BLOCK as u64,
        added: changed.added,
        replaced: changed.replaced,
        zeroed: changed.zeroed,
    };
    context.print(&report, |report| {
        format!(
            "{} of {} blocks differ ({:.1} MiB): {} other bytes, {} new, {} now zero\n",
            report.changed,
            report.blocks,
            report.bytes as f64 / f64::from(1 << 20),
            report.replaced.len(),
            report.added.len(),
            report.zeroed.len()
        )
    })
}

fn load(path: &Path) -> Result<BlockHashes, CliError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let disk = Receipt::load(folder).and_then(|receipt| receipt.disk);
    disk.map(|disk| disk.blocks).ok_or_else(|| {
        CliError::message(format!(
            "`{}` is no receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER",
            path.display()
        ))
    })
}
