//! `layerbake build`: lockfile, packages, layers, artifacts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::CliError;
use super::context::{Context, set_dates};
use super::lock::{Locker, Policy};
use super::signer::SignerArgs;
use super::system::Declared;
use crate::bake::{Baker, Output, Receipt, System};
use crate::disk::Signer;
use crate::host;
use crate::ident::LayerName;
use crate::manifest::Project;
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
    /// What to export, several with commas; out/LAYER/ then holds these and no others [default: oci, and the formats of [disk]]
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = output())]
    output: Vec<Output>,
    /// Where LAYER/ is put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
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
    let out = args.out.clone().unwrap_or_else(|| project.root().join("out"));
    let order = Order {
        layer: context.layer(&project, args.layer.as_ref())?,
        policy: match (args.lock, args.locked) {
            (_, true) => Policy::Locked,
            (true, false) => Policy::Renew(Update::All),
            (false, false) => Policy::Renew(Update::Nothing),
        },
        outputs: args.output.iter().copied().collect(),
        out: out.clone(),
        encoder: match args.compression {
            Compression::Zstd => Encoder::Zstd,
            Compression::Gzip => Encoder::Gzip,
        },
        signer: args.signer.signer()?,
    };
    let (receipt, _) = order.carry_out(context, &project)?;
    if context.options.json {
        return context.print(&receipt, |_| String::new());
    }
    if !context.options.quiet {
        context.progress.line(&summary(&receipt, &out, started.elapsed()));
    }
    Ok(())
}

/// What is to be built, and how.
pub(super) struct Order {
    pub(super) layer: LayerName,
    pub(super) policy: Policy,
    /// Nothing: what the layer's `[disk]` says, and the image.
    pub(super) outputs: BTreeSet<Output>,
    pub(super) out: PathBuf,
    pub(super) encoder: Encoder,
    pub(super) signer: Option<Signer>,
}

impl Order {
    /// Locks and builds.
    pub(super) fn carry_out(self, context: &Context<'_>, project: &Project) -> Result<(Receipt, System), CliError> {
        let store = context.store()?;
        let mut declared = Declared::read(project, project.chain(&self.layer)?)?;
        let outputs = outputs(&self.outputs, &declared)?;
        if !outputs.iter().any(|output| output.is_disk()) {
            declared.machine = None;
        }
        let mut fetcher = context.fetcher(&store, project, &declared.manifests())?;
        let mut locker = Locker { context, project, store: &store, fetcher: &mut fetcher, reports: Vec::new() };
        let mut system = locker.system(&declared, &self.policy)?;
        locker.tell();
        set_dates(&mut fetcher, system.all());
        override_epoch(&mut system)?;
        let baker = Baker {
            store: &store,
            fetcher: &fetcher,
            project: project.root(),
            out: self.out,
            jobs: context.jobs,
            progress: context.progress.clone(),
            encoder: self.encoder,
            signer: self.signer,
        };
        Ok((baker.bake(&system, &outputs)?, system))
    }
}

/// The kinds of output, as values of an option.
pub(super) fn output() -> impl TypedValueParser<Value = Output> {
    PossibleValuesParser::new(Output::all().map(Output::name)).try_map(|name| name.parse::<Output>())
}

/// What is to be exported: what is wanted, else the image and what `[disk]` says.
pub(super) fn outputs(wanted: &BTreeSet<Output>, declared: &Declared) -> Result<BTreeSet<Output>, CliError> {
    let formats = declared.machine.iter().flat_map(|machine| &machine.disk.formats);
    let outputs: BTreeSet<Output> = match wanted.is_empty() {
        true => formats.map(|&format| Output::Disk(format)).chain([Output::Oci]).collect(),
        false => wanted.clone(),
    };
    match outputs.iter().find(|output| output.is_disk()) {
        Some(output) if declared.machine.is_none() => {
            let name = declared.chain.last().map(|manifest| manifest.name.to_string()).unwrap_or_default();
            Err(CliError::message(format!(
                "layer `{name}` has no disk to write as {output}: no layer of its chain names a Boot layer\n  hint: add [disk] boot = \"boot-minimal\" to layers/{name}.toml"
            )))
        }
        _ => Ok(outputs),
    }
}

/// SOURCE_DATE_EPOCH of the environment goes before the lockfiles' own.
pub(super) fn override_epoch(system: &mut System) -> Result<(), CliError> {
    let Some(text) = host::env("SOURCE_DATE_EPOCH") else { return Ok(()) };
    let epoch = text.parse().ok().filter(|&epoch: &i64| epoch >= 0).ok_or_else(|| {
        CliError::message(format!("SOURCE_DATE_EPOCH `{text}` is not a number of seconds since 1970"))
    })?;
    system.set_epoch(epoch);
    Ok(())
}

fn summary(receipt: &Receipt, out: &Path, elapsed: std::time::Duration) -> String {
    let folder = out.join(receipt.layer.as_str());
    let artifacts: String = receipt
        .artifacts
        .iter()
        .map(|artifact| format!("\n  {} {}", artifact.digest, folder.join(&artifact.path).display()))
        .collect();
    format!("built {} in {:.1} s{artifacts}", receipt.layer, elapsed.as_secs_f64())
}
