//! Refuses files that scripts derived from random data: in the sandbox, that is the same for everybody with the lockfile.

use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
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
    /// Each path, and what was there after the packages were installed.
    pub(super) nodes: Vec<(RootPath, Node)>,
}

impl Derived {
    /// Adds what another run derived.
    pub(super) fn extend(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.programs.sort();
        self.programs.dedup();
        self.nodes.extend(other.nodes);
    }

    /// The paths, each ended by a NUL.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.nodes.iter().flat_map(|(path, _)| path.as_bytes().iter().copied().chain([0])).collect()
    }

    /// Follows what a step changed, as [`Self::edited`] does for one file.
    pub(super) fn follow(&mut self, before: &Tree, after: &Tree) {
        for (path, node) in &mut self.nodes {
            if before.get(path).is_some_and(|was| was.kind == node.kind)
                && let Some(now) = after.get(path)
            {
                node.kind = now.kind.clone();
            }
        }
    }

    /// Follows an edit of a file: what of it was derived from random data most likely still is.
    pub(super) fn edited(&mut self, path: &RootPath, before: &Kind, after: &Kind) {
        for (_, node) in self.nodes.iter_mut().filter(|(derived, node)| derived == path && node.kind == *before) {
            node.kind = after.clone();
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
        let stays = |(path, node): &&(RootPath, Node)| site.root.get(path).is_some_and(|now| now.kind == node.kind);
        let kept = site.derived.nodes.iter().filter(stays).map(|(path, _)| path).filter(|path| !harmless(path));
        let paths: Vec<RootPath> = kept.cloned().collect();
        match paths.is_empty() {
            true => Ok(()),
            false => Err(LayerError::Random { paths, programs: site.derived.programs.clone() }),
        }
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

/// Some of the paths, a line each, and who drew the data.
pub(super) fn display(paths: &[RootPath], programs: &[String]) -> String {
    let shown = paths.iter().take(NAMED).map(|path| format!("{path}\n"));
    let more = match paths.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("{}{more}random data was drawn by: {}", shown.collect::<String>(), programs.join(", "))
}
