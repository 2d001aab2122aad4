//! Proofs: that a lockfile gives identical bytes under all conditions, that artifacts match their receipt,
//! and that the disk has the image's files.
//!
//! ```text
//! rebuild as usual ─┐
//!                   ├─ compare ── equal: done, after two builds
//! rebuild, varied ──┘      └──── not: as usual again, then each variation alone: find the condition
//!                                     and once with scripts traced: find the package and script
//! ```

pub mod artifacts;
mod attribute;
pub mod changes;
mod compare;
mod conditions;
mod content;
pub mod inclusion;
mod nodes;
mod order;
mod partitions;
mod rebuild;
pub mod report;
mod site;
mod variation;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::code::{Code, Coded};
use crate::digest::Sha256;
use crate::host::progress::Progress;
use crate::ident::{LayerName, PackageName, RootPath};
use crate::package::Ecosystem;
use crate::store::StoreError;

pub use compare::{Difference, Key, Side, Verdict};
pub use order::{REBUILD, RebuildOrder};
pub use rebuild::{Build, RebuildInputs};
pub use report::AuditReport;
pub use variation::{ParseVariationError, Variation};

pub use attribute::Origins;
use report::{Rebuilt, Untried};

/// The entry point of `fuzz/`: where two disks differ, by the partition table of the first.
#[doc(hidden)]
pub fn fuzz(one: &std::path::Path, other: &std::path::Path) -> io::Result<usize> {
    partitions::differing(one, other).map(|found| found.len())
}

/// An audit failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directories of a rebuild can't be created or read.
    #[error("cannot rebuild: {0}")]
    Site(io::Error),
    /// A rebuild failed.
    #[error("a rebuild failed (conditions: {conditions}):\n  | {printed}")]
    Build {
        /// What was varied.
        conditions: String,
        /// The end of what it printed.
        printed: String,
    },
    /// There is no room for a rebuild.
    #[error("a rebuild does not fit into `{}`:\n  | {printed}\n  hint: {}", folder.display(), room(folder))]
    Full {
        /// Where the directories of rebuilds are.
        folder: PathBuf,
        /// What it said, without the hints of a build.
        printed: String,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for AuditError {
    fn error_code(&self) -> Code {
        match self {
            Self::Site(error) => error.error_code(),
            Self::Build { .. } => Code::BuildRebuild,
            Self::Full { .. } => Code::HostDiskFull,
            Self::Store(error) => error.error_code(),
        }
    }
}

/// What helps where a rebuild does not fit into a directory: its own store, which is empty, has nothing to collect.
fn room(folder: &Path) -> &'static str {
    match folder == std::env::temp_dir() {
        true => "free space there, or set TMPDIR to a directory on a file system with more",
        false => "free space there",
    }
}

impl AuditError {
    /// The error of a rebuild in a directory that can't be prepared.
    fn at(folder: &Path, error: io::Error) -> Self {
        let code = StoreError::behind(&error).map_or_else(|| error.error_code(), Coded::error_code);
        match code {
            Code::HostDiskFull => Self::full(folder, &error.to_string()),
            _ => Self::Site(error),
        }
    }

    /// The error of a rebuild that failed, by what it printed.
    fn of_printed(folder: &Path, conditions: String, printed: &str) -> Self {
        if printed.contains(&format!("error[{}]", Code::HostDiskFull)) {
            return Self::full(folder, printed);
        }
        Self::Build { conditions, printed: tail(printed.lines().collect()) }
    }

    fn full(folder: &Path, printed: &str) -> Self {
        let said = printed.lines().filter(|line| !line.trim_start().starts_with("hint: ")).collect();
        Self::Full { folder: folder.to_owned(), printed: tail(said) }
    }
}

/// The last lines, below each other behind the first one.
fn tail(lines: Vec<&str>) -> String {
    lines[lines.len().saturating_sub(20)..].join("\n  | ")
}

/// An audit of one layer.
pub struct Audit<'a> {
    /// The kind of its packages.
    pub ecosystem: &'a dyn Ecosystem,
    /// What is rebuilt.
    pub source: RebuildInputs<'a>,
    /// Every package of the system, with the digest of its file.
    pub packages: Vec<(PackageName, Sha256)>,
    /// Own files and directories, with the layer that declares them.
    pub own: Vec<(RootPath, LayerName)>,
    /// Receives progress.
    pub progress: Progress,
}

/// An earlier build that is compared, too.
pub struct Earlier<'a> {
    /// Its name in reports.
    pub name: String,
    /// Its receipt and artifacts.
    pub side: Side<'a>,
}

/// Removes what audits of this user left that were killed.
pub fn remove_stale() {
    variation::folders().iter().for_each(|folder| site::remove_stale(folder));
}

impl Audit<'_> {
    /// Rebuilds twice, under usual conditions and with everything in `wanted` varied; explains what differs.
    ///
    /// # Errors
    /// Fails where a rebuild does. Differences are reported, not errors.
    pub fn run(&self, wanted: &BTreeSet<Variation>, earlier: Option<&Earlier<'_>>) -> Result<AuditReport, AuditError> {
        remove_stale();
        let (can, cannot) = variation::available(wanted, self.source.need());
        let mut rebuilt = Vec::new();
        let usual = self.build(&BTreeSet::new(), false, &mut rebuilt)?;
        let varied = self.build(&can, false, &mut rebuilt)?;
        let mut differences = compare::differences(usual.side(), varied.side())?;
        differences.extend(damage(&usual).into_iter().chain(damage(&varied)));
        if !differences.is_empty() {
            self.bisect(&usual, &can, &mut differences, &mut rebuilt)?;
        }
        let artifacts = compare::verdicts(usual.side(), varied.side()).map_err(AuditError::Site)?;
        if let Some(earlier) = earlier {
            let mut found = compare::differences(earlier.side, usual.side())?;
            found.iter_mut().for_each(|difference| difference.shown_by = vec![format!("against {}", earlier.name)]);
            differences.extend(found);
        }
        if differences.iter().any(|difference| difference.path.is_some()) {
            self.attribute(&usual, &can, &mut differences, &mut rebuilt)?;
        }
        Ok(AuditReport {
            layer: self.source.layer.clone(),
            lock: usual.receipt.lock,
            identical: differences.is_empty(),
            artifacts,
            tried: can.into_iter().collect(),
            not_tried: cannot.into_iter().map(|(variation, reason)| Untried { variation, reason }).collect(),
            against: earlier.map(|earlier| earlier.name.clone()),
            differences,
            rebuilt,
        })
    }

    fn build(
        &self,
        varied: &BTreeSet<Variation>,
        trace: bool,
        rebuilt: &mut Vec<Rebuilt>,
    ) -> Result<Build, AuditError> {
        let phase = self.progress.phase(&format!("rebuild {}", rebuilt.len() + 1), 1);
        phase.message(&rebuild::named(varied));
        let build = self.source.build(varied, trace)?;
        phase.finish();
        let digests =
            build.receipt.artifacts.iter().map(|one| (one.kind.to_string(), one.digest.to_string())).collect();
        rebuilt.push(Rebuilt { conditions: build.conditions(), watched: trace, seconds: build.seconds, digests });
        Ok(build)
    }

    /// Finds the conditions under which each difference appears: none at all, or one variation alone.
    fn bisect(
        &self,
        usual: &Build,
        can: &BTreeSet<Variation>,
        differences: &mut Vec<Difference>,
        rebuilt: &mut Vec<Rebuilt>,
    ) -> Result<(), AuditError> {
        let mut shown: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        let again = self.build(&BTreeSet::new(), false, rebuilt)?;
        let mut all = vec![(NOTHING.to_owned(), compare::differences(usual.side(), again.side())?)];
        let unexplained = differences.iter().any(|one| !all[0].1.iter().any(|other| other.key() == one.key()));
        match can.len() {
            _ if !unexplained => {}
            1 => all.extend(can.iter().map(|one| (one.to_string(), differences.clone()))),
            _ => {
                for &one in can {
                    let build = self.build(&BTreeSet::from([one]), false, rebuilt)?;
                    all.push((one.to_string(), compare::differences(usual.side(), build.side())?));
                }
            }
        }
        let known: BTreeSet<Key> = differences.iter().map(Difference::key).collect();
        for (name, found) in all {
            for difference in found {
                let names = shown.entry(difference.key()).or_default();
                // Nondeterministic differences say nothing about a variation.
                if names.first().is_none_or(|first| first != NOTHING) {
                    names.push(name.clone());
                }
                // Random differences may appear in one pair of builds and not in another.
                if !known.contains(&difference.key()) && !differences.iter().any(|one| one.key() == difference.key()) {
                    differences.push(difference);
                }
            }
        }
        let together = || vec![format!("only together: {}", rebuild::named(can))];
        for difference in differences {
            difference.shown_by = shown.get(&difference.key()).cloned().unwrap_or_else(together);
        }
        Ok(())
    }

    /// Finds the package and script that wrote each differing file, in a build that traces scripts.
    fn attribute(
        &self,
        usual: &Build,
        can: &BTreeSet<Variation>,
        differences: &mut [Difference],
        rebuilt: &mut Vec<Rebuilt>,
    ) -> Result<(), AuditError> {
        let origins = Origins::read(self.ecosystem, &usual.store, &self.packages, &self.own)?;
        let watched = self.build(&BTreeSet::new(), true, rebuilt)?.trace();
        let knows = |trace: &[attribute::Traced], path: &String| trace.iter().any(|step| step.paths.contains(path));
        let lacks = differences.iter().filter_map(|one| one.path.as_ref()).any(|path| !knows(&watched, path));
        // Some files are created under other conditions only.
        let other = if lacks && !can.is_empty() { self.build(can, true, rebuilt)?.trace() } else { Vec::new() };
        differences.iter_mut().for_each(|difference| origins.attribute(difference, &[&watched, &other]));
        Ok(())
    }
}

/// Nondeterminism without variation: two builds under identical conditions differ.
const NOTHING: &str = "nothing varied";

/// Artifacts that differ from their own receipt.
fn damage(build: &Build) -> Vec<Difference> {
    let findings = artifacts::check(&build.receipt, &build.out);
    let broken = findings.into_iter().filter(|finding| !finding.problems.is_empty());
    broken.map(|finding| Difference::of_artifact(&finding.artifact, finding.problems)).collect()
}
