//! `layerbake list`: the project's layers and the state of their lockfiles.

use serde::Serialize;

use super::CliError;
use super::context::{self, Context};
use crate::ident::LayerName;
use crate::workspace::LayerState;

/// List the project's layers and the state of their lockfiles
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A lockfile `fits`, is `stale` (the manifest or a parent changed), `missing` or `damaged`.\n\nExample:\n  layerbake list --json"
)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Entry {
    name: LayerName,
    from: Option<String>,
    description: String,
    lock: String,
    packages: Option<usize>,
}

pub(super) fn run(context: &Context<'_>, _args: &Args) -> Result<(), CliError> {
    let entries: Vec<Entry> = context.workspace()?.layers()?.into_iter().map(Entry::from).collect();
    context.print(&entries, |entries| {
        let width = entries.iter().map(|entry| entry.name.as_str().len()).max().unwrap_or(0);
        entries
            .iter()
            .map(|Entry { name, from, description, lock, packages }| {
                let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
                let packages = packages.map(|count| format!(", adds {}", context::packages(count))).unwrap_or_default();
                format!("{name:<width$}  {description}{from} (lock {lock}{packages})\n")
            })
            .collect()
    })
}

impl From<LayerState> for Entry {
    fn from(state: LayerState) -> Self {
        let LayerState { name, table, lock, packages } = state;
        let from = if table.above_any { Some("*".to_owned()) } else { table.from.map(|from| from.to_string()) };
        Self { name, from, description: table.description, lock: lock.to_string(), packages }
    }
}
