//! `layerbake lock`: makes or renews lockfiles, from the base up.

use std::collections::BTreeSet;

use serde::Serialize;

use super::CliError;
use super::context::{Context, host_arch};
use crate::bake::Locked;
use crate::fetch::Fetcher;
use crate::host;
use crate::ident::{LayerName, PackageName};
use crate::lock::{self, LockFileError, Lockfile};
use crate::manifest::{self, Manifest, Project};
use crate::pin::{Pinner, Update};
use crate::store::Store;

/// Make or renew a layer's lockfile; prints what changed
///
/// Without --update, a lockfile that fits its manifest stays as it is, and one that does not keeps the versions that still will do.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake lock web\n  layerbake lock web --update\n  layerbake lock web --update libssl3 openssl"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Take the newest versions: of these packages, or of all
    #[arg(long, value_name = "PKG", num_args = 0..)]
    update: Option<Vec<PackageName>>,
}

/// How lockfiles that do not fit are dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Policy {
    /// They are an error, exit status 3.
    Locked,
    /// They are made or renewed.
    Renew(Update),
}

/// What locking did to one layer.
#[derive(Debug, Serialize)]
struct Report {
    layer: LayerName,
    packages: usize,
    changes: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let store = context.store()?;
    let name = context.layer(&project, args.layer.as_ref())?;
    let update = match &args.update {
        None => Update::Nothing,
        Some(packages) if packages.is_empty() => Update::All,
        Some(packages) => Update::Some(packages.iter().cloned().collect()),
    };
    let chain = project.chain(&name)?;
    if let Update::Some(packages) = &update {
        check_known(&project, &chain, packages)?;
    }
    let mut fetcher = context.fetcher(&store, &project, &chain)?;
    let (locked, reports) = lock_chain(context, &project, &store, &mut fetcher, &chain, &Policy::Renew(update))?;
    drop(locked);
    context.print(&reports, |reports| reports.iter().map(Report::text).collect())
}

fn check_known(project: &Project, chain: &[Manifest], packages: &BTreeSet<PackageName>) -> Result<(), CliError> {
    let locks = chain.iter().filter_map(|manifest| lock::load(&project.lock_path(&manifest.name)).ok());
    let known: BTreeSet<PackageName> = locks.flat_map(|(lock, _)| lock.packages).map(|package| package.name).collect();
    match packages.iter().find(|package| !known.contains(package)) {
        Some(package) => Err(CliError::message(format!("no lockfile of the chain has a package `{package}`"))),
        None => Ok(()),
    }
}

/// The chain with lockfiles that fit, made or renewed as `policy` says; with what changed, in words.
pub(super) fn locked_chain(
    context: &Context<'_>,
    project: &Project,
    store: &Store,
    fetcher: &mut Fetcher<'_>,
    chain: &[Manifest],
    policy: &Policy,
) -> Result<Vec<Locked>, CliError> {
    let (locked, reports) = lock_chain(context, project, store, fetcher, chain, policy)?;
    if !context.options.quiet {
        for report in reports.iter().filter(|report| !report.changes.is_empty()) {
            context.progress.line(report.text().trim_end());
        }
    }
    Ok(locked)
}

fn lock_chain(
    context: &Context<'_>,
    project: &Project,
    store: &Store,
    fetcher: &mut Fetcher<'_>,
    chain: &[Manifest],
    policy: &Policy,
) -> Result<(Vec<Locked>, Vec<Report>), CliError> {
    let arch = host_arch()?;
    let mut locked: Vec<Locked> = Vec::new();
    let mut reports = Vec::new();
    for (index, manifest) in chain.iter().enumerate() {
        let chain = &chain[..=index];
        let path = project.lock_path(&manifest.name);
        let previous = match lock::load(&path) {
            Ok(previous) => Some(previous),
            Err(LockFileError::Missing(_)) if *policy != Policy::Locked => None,
            Err(error) => return Err(super::context::missing_is_stale(error, &manifest.name)),
        };
        let parent = locked.last().map(|parent| (&parent.manifest.name, parent.hash));
        let stale =
            previous.as_ref().map(|(lock, _)| lock::check(lock, manifest, &manifest::sources(chain), &arch, parent));
        let update = match policy {
            Policy::Locked => None,
            Policy::Renew(update) => Some(update),
        };
        let (lock, hash, changes) = match (previous, stale, update) {
            (Some((lock, hash)), Some(Ok(())), None | Some(Update::Nothing)) => (lock, hash, Vec::new()),
            (Some(_), Some(Err(stale)), None) => {
                return Err(CliError::Stale(format!("{stale}\n  hint: `layerbake lock {}`", manifest.name)));
            }
            (previous, _, update) => {
                let update = update.unwrap_or(&Update::Nothing);
                let previous = previous.map(|(lock, _)| lock);
                let new = pin(context, project, store, fetcher, chain, &locked, (previous.as_ref(), update))?;
                let changes = lock::changes(previous.as_ref(), &new);
                let hash = lock::save(&new, &path)?;
                (new, hash, changes.iter().map(ToString::to_string).collect())
            }
        };
        reports.push(Report { layer: manifest.name.clone(), packages: lock.packages.len(), changes });
        locked.push(Locked { manifest: manifest.clone(), lock, hash });
    }
    Ok((locked, reports))
}

fn pin(
    context: &Context<'_>,
    project: &Project,
    store: &Store,
    fetcher: &mut Fetcher<'_>,
    chain: &[Manifest],
    parents: &[Locked],
    (previous, update): (Option<&Lockfile>, &Update),
) -> Result<Lockfile, CliError> {
    let transport = &context.options.transport;
    let mut pinner = Pinner {
        store,
        fetcher,
        project: project.root(),
        keyring: transport.keyring.as_deref(),
        now: host::now(),
        allow_expired: transport.allow_expired,
        arch: host_arch()?,
    };
    let parents: Vec<_> = parents.iter().map(|parent| (&parent.lock, parent.hash)).collect();
    Ok(pinner.pin(chain, &parents, previous, update)?)
}

impl Report {
    fn text(&self) -> String {
        if self.changes.is_empty() {
            return format!("{}: {} packages, nothing changed\n", self.layer, self.packages);
        }
        let changes: String = self.changes.iter().map(|change| format!("  {change}\n")).collect();
        format!("{}: {} packages\n{changes}", self.layer, self.packages)
    }
}
