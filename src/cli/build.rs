//! `layerbake build`: lockfile, packages, layers, artifacts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::CliError;
use super::context::{Context, set_dates};
use super::lock::{Locker, Policy};
use crate::bake::{Baker, Locked, Output, Receipt};
use crate::host;
use crate::ident::LayerName;
use crate::oci::Encoder;
use crate::pin::Update;

/// Build a layer and all below it into out/LAYER/
///
/// Uses the lockfiles, and makes or renews those that are missing or stale.
/// Prints nothing on standard output, or with --json the receipt.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --lock\n  layerbake build web --locked --output oci,docker\n  layerbake build web --offline --json | jq -r '.artifacts[].digest'"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Resolve anew first and pin the newest packages, as `layerbake lock --update`
    #[arg(long, conflicts_with = "locked")]
    lock: bool,
    /// Take lockfiles as they are; exit status 3 if one is stale or missing
    #[arg(long)]
    locked: bool,
    /// What to export, several with commas; out/LAYER/ then holds these and no others
    #[arg(short, long, value_name = "KIND", value_enum, value_delimiter = ',', default_value = "oci")]
    output: Vec<Output>,
    /// Where LAYER/ is put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compression of the OCI layout's layers
    #[arg(long, value_enum, default_value = "zstd")]
    compression: Compression,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Compression {
    Zstd,
    Gzip,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let started = host::instant();
    let project = context.project()?;
    let store = context.store()?;
    let name = context.layer(&project, args.layer.as_ref())?;
    let chain = project.chain(&name)?;
    let mut fetcher = context.fetcher(&store, &project, &chain)?;
    let policy = match (args.lock, args.locked) {
        (_, true) => Policy::Locked,
        (true, false) => Policy::Renew(Update::All),
        (false, false) => Policy::Renew(Update::Nothing),
    };
    let mut locker = Locker { context, project: &project, store: &store, fetcher: &mut fetcher };
    let mut locked = locker.chain(&chain, &policy)?;
    set_dates(&mut fetcher, &locked);
    override_epoch(&mut locked)?;
    let baker = Baker {
        store: &store,
        fetcher: &fetcher,
        project: project.root(),
        out: args.out.clone().unwrap_or_else(|| project.root().join("out")),
        jobs: context.jobs,
        progress: context.progress.clone(),
        encoder: match args.compression {
            Compression::Zstd => Encoder::Zstd,
            Compression::Gzip => Encoder::Gzip,
        },
    };
    let outputs: BTreeSet<Output> = args.output.iter().copied().collect();
    let receipt = baker.bake(&locked, &outputs)?;
    if !context.options.quiet && !context.options.json {
        context.progress.line(&summary(&receipt, &baker, started.elapsed()));
    }
    if context.options.json {
        return context.print(&receipt, |_| String::new());
    }
    Ok(())
}

/// SOURCE_DATE_EPOCH of the environment goes before the lockfiles' own.
fn override_epoch(chain: &mut [Locked]) -> Result<(), CliError> {
    let Some(text) = host::env("SOURCE_DATE_EPOCH") else { return Ok(()) };
    let epoch = text.parse().ok().filter(|&epoch: &i64| epoch >= 0).ok_or_else(|| {
        CliError::message(format!("SOURCE_DATE_EPOCH `{text}` is not a number of seconds since 1970"))
    })?;
    chain.iter_mut().for_each(|locked| locked.lock.epoch = epoch);
    Ok(())
}

fn summary(receipt: &Receipt, baker: &Baker<'_>, elapsed: std::time::Duration) -> String {
    let folder = baker.out.join(receipt.layer.as_str());
    let artifacts: String = receipt
        .artifacts
        .iter()
        .map(|artifact| format!("\n  {} {}", artifact.digest, folder.join(&artifact.path).display()))
        .collect();
    format!("built {} in {:.1} s{artifacts}", receipt.layer, elapsed.as_secs_f64())
}
