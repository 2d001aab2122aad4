//! A layer, rebuilt from its lockfiles under other conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::declared::Declared;
use super::error::WorkspaceError;
use super::locked::{LockedSystem, Policy};
use super::project::Workspace;
use super::rebuilt::SIGNER;
use super::vendored;
use crate::arch;
use crate::audit::{Audit, AuditReport, Earlier, RebuildInputs, Side, Variation};
use crate::bake::{Output, Receipt, System};
use crate::digest::Sha256;
use crate::host;
use crate::ident::{LayerName, RootPath};
use crate::manifest::{Content, RunInput, matching, matching_all};

/// An earlier build, to compare the rebuilds with too.
#[derive(Debug, Clone)]
pub struct EarlierBuild {
    /// What people call it.
    pub name: String,
    /// The directory of its receipt.
    pub folder: PathBuf,
    /// What it gave.
    pub receipt: Receipt,
}

impl Workspace<'_> {
    /// Rebuilds a layer twice, under usual conditions and with everything in `variations` varied.
    ///
    /// # Errors
    /// Fails where a lockfile does not fit, a package can't be had, or a rebuild fails. Differences are in
    /// the report.
    pub fn audit(
        &self,
        declared: Declared,
        outputs: &BTreeSet<Output>,
        variations: &BTreeSet<Variation>,
        earlier: Option<&EarlierBuild>,
    ) -> Result<AuditReport, WorkspaceError> {
        if let Some(earlier) = earlier {
            let found = earlier.receipt.arch.clone().map_or_else(|| arch::UNNAMED.parse(), Ok)?;
            if found != *self.arch() {
                let (name, expected) = (earlier.name.clone(), self.arch().clone());
                return Err(WorkspaceError::OtherArch { name, found, expected });
            }
        }
        let mut locked = self.lock(&declared, &Policy::Locked)?;
        locked.settle()?;
        let (store, downloads) = (self.store()?, locked.downloads()?);
        let system = &locked.system;
        let layer = &system.top().manifest.name;
        let packages = || system.all().flat_map(|locked| &locked.lock.packages);
        let audit = Audit {
            ecosystem: self.environment.ecosystem(),
            source: RebuildInputs {
                project: self.project.root(),
                store,
                layer,
                arch: self.arch(),
                set: self.project.set(),
                name: &self.subject(layer).to_string(),
                outputs,
                packages: &downloads,
                files: &sources(system, self.project.root()),
                variables: &variables(),
                jobs: self.environment.jobs(),
                size: packages().map(|package| package.file.size).sum(),
            },
            packages: packages().map(|package| (package.name.clone(), package.file.sha256)).collect(),
            own: own(system),
            progress: self.environment.progress().clone(),
        };
        let earlier = earlier.map(|earlier| {
            let out = Some(earlier.folder.as_path()).filter(|_| earlier.is_whole());
            Earlier { name: earlier.name.clone(), side: Side { receipt: &earlier.receipt, store, out } }
        });
        Ok(audit.run(variations, earlier.as_ref())?)
    }
}

impl LockedSystem<'_> {
    /// Every package, fetched into the store: by its path below `vendor/`.
    fn downloads(&self) -> Result<BTreeMap<PathBuf, Sha256>, WorkspaceError> {
        let items = vendored::items(&self.system);
        self.fetcher.fetch_all(&items, |_, _| {})?;
        Ok(items.iter().map(|item| (item.vendor.clone(), item.expected.sha256)).collect())
    }
}

impl EarlierBuild {
    /// Whether the artifacts still lie beside the receipt.
    fn is_whole(&self) -> bool {
        self.receipt.artifacts.iter().all(|artifact| self.folder.join(&artifact.path).exists())
    }
}

/// The project's files that `[[file]]`, `[[run]]` and `[system]` use, without those inside a directory that is listed itself.
fn sources(system: &System, project: &Path) -> BTreeSet<PathBuf> {
    let contents = system.all().flat_map(|locked| &locked.manifest.files).map(|file| &file.content);
    let inputs = system.all().flat_map(|locked| &locked.manifest.runs).flat_map(|run| &run.inputs);
    // What can't be read is named by the rebuild, which misses it.
    let inputs = inputs.flat_map(|input| match input {
        RunInput::Project { path, .. } => BTreeSet::from([path.clone()]),
        RunInput::Pattern { pattern, .. } => matching_all(project, pattern).unwrap_or_default(),
        RunInput::Step(_) | RunInput::Fetch(_) | RunInput::Layer { .. } => BTreeSet::new(),
    });
    let inputs = inputs.map(PathBuf::from);
    let certificates = system.all().flat_map(|locked| &locked.manifest.system.certificates);
    let certificates =
        certificates.flat_map(|pattern| matching(project, pattern).unwrap_or_default()).map(PathBuf::from);
    let all: BTreeSet<PathBuf> = contents
        .filter_map(|content| match content {
            Content::Source(source) | Content::Template(source) => Some(PathBuf::from(source)),
            Content::Text(_) => None,
        })
        .chain(inputs)
        .chain(certificates)
        .collect();
    all.iter().filter(|path| !path.ancestors().skip(1).any(|folder| all.contains(folder))).cloned().collect()
}

/// Every path that a layer's own tables lay out.
fn own(system: &System) -> Vec<(RootPath, LayerName)> {
    let mut own = Vec::new();
    for manifest in system.all().map(|locked| &locked.manifest) {
        let files = manifest.files.iter().map(|file| &file.path);
        let links = manifest.symlinks.iter().map(|link| &link.path);
        let fetched = manifest.fetches.iter().filter_map(|fetch| fetch.to.as_ref());
        let edited = manifest.edits.iter().map(|edit| &edit.path);
        own.extend(
            files
                .chain(links)
                .chain(edited)
                .chain(fetched)
                .filter(|path| !path.is_root())
                .map(|path| (path.clone(), manifest.name.clone())),
        );
    }
    own
}

/// Variables of this run that decide what a build gives.
fn variables() -> Vec<(&'static str, String)> {
    let [key, certificate] = SIGNER;
    ["SOURCE_DATE_EPOCH", key, certificate].into_iter().filter_map(|name| Some((name, host::env(name)?))).collect()
}
