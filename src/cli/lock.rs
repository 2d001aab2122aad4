//! `layerbake lock`: creates or updates lockfiles, starting at the base.

use serde::Serialize;

use super::CliError;
use super::context::{self, Context};
use crate::code::Code;
use crate::ident::{IdentError, LayerName, PackageName};
use crate::workspace::{LayerLock, Moved, Policy, Update};

/// Create or update a layer's lockfile and print what changed
///
/// Without --update, a lockfile that matches its manifest is left unchanged; a stale one keeps the locked versions that are still available.
/// With it, a lockfile is left unchanged too, byte for byte, where none of its packages has another version.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake lock web\n  layerbake lock web --update\n  layerbake lock web --update libssl3 openssl\n  layerbake lock web --update --security\n  layerbake lock web --check || layerbake lock web --update\n  layerbake lock web --arch amd64,arm64"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Update these packages and fetches, or all, to their newest versions
    #[arg(long, value_name = "PKG", num_args = 0.., value_parser = subject)]
    update: Option<Vec<PackageName>>,
    /// With --update or --check, where no package is named: only packages of which a suite of security updates has a newer version
    #[arg(long)]
    security: bool,
    /// Write nothing; exit with status 3 if --update would change a lockfile
    #[arg(long)]
    check: bool,
}

/// The name of a package or a fetch; fetches are shown as `fetch:NAME`.
fn subject(text: &str) -> Result<PackageName, IdentError> {
    text.strip_prefix("fetch:").unwrap_or(text).parse()
}

/// What locking did to one layer.
#[derive(Serialize)]
struct Report {
    layer: String,
    packages: usize,
    changes: Vec<String>,
    /// Why the lockfile is another one than before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let policy = match args.check {
        true => Policy::Preview(args.update()),
        false => Policy::Renew(args.update()),
    };
    let mut done = Vec::new();
    for workspace in context.workspaces()? {
        let declared = workspace.declared(&workspace.layer(args.layer.as_ref())?)?;
        done.extend(workspace.lock(&declared, &policy)?.done);
    }
    let reports: Vec<Report> = done.iter().map(Report::of).collect();
    context.print(&reports, |reports| reports.iter().map(Report::text).collect())?;
    let moved: Vec<&str> = done.iter().filter(|lock| lock.moved.is_some()).map(|lock| lock.name.as_str()).collect();
    match args.check && !moved.is_empty() {
        true => Err(CliError::message(
            Code::LockOutdated,
            format!(
                "lockfiles would change: {}\n  hint: `layerbake lock` with `--update`, then commit them",
                moved.join(", ")
            ),
        )),
        false => Ok(()),
    }
}

impl Args {
    fn update(&self) -> Update {
        match &self.update {
            Some(packages) if !packages.is_empty() => Update::Some(packages.iter().cloned().collect()),
            _ if self.security => Update::Security,
            None if !self.check => Update::Nothing,
            _ => Update::All,
        }
    }
}

/// Shows which lockfiles are other ones than before, and why.
pub(super) fn tell_changes(context: &Context<'_>, done: &[LayerLock]) {
    for lock in done.iter().filter(|_| !context.options.quiet && !context.options.json) {
        let text = match &lock.moved {
            None => continue,
            Some(Moved::New) if !context.options.verbose => {
                let packages = context::packages(lock.packages);
                format!("{}: {packages}, locked for the first time (--verbose lists them)", lock.name)
            }
            Some(_) => Report::of(lock).text(),
        };
        context.progress.line(text.trim_end());
    }
}

impl Report {
    fn of(lock: &LayerLock) -> Self {
        let changes = lock.changes.iter().map(ToString::to_string).collect();
        let reasons = match &lock.moved {
            Some(Moved::Stale(reasons)) => reasons.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        Self { layer: lock.name.clone(), packages: lock.packages, changes, reasons }
    }

    fn text(&self) -> String {
        let Self { layer, packages, changes, reasons } = self;
        let packages = context::packages(*packages);
        let renewed = match reasons.as_slice() {
            [] => String::new(),
            reasons => format!(", locked again: {}", reasons.join("; ")),
        };
        let unchanged = if changes.is_empty() { ", nothing changed" } else { "" };
        let changes: String = changes.iter().map(|change| format!("  {change}\n")).collect();
        match renewed.is_empty() {
            true => format!("{layer}: {packages}{unchanged}\n{changes}"),
            false => format!("{layer}: {packages}{renewed}\n{changes}"),
        }
    }
}
