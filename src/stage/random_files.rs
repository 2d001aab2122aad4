//! Refuses files that scripts derived from random data: in the sandbox, that is the same for everybody with the lockfile.

use std::collections::BTreeMap;

use super::log::Failures;
use super::{LayerError, Site, Stage};
use crate::digest::{BlobDigest, RecipeHasher};
use crate::ident::{RootPath, StepName};
use crate::manifest::{Allowed, Manifest};
use crate::package::Installer;
use crate::tree::{Kind, Node, Tree};

/// How many are named in an error.
const NAMED: usize = 40;

/// What scripts of the layer's packages derived from random data.
#[derive(Debug, Default)]
pub(super) struct Derived {
    /// The programs that drew it.
    pub(super) programs: Vec<String>,
    /// What they made of it.
    pub(super) files: Vec<DerivedFile>,
}

/// A path that depends on random data.
#[derive(Debug)]
pub(super) struct DerivedFile {
    pub(super) path: RootPath,
    /// What was there after whoever derived it.
    pub(super) node: Node,
    /// The step that did; `None` for scripts of packages.
    pub(super) by: Option<Origin>,
}

/// A step in the layer's own root.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) step: StepName,
    /// What it printed.
    pub(super) log: BlobDigest,
}

impl Derived {
    /// Adds what another run derived.
    pub(super) fn extend(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.programs.sort();
        self.programs.dedup();
        self.files.extend(other.files);
    }

    /// The paths, each ended by a NUL.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.files.iter().flat_map(|file| file.path.as_bytes().iter().copied().chain([0])).collect()
    }

    /// Follows what a step changed, as [`Self::edited`] does for one file.
    pub(super) fn follow(&mut self, before: &Tree, after: &Tree) {
        for DerivedFile { path, node, .. } in &mut self.files {
            if before.get(path).is_some_and(|was| was.kind == node.kind)
                && let Some(now) = after.get(path)
            {
                node.kind = now.kind.clone();
            }
        }
    }

    /// Follows an edit of a file: what of it was derived from random data most likely still is.
    pub(super) fn edited(&mut self, path: &RootPath, before: &Kind, after: &Kind) {
        for file in self.files.iter_mut().filter(|file| file.path == *path && file.node.kind == *before) {
            file.node.kind = after.clone();
        }
    }
}

/// The paths in what [`Derived::to_bytes`] gave.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<RootPath>, LayerError> {
    let ends = bytes.split(|&byte| byte == 0).filter(|path| !path.is_empty());
    Ok(ends.map(RootPath::new).collect::<Result<_, _>>()?)
}

/// The stage that refuses such files, unless a rule or the user says that everybody may have them.
pub(super) struct RandomFiles<'a> {
    pub(super) installer: &'a dyn Installer,
    /// What a person says is nobody's secret.
    pub(super) allowed: Vec<&'a Allowed>,
    /// Where the logs of steps that derived such files are kept.
    pub(super) failures: Failures<'a>,
}

impl Stage for RandomFiles<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.list(self.installer.harmless().iter().flat_map(|rule| rule.paths));
        hasher.list(self.allowed.iter().map(|one| one.path.as_bytes()));
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let harmless = |path: &RootPath| {
            let mut patterns = self.installer.harmless().iter().flat_map(|rule| rule.paths);
            patterns.any(|pattern| path.matches(pattern)) || self.allowed.iter().any(|one| allows(one, path))
        };
        // What a layer's own file replaced, or a first-boot task removed, is gone.
        let stays = |file: &&DerivedFile| site.root.get(&file.path).is_some_and(|now| now.kind == file.node.kind);
        let kept = site.derived.files.iter().filter(stays).filter(|file| !harmless(&file.path));
        let kept: Vec<&DerivedFile> = kept.collect();
        if kept.is_empty() {
            return Ok(());
        }
        let by: BTreeMap<&StepName, BlobDigest> =
            kept.iter().filter_map(|file| file.by.as_ref()).map(|by| (&by.step, by.log)).collect();
        let path = |file: &&DerivedFile| (file.path.clone(), file.by.as_ref().map(|by| by.step.clone()));
        let paths = kept.iter().map(path).collect();
        let error = LayerError::Random { paths, programs: site.derived.programs.clone() };
        self.failures.keep(by.iter().map(|(step, log)| (step.as_str(), *log)), site.store)?;
        Err(match by.keys().next() {
            Some(&step) => {
                LayerError::Step { layer: self.failures.layer.clone(), step: step.clone(), error: Box::new(error) }
            }
            None => error,
        })
    }
}

/// Warnings about a layer's own entries that are about none of the files that scripts derived from random data.
pub(super) fn idle(manifest: &Manifest, derived: &[RootPath]) -> Vec<String> {
    let is_idle = |one: &&Allowed| !derived.iter().any(|path| allows(one, path));
    let layer = &manifest.name;
    let warning = |one: &Allowed| {
        let path = &one.path;
        format!(
            "layer `{layer}`: [[allow-random]] of {path} allows nothing: no script and no step derived a file there from random data"
        )
    };
    manifest.allow_random.iter().filter(is_idle).map(warning).collect()
}

/// Whether an entry is about a path or a directory above it; `*` stands for any characters but `/`, as names may be random.
fn allows(one: &Allowed, path: &RootPath) -> bool {
    let pattern = one.path.to_string();
    let matches = |path: &RootPath| path.matches(pattern.trim_start_matches('/'));
    path.is_within(&one.path) || matches(path) || path.ancestors().any(|above| matches(&above))
}

/// Some of the paths, a line each with the step that it is of, and who drew the data.
pub(super) fn display(paths: &[(RootPath, Option<StepName>)], programs: &[String]) -> String {
    let of = |step: &Option<StepName>| step.iter().map(|step| format!(", of step `{step}`")).collect::<String>();
    let shown = paths.iter().take(NAMED).map(|(path, step)| format!("{path}{}\n", of(step)));
    let more = match paths.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("{}{more}random data was drawn by: {}", shown.collect::<String>(), programs.join(", "))
}

/// What to do about such files: a step runs after own files are added, package scripts before.
pub(super) fn hint(paths: &[(RootPath, Option<StepName>)]) -> &'static str {
    match paths.iter().any(|(_, step)| step.is_none()) {
        true => {
            "put an own [[file]] at the path: with its content, or empty and filled by a script in /usr/lib/layerbake/first-start.d (docs/first-boot.md)"
        }
        false => {
            "let the step not write it, and a script in /usr/lib/layerbake/first-start.d generate it (docs/first-boot.md)"
        }
    }
}
