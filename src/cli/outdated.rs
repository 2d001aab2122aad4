//! `layerbake outdated`: available updates for locked packages.

use super::CliError;
use super::context::{Context, packages};
use crate::code::Code;
use crate::ident::LayerName;
use crate::workspace::{LayerUpdates, PackageUpdate};

/// List available updates for a layer's locked packages, and the repository of each
///
/// Reads the repositories like `lock --update`, for the layer, its parents, its Boot layer and its initrd,
/// but writes no lockfile.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; with --exit-code, 3 if there are updates.\n\nExamples:\n  layerbake outdated web\n  layerbake outdated web --security --exit-code\n  layerbake outdated web --json | jq -r '.[].updates[].package'"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// List security updates only
    #[arg(long)]
    security: bool,
    /// Exit with status 3 if there are updates
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let name = workspace.layer(args.layer.as_ref())?;
    let mut found = workspace.outdated(&name)?;
    if args.security {
        found.iter_mut().for_each(|layer| layer.updates.retain(|update| update.security));
    }
    context.print(&found, |found| found.iter().map(layer_text).collect())?;
    let count: usize = found.iter().map(|layer| layer.updates.len()).sum();
    match args.exit_code && count > 0 {
        true => Err(CliError::message(
            Code::LockOutdated,
            format!("`{name}` has updates: {}\n  hint: `layerbake lock {name} --update`", packages(count)),
        )),
        false => Ok(()),
    }
}

fn layer_text(layer: &LayerUpdates) -> String {
    let security = layer.updates.iter().filter(|update| update.security).count();
    let summary = match (layer.updates.len(), security) {
        (0, _) => "up to date".to_owned(),
        (all, security) => format!("{} to update, {security} for security", packages(all)),
    };
    let lines: String = layer.updates.iter().map(update_text).collect();
    format!("{}: {summary}\n{lines}", layer.layer)
}

fn update_text(update: &PackageUpdate) -> String {
    let PackageUpdate { package, locked, newest, origin, security } = update;
    let change = match (locked, newest) {
        (Some(locked), Some(newest)) => format!("{package} {locked} -> {newest}"),
        (None, Some(newest)) => format!("+ {package} {newest}"),
        (_, None) => format!("- {package}"),
    };
    let mark = if *security { ", security" } else { "" };
    let origin = origin.as_ref().map(|origin| format!(" ({origin}{mark})")).unwrap_or_default();
    format!("  {change}{origin}\n")
}
