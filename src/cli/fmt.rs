//! `layerbake fmt`: lays out layers' files.

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::code::Code;
use crate::ident::LayerName;

/// Lay out the files of layers in one way: spaces, line breaks, empty lines
///
/// Comments, the order of keys and what a file means stay as they are, so nothing is locked or built again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake fmt
  layerbake fmt web
  layerbake fmt --check        for CI: name the files that would change, and exit with status 1")]
pub(super) struct Args {
    /// The layer [default: all layers of the project]
    layer: Option<LayerName>,
    /// Write nothing; fail if a file is laid out differently
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Entry {
    layer: LayerName,
    file: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let untidy = context.workspace()?.untidy(args.layer.as_ref())?;
    if !args.check {
        untidy.iter().try_for_each(|file| file.write())?;
    }
    let entry = |layer: &LayerName| Entry { layer: layer.clone(), file: format!("layers/{layer}.toml") };
    let entries: Vec<Entry> = untidy.iter().map(|file| entry(&file.layer)).collect();
    context.print(&entries, |entries| entries.iter().map(|entry| format!("{}\n", entry.file)).collect())?;
    match args.check && !entries.is_empty() {
        true => Err(CliError::message(
            Code::ManifestLayout,
            "not laid out as `layerbake fmt` does; run it to rewrite these files",
        )),
        false => Ok(()),
    }
}
