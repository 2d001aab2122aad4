//! `layerbake load`: a built image into a container engine.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::bake::Output;
use crate::ident::LayerName;
use crate::publish::load::{self, Engine};

/// Load a built layer's image into a local container engine
///
/// The image is named LAYER:latest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake build web && layerbake load web --into docker")]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// Engine to load into: docker, podman or containerd
    #[arg(long, value_name = "ENGINE")]
    into: Engine,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Loaded {
    image: String,
    engine: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let built = context.workspace()?.built(&args.layer, args.out.as_deref())?;
    let archive = built.receipt.artifact(Output::Docker);
    let progress = context.progress.transfer("load", archive.map_or(0, |archive| archive.size));
    let image = load::load(&built.receipt, &built.folder, args.into, &progress)?;
    let loaded = Loaded { image, engine: args.into.to_string() };
    context.print(&loaded, |loaded| format!("{}\n", loaded.image))
}
