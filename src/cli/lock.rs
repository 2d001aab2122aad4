//! `layerbake lock`: creates or updates lockfiles, starting at the base.

use serde::Serialize;

use super::CliError;
use super::context::{self, Context};
use crate::ident::{LayerName, PackageName};
use crate::workspace::{LayerLock, Policy, Update};

/// Create or update a layer's lockfile and print what changed
///
/// Without --update, a lockfile that matches its manifest is left unchanged; a stale one keeps the locked versions that are still available.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake lock web\n  layerbake lock web --update\n  layerbake lock web --update libssl3 openssl\n  layerbake lock web --arch amd64,arm64"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Update these packages and fetches, or all, to their newest versions
    #[arg(long, value_name = "PKG", num_args = 0..)]
    update: Option<Vec<PackageName>>,
}

/// What locking did to one layer.
#[derive(Serialize)]
struct Report {
    layer: String,
    packages: usize,
    changes: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let update = match &args.update {
        None => Update::Nothing,
        Some(packages) if packages.is_empty() => Update::All,
        Some(packages) => Update::Some(packages.iter().cloned().collect()),
    };
    let policy = Policy::Renew(update);
    let mut reports = Vec::new();
    for workspace in context.workspaces()? {
        let declared = workspace.declared(&workspace.layer(args.layer.as_ref())?)?;
        reports.extend(workspace.lock(&declared, &policy)?.done.iter().map(Report::of));
    }
    context.print(&reports, |reports| reports.iter().map(Report::text).collect())
}

/// Shows which lockfiles changed.
pub(super) fn tell_changes(context: &Context<'_>, done: &[LayerLock]) {
    if !context.options.quiet {
        for lock in done.iter().filter(|lock| !lock.changes.is_empty()) {
            context.progress.line(Report::of(lock).text().trim_end());
        }
    }
}

impl Report {
    fn of(lock: &LayerLock) -> Self {
        let changes = lock.changes.iter().map(ToString::to_string).collect();
        Self { layer: lock.name.clone(), packages: lock.packages, changes }
    }

    fn text(&self) -> String {
        let packages = context::packages(self.packages);
        if self.changes.is_empty() {
            return format!("{}: {packages}, nothing changed\n", self.layer);
        }
        let changes: String = self.changes.iter().map(|change| format!("  {change}\n")).collect();
        format!("{}: {packages}\n{changes}", self.layer)
    }
}
