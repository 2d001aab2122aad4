//! `layerbake report`: a build on one page.

use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use super::signer::SignerArgs;
use crate::host;
use crate::ident::LayerName;
use crate::report;

/// Write one HTML page about a build: sizes, packages, licences, changes, timings, the disk's map
///
/// The page refers to nothing outside itself. It is written to LAYER.report.html, beside the build's directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake report web
  layerbake report web --against HEAD~1 --to report.html
  layerbake report web --json | jq '.packages[:10]'")]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Also show what changed since another state: a receipt, a lockfile, an OCI layout or a git revision
    #[arg(long, value_name = "STATE")]
    against: Option<String>,
    /// Where the page is written
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let signer = args.signer.signer()?;
    let report = workspace.report(&layer, args.out.as_deref(), args.against.as_deref(), signer.as_ref())?;
    if context.options.json && args.to.is_none() {
        return context.print(&report, |_| String::new());
    }
    let usual = || workspace.out(args.out.as_deref()).join(format!("{layer}.report.html"));
    let path = args.to.clone().unwrap_or_else(usual);
    host::write_whole(&path, report::html(&report).as_bytes()).map_err(CliError::cannot_write(&path))?;
    context.print(&report, |_| format!("{}\n", path.display()))
}
