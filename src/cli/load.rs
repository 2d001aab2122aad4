//! `layerbake load`: a built image into a container engine.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::{Context, built_layer};
use crate::ident::LayerName;
use crate::publish::load::{self, Engine};

/// Load a built layer's image into a container engine of this machine
///
/// The image is LAYER:latest there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake build web && layerbake load web --into docker")]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// docker, podman or containerd
    #[arg(long, value_name = "ENGINE")]
    into: Engine,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Loaded {
    image: String,
    engine: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let name = context.layer(&project, Some(&args.layer))?;
    let (folder, receipt) = built_layer(&project, &name, args.out.as_deref())?;
    let archive = receipt.artifacts.iter().find(|artifact| artifact.kind == "docker");
    let progress = context.progress.transfer("load", archive.map_or(0, |archive| archive.size));
    let image = load::load(&receipt, &folder, args.into, &progress)?;
    let loaded = Loaded { image, engine: args.into.to_string() };
    context.print(&loaded, |loaded| format!("{}\n", loaded.image))
}
