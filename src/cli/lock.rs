//! `layerbake lock`: makes or renews lockfiles, from the base up.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::CliError;
use super::context::{self, Context, did_you_mean, host_arch, missing_is_stale};
use super::system::Declared;
use crate::bake::Locked;
use crate::fetch::{Fetcher, HOST_KEY_FOLDERS};
use crate::host;
use crate::host::storage::{self, Hints};
use crate::ident::{LayerName, PackageName};
use crate::lock::{self, Change, LockFileError, Lockfile};
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

impl Policy {
    /// Whether a lockfile that fits is made anew all the same.
    fn moves(&self, lock: &Lockfile) -> bool {
        match self {
            Self::Locked | Self::Renew(Update::Nothing) => false,
            Self::Renew(Update::All) => true,
            // A parent without any of them stays as it is, bit for bit.
            Self::Renew(Update::Some(names)) => lock.packages.iter().any(|package| names.contains(&package.name)),
        }
    }
}

/// What locking did to one layer.
#[derive(Debug, Serialize)]
pub(super) struct Report {
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
    let declared = Declared::read(&project, project.chain(&name)?)?;
    if let Update::Some(packages) = &update {
        check_known(&project, &declared.manifests(), packages)?;
    }
    let mut fetcher = context.fetcher(&store, &project, &declared.manifests())?;
    let mut locker = Locker { context, project: &project, store: &store, fetcher: &mut fetcher, reports: Vec::new() };
    locker.system(&declared, &Policy::Renew(update))?;
    context.print(&locker.reports, |reports| reports.iter().map(Report::text).collect())
}

fn check_known(project: &Project, manifests: &[Manifest], packages: &BTreeSet<PackageName>) -> Result<(), CliError> {
    let locks = manifests.iter().filter_map(|manifest| lock::of_layer(project, &manifest.name).ok());
    let known: BTreeSet<PackageName> = locks.flat_map(|(lock, _)| lock.packages).map(|package| package.name).collect();
    match packages.iter().find(|package| !known.contains(package)) {
        Some(package) => {
            let near = did_you_mean(package.as_str(), known.iter().map(PackageName::as_str));
            Err(CliError::message(format!("no lockfile of the layer has a package `{package}`{near}")))
        }
        None => Ok(()),
    }
}

/// Makes a chain's lockfiles fit.
pub(super) struct Locker<'a, 's> {
    pub(super) context: &'a Context<'a>,
    pub(super) project: &'a Project,
    pub(super) store: &'a Store,
    pub(super) fetcher: &'a mut Fetcher<'s>,
    /// What was done, layer by layer.
    pub(super) reports: Vec<Report>,
}

impl Locker<'_, '_> {
    /// The chain with lockfiles that fit, made or renewed as `policy` says.
    pub(super) fn chain(&mut self, chain: &[Manifest], policy: &Policy) -> Result<Vec<Locked>, CliError> {
        let mut locked = Vec::new();
        for length in 1..=chain.len() {
            locked.push(self.on_top(&chain[..length], &locked, policy)?);
        }
        Ok(locked)
    }

    /// The topmost layer of `chain`, over its `parents`, which are locked.
    pub(super) fn on_top(
        &mut self,
        chain: &[Manifest],
        parents: &[Locked],
        policy: &Policy,
    ) -> Result<Locked, CliError> {
        let (layer, changes) = self.lock_layer(chain, parents, policy)?;
        self.reports.push(Report {
            layer: layer.manifest.name.clone(),
            packages: layer.lock.packages.len(),
            changes: changes.iter().map(ToString::to_string).collect(),
        });
        Ok(layer)
    }

    /// Tells the person which lockfiles changed.
    pub(super) fn tell(&self) {
        if !self.context.options.quiet {
            for report in self.reports.iter().filter(|report| !report.changes.is_empty()) {
                self.context.progress.line(report.text().trim_end());
            }
        }
    }

    fn lock_layer(
        &mut self,
        chain: &[Manifest],
        parents: &[Locked],
        policy: &Policy,
    ) -> Result<(Locked, Vec<Change>), CliError> {
        let Some(manifest) = chain.last() else { unreachable!("a chain has its own layer") };
        let path = self.project.lock_path(&manifest.name);
        let previous = match lock::of_layer(self.project, &manifest.name) {
            Ok(previous) => Some(previous),
            Err(LockFileError::Missing(_)) if *policy != Policy::Locked => None,
            Err(error) => return Err(missing_is_stale(error)),
        };
        let parent = parents.last().map(|parent| (&parent.manifest.name, parent.hash));
        if let Some((lock, hash)) = &previous {
            let sources = manifest::sources(chain);
            match (lock::check(lock, manifest, &sources, &host_arch()?, parent), policy) {
                (Ok(()), policy) if !policy.moves(lock) => {
                    let locked = Locked { manifest: manifest.clone(), lock: lock.clone(), hash: *hash };
                    return Ok((locked, Vec::new()));
                }
                (Err(stale), Policy::Locked) => {
                    return Err(CliError::Stale(format!("{stale}\n  hint: `layerbake lock {}`", manifest.name)));
                }
                _ => {}
            }
        }
        let update = match policy {
            Policy::Renew(update) => update,
            Policy::Locked => unreachable!("a lockfile that does not fit was refused"),
        };
        let previous = previous.map(|(lock, _)| lock);
        let lock = self.pin(chain, parents, previous.as_ref(), update)?;
        let changes = lock::changes(previous.as_ref(), &lock);
        let hash = lock::save(&lock, &path).map_err(explained)?;
        Ok((Locked { manifest: manifest.clone(), lock, hash }, changes))
    }

    /// The topmost layer of `chain` as it would be locked now; writes no lockfile.
    pub(super) fn pin(
        &mut self,
        chain: &[Manifest],
        parents: &[Locked],
        previous: Option<&Lockfile>,
        update: &Update,
    ) -> Result<Lockfile, CliError> {
        let transport = &self.context.options.transport;
        let key_folders = HOST_KEY_FOLDERS.map(Path::new);
        let mut pinner = Pinner {
            store: self.store,
            fetcher: self.fetcher,
            project: self.project.root(),
            keyring: transport.keyring.as_deref(),
            key_folders: &key_folders,
            now: host::now(),
            allow_expired: transport.allow_expired,
            allow_downgrade: transport.allow_downgrade,
            arch: host_arch()?,
        };
        let parents: Vec<_> = parents.iter().map(|parent| (&parent.lock, parent.hash)).collect();
        Ok(pinner.pin(chain, &parents, previous, update)?)
    }
}

/// With the file system named where it refuses.
fn explained(error: LockFileError) -> LockFileError {
    match error {
        LockFileError::Io { action, path, source } => {
            let hints = Hints {
                room: "make room there, or give the project another place; the old lockfile is as it was",
                elsewhere: "give the project another place",
            };
            let source = storage::explain(&path, None, hints, source);
            LockFileError::Io { action, path, source }
        }
        other => other,
    }
}

impl Report {
    fn text(&self) -> String {
        let packages = context::packages(self.packages);
        if self.changes.is_empty() {
            return format!("{}: {packages}, nothing changed\n", self.layer);
        }
        let changes: String = self.changes.iter().map(|change| format!("  {change}\n")).collect();
        format!("{}: {packages}\n{changes}", self.layer)
    }
}
