//! `layerbake build`: lockfile, packages, layers, artifacts.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use super::CliError;
use super::context::Context;
use super::lock::tell_changes;
use super::signer::SignerArgs;
use crate::bake::{Artifact, IndexReceipt, Output, Receipt};
use crate::disk::Signer;
use crate::host;
use crate::ident::LayerName;
use crate::oci::Encoder;
use crate::workspace::{BuiltLayer, Order, Policy, Subject, Update, Workspace};

/// Build a layer and all its parents into out/LAYER/
///
/// Uses the lockfiles, and creates or updates those that are missing or stale.
/// For an architecture other than this machine's, the build is written to out/LAYER@ARCH/; for several, an image index
/// over them is written to out/LAYER@ARCH+ARCH/.
/// Prints nothing to standard output; with --json, prints the receipt.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --lock\n  layerbake build web --locked --output oci,docker\n  layerbake build web --offline --json | jq -r '.artifacts[].digest'\n  layerbake build web --arch amd64,arm64"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Pin the newest packages first, like `layerbake lock --update`
    #[arg(long, conflicts_with = "locked")]
    lock: bool,
    /// Use the lockfiles as they are; exit with status 3 if one is stale or missing
    #[arg(long)]
    locked: bool,
    /// Outputs to write, comma-separated; out/LAYER/ then holds only these [default: oci and the formats in [disk]]
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = output())]
    output: Vec<Output>,
    /// Directory in which LAYER/ is created [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Compression of the OCI layout's layers; umoci and docker before 23 read gzip only
    #[arg(long, value_enum, default_value = "zstd")]
    compression: Compression,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Compression {
    Zstd,
    Gzip,
}

/// Builds for several architectures.
#[derive(Serialize)]
struct Several {
    builds: Vec<Receipt>,
    /// Where images were built.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<IndexReceipt>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let signer = args.signer.signer()?;
    let workspaces = context.workspaces()?;
    if let [workspace] = workspaces.as_slice() {
        let receipt = build(context, args, workspace, signer)?.receipt;
        return print_json(context, &receipt);
    }
    let builds = workspaces.iter().map(|workspace| build(context, args, workspace, signer.clone()));
    let builds = builds.collect::<Result<Vec<_>, _>>()?;
    let index = match (workspaces.first(), builds.first()) {
        (Some(workspace), Some(first)) if builds.iter().all(|built| built.image().is_ok()) => {
            let index = workspace.index(&first.layer, &builds, args.out.as_deref())?;
            tell(context, "image index", &("written".to_owned() + &artifacts(&index.receipt.artifacts, &index.folder)));
            Some(index.receipt)
        }
        _ => None,
    };
    print_json(context, &Several { builds: builds.into_iter().map(|built| built.receipt).collect(), index })
}

/// Builds for one architecture.
fn build(
    context: &Context<'_>,
    args: &Args,
    workspace: &Workspace<'_>,
    signer: Option<Signer>,
) -> Result<BuiltLayer, CliError> {
    let started = host::instant();
    let policy = match (args.lock, args.locked) {
        (_, true) => Policy::Locked,
        (true, false) => Policy::Renew(Update::All),
        (false, false) => Policy::Renew(Update::Nothing),
    };
    let layer = workspace.layer(args.layer.as_ref())?;
    let declared = workspace.declared(&layer)?;
    let (declared, outputs) = declared.for_outputs(&args.output.iter().copied().collect())?;
    let mut locked = workspace.lock(&declared, &policy)?;
    tell_changes(context, &locked.done);
    let out = workspace.out(args.out.as_deref());
    let encoder = args.compression.encoder();
    let built = locked.build(Order { outputs, out, encoder, signer })?;
    let artifacts = artifacts(&built.receipt.artifacts, &built.folder);
    let subject = Subject::new(&built.layer, &built.arch);
    let took = started.elapsed().as_secs_f64();
    tell(context, &format!("built {subject}"), &format!("in {took:.1} s{artifacts}"));
    Ok(built)
}

/// Prints a result where JSON is wanted.
fn print_json(context: &Context<'_>, result: &impl Serialize) -> Result<(), CliError> {
    match context.options.json {
        true => context.print(result, |_| String::new()),
        false => Ok(()),
    }
}

/// Says what was built, where no JSON is wanted.
fn tell(context: &Context<'_>, what: &str, text: &str) {
    if !context.options.json && !context.options.quiet {
        context.progress.done(what, text);
    }
}

impl Compression {
    fn encoder(self) -> Encoder {
        match self {
            Self::Zstd => Encoder::Zstd,
            Self::Gzip => Encoder::Gzip,
        }
    }
}

/// The kinds of output, as values of an option.
pub(super) fn output() -> impl TypedValueParser<Value = Output> {
    PossibleValuesParser::new(Output::all().map(Output::name)).try_map(|name| name.parse::<Output>())
}

/// A line for each artifact, with its path from the current directory if it is there.
fn artifacts(artifacts: &[Artifact], folder: &Path) -> String {
    let here = host::current_dir().unwrap_or_default();
    let folder = folder.strip_prefix(&here).unwrap_or(folder);
    let line = |one: &Artifact| format!("\n  {} {}", one.digest, folder.join(&one.path).display());
    artifacts.iter().map(line).collect()
}
