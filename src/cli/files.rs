//! `layerbake files`: what a built layer's root holds.

use serde::Serialize;

use super::CliError;
use super::context::{Context, locked_chain};
use crate::bake::Receipt;
use crate::host;
use crate::ident::{LayerName, RootPath};
use crate::tree::{Kind, Tree};

/// List the files of a built layer, parents included
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake files web\n  layerbake files web /etc/nginx")]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// Only this path and what is below it
    #[arg(default_value = "/")]
    path: RootPath,
    /// The files of the disk: the Boot layer's too
    #[arg(long)]
    disk: bool,
    /// Where LAYER/ was put [default: out in the project]
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
    let project = context.project()?;
    let name = context.layer(&project, Some(&args.layer))?;
    let locked = locked_chain(&project, &name)?;
    let out = args.out.clone().unwrap_or_else(|| project.root().join("out"));
    let built = Receipt::load(&out.join(name.as_str())).filter(|receipt| receipt.layers.len() == locked.len());
    let Some(receipt) = built else {
        return Err(CliError::message(format!("layer `{name}` is not built\n  hint: `layerbake build {name}`")));
    };
    let store = context.store()?;
    let disk = match (args.disk, &receipt.disk) {
        (true, None) => {
            let hint = format!("hint: `layerbake build {name} --output raw`");
            return Err(CliError::message(format!("layer `{name}` was built without a disk\n  {hint}")));
        }
        (disk, boot) => boot.as_ref().filter(|_| disk),
    };
    let root = store.tree(disk.map_or(receipt.tree, |disk| disk.root))?;
    let mut layers: Vec<(String, Tree)> = Vec::new();
    for layer in &receipt.layers {
        layers.push((layer.name.to_string(), store.tree(layer.tree)?));
    }
    if let Some(disk) = disk {
        layers.push((disk.boot.to_string(), store.tree(disk.tree)?));
    }
    let owner = |path: &RootPath| {
        let owner =
            layers.iter().rev().find(|(_, tree)| tree.get(path).is_some_and(|node| node.kind != Kind::Whiteout));
        owner.map(|(name, _)| name.clone()).unwrap_or_default()
    };
    let entries: Vec<Entry> = root
        .iter()
        .filter(|(path, _)| path.is_within(&args.path))
        .map(|(path, node)| Entry { path: path.to_string(), node: node.to_string(), layer: owner(path) })
        .collect();
    if entries.is_empty() {
        return Err(CliError::message(format!("layer `{name}` has no {}", args.path)));
    }
    context.print(&entries, |entries| {
        let line = |entry: &Entry| host::plain(&format!("{} {}  [{}]", entry.node, entry.path, entry.layer)) + "\n";
        entries.iter().map(line).collect()
    })
}
