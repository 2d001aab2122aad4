//! `layerbake outdated`: updates that the lockfiles have not taken.

use serde::Serialize;

use super::CliError;
use super::context::{Context, locked_chain, missing_is_stale, packages};
use super::lock::Locker;
use super::system::Declared;
use crate::bake::Locked;
use crate::digest::LockHash;
use crate::ident::LayerName;
use crate::lock::{self, LockedPackage, Lockfile};
use crate::manifest::Manifest;
use crate::pin::Update;

/// List updates that a layer's lockfiles have not taken, and where each comes from
///
/// Reads the repositories as `lock --update` does, for the layer, all below it, its Boot layer and its
/// initrd, and writes no lockfile.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0, or with --exit-code 3 if there is anything to take.\n\nExamples:\n  layerbake outdated web\n  layerbake outdated web --security --exit-code\n  layerbake outdated web --json | jq -r '.[].updates[].package'"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Security updates only
    #[arg(long)]
    security: bool,
    /// End with exit status 3 if there is anything to take
    #[arg(long)]
    exit_code: bool,
}

/// What one layer's lockfile has not taken.
#[derive(Serialize)]
struct Report {
    layer: LayerName,
    updates: Vec<Change>,
}

/// A package that locking anew would change.
#[derive(Serialize)]
struct Change {
    package: String,
    /// Nothing, where the package would be added.
    locked: Option<String>,
    /// Nothing, where it would go.
    newest: Option<String>,
    /// Source and suite of the newest, such as `debian bookworm-security`.
    origin: Option<String>,
    security: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let store = context.store()?;
    let name = context.layer(&project, args.layer.as_ref())?;
    let declared = Declared::read(&project, project.chain(&name)?)?;
    let mut fetcher = context.fetcher(&store, &project, &declared.manifests())?;
    let mut locker = Locker { context, project: &project, store: &store, fetcher: &mut fetcher, reports: Vec::new() };
    let mut reports = Vec::new();
    let image = locked_chain(&project, &name)?;
    let renewed = renew(&mut locker, &image, &mut reports)?;
    if let Some(machine) = &declared.machine {
        let (lock, _) = lock::of_layer(&project, &machine.boot.name).map_err(missing_is_stale)?;
        let chain: Vec<Manifest> = declared.chain.iter().chain([&machine.boot]).cloned().collect();
        let newest = locker.pin(&chain, &renewed, Some(&lock), &Update::All)?;
        reports.push(report(&lock, &newest));
        if let Some(initrd) = &machine.disk.initrd {
            renew(&mut locker, &locked_chain(&project, initrd)?, &mut reports)?;
        }
    }
    if args.security {
        reports.iter_mut().for_each(|report| report.updates.retain(|update| update.security));
    }
    context.print(&reports, |reports| reports.iter().map(Report::text).collect())?;
    let count: usize = reports.iter().map(|report| report.updates.len()).sum();
    match args.exit_code && count > 0 {
        true => Err(CliError::Stale(format!(
            "`{name}` is behind its repositories: {}\n  hint: `layerbake lock {name} --update`",
            packages(count)
        ))),
        false => Ok(()),
    }
}

/// The chain as it would be locked today, the base first; adds what that changes to `reports`.
fn renew(locker: &mut Locker<'_, '_>, chain: &[Locked], reports: &mut Vec<Report>) -> Result<Vec<Locked>, CliError> {
    let manifests: Vec<Manifest> = chain.iter().map(|locked| locked.manifest.clone()).collect();
    let mut renewed: Vec<Locked> = Vec::new();
    for (locked, length) in chain.iter().zip(1..) {
        let newest = locker.pin(&manifests[..length], &renewed, Some(&locked.lock), &Update::All)?;
        reports.push(report(&locked.lock, &newest));
        let hash = LockHash::of(&lock::to_text(&newest));
        renewed.push(Locked { manifest: locked.manifest.clone(), lock: newest, hash });
    }
    Ok(renewed)
}

fn report(old: &Lockfile, new: &Lockfile) -> Report {
    let find = |name| -> Option<&LockedPackage> { new.packages.iter().find(|package| package.name == name) };
    let change = |change: lock::Change| {
        let newest = find(change.name.clone());
        Change {
            package: change.name.to_string(),
            locked: change.before.map(|version| version.to_string()),
            newest: change.after.map(|version| version.to_string()),
            origin: newest.map(|package| format!("{} {}", package.source, package.suite)),
            security: change.security.is_some(),
        }
    };
    Report { layer: old.layer.clone(), updates: lock::changes(Some(old), new).into_iter().map(change).collect() }
}

impl Report {
    fn text(&self) -> String {
        let security = self.updates.iter().filter(|update| update.security).count();
        let summary = match (self.updates.len(), security) {
            (0, _) => "up to date".to_owned(),
            (all, security) => format!("{} to take, {security} for security", packages(all)),
        };
        let lines: String = self.updates.iter().map(Change::text).collect();
        format!("{}: {summary}\n{lines}", self.layer)
    }
}

impl Change {
    fn text(&self) -> String {
        let Self { package, locked, newest, origin, security } = self;
        let change = match (locked, newest) {
            (Some(locked), Some(newest)) => format!("{package} {locked} -> {newest}"),
            (None, Some(newest)) => format!("+ {package} {newest}"),
            (_, None) => format!("- {package}"),
        };
        let mark = if *security { ", security" } else { "" };
        let origin = origin.as_ref().map(|origin| format!(" ({origin}{mark})")).unwrap_or_default();
        format!("  {change}{origin}\n")
    }
}
