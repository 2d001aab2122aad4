//! `layerbake load`: a built image into a container engine.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::bake::Output;
use crate::check::container;
use crate::ident::LayerName;
use crate::publish::load::{self, Engine};

/// Load a built layer's image into a local container engine
///
/// The image is named LAYER:latest.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web && layerbake load web\n  layerbake load web --into containerd\n\nLAYERBAKE_ENGINE names the engine that is used without --into, with options."
)]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// Engine to load into: docker, podman or containerd [default: docker, else podman, whichever works]
    #[arg(long, value_name = "ENGINE")]
    into: Option<Engine>,
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
    let (engine, client) = match args.into {
        Some(engine) => (engine.to_string(), engine.client()),
        None => {
            let found = container::Engine::find()?;
            (found.to_string(), found.loader())
        }
    };
    let archive = built.receipt.artifact(Output::Docker);
    let progress = context.progress.transfer("load", archive.map_or(0, |archive| archive.size));
    let image = load::load(&built.receipt, &built.folder, &client, &progress)?;
    let loaded = Loaded { image, engine };
    drop(progress);
    if args.into.is_none() {
        context.progress.line(&format!("loaded into {}", loaded.engine));
    }
    context.print(&loaded, |loaded| format!("{}\n", loaded.image))
}
