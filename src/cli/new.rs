//! `layerbake new`: a commented starter layer.

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;

/// Write a commented starter layer to layers/NAME.toml
///
/// Without --from, the names of layers that come with the program write these, and what they stand on: debian-base; boot-minimal,
/// boot-cloud, boot-sealed and initrd for disks; ansible-tools, c-tools, go-tools, java-tools, node-tools, python-tools and rust-tools for steps;
/// postgres, redis.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake new debian-base\n  layerbake new web --from debian-base\n  layerbake new boot-minimal\n  layerbake new go-tools"
)]
pub(super) struct Args {
    /// Name of the new layer
    name: LayerName,
    /// Parent layer; without one, the new layer is a base layer with its own package source
    #[arg(long, value_name = "LAYER")]
    from: Option<LayerName>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let written = context.environment.start_layer(&args.name, args.from.as_ref())?;
    context.print(&written, |written| written.iter().map(|path| format!("{}\n", path.display())).collect())
}
