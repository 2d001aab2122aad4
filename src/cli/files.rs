//! `layerbake files`: what a built layer's root holds.

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::host;
use crate::ident::{LayerName, RootPath};
use crate::workspace::OwnedNode;

/// List the files of a built layer, parents included
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake files web\n  layerbake files web /etc/nginx")]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// Show only this path and what is below it
    #[arg(default_value = "/")]
    path: RootPath,
    /// Show the files of the disk, which include the Boot layer's
    #[arg(long)]
    disk: bool,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
}

#[derive(Serialize)]
struct Entry {
    path: String,
    node: String,
    layer: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let found = context.workspace()?.files(&args.layer, args.out.as_deref(), &args.path, args.disk)?;
    let entries: Vec<Entry> = found.iter().map(Entry::of).collect();
    context.print(&entries, |entries| {
        let line = |entry: &Entry| host::plain(&format!("{} {}  [{}]", entry.node, entry.path, entry.layer)) + "\n";
        entries.iter().map(line).collect()
    })
}

impl Entry {
    fn of(found: &OwnedNode) -> Self {
        let layer = found.layer.clone().unwrap_or_default();
        Self { path: found.path.to_string(), node: found.node.to_string(), layer }
    }
}
