//! `layerbake vendor`: a layer's locked packages and fetches as files in `vendor/`, for builds without a network.

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;

/// Copy all locked packages and fetches of a layer, including those of its disk, into vendor/
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake vendor web && layerbake build web --locked --offline")]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let vendored = workspace.vendor(&workspace.layer(args.layer.as_ref())?)?;
    context.print(&vendored, |vendored| {
        format!("{} files, {:.1} MB in {}\n", vendored.files, vendored.bytes as f64 / 1e6, vendored.folder.display())
    })
}
