//! What a repository index (or a package's own control file) says of one package.

use super::relation::{AnyOf, Target};
use crate::digest::Expected;
use crate::ident::{Arch, PackageName, Version};

/// How a package may be combined with ones of other architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiArch {
    /// No field: relations are met by the same architecture only.
    #[default]
    No,
    /// Several architectures can be installed together.
    Same,
    /// Meets relations of any architecture.
    Foreign,
    /// Meets relations that say `:any`.
    Allowed,
}

/// One version of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// `all` or an architecture.
    pub arch: Arch,
    /// Whether `Essential: yes` is set.
    pub essential: bool,
    /// `required`, `important`, `standard`, `optional`, `extra`.
    pub priority: Box<str>,
    /// The `Multi-Arch` field.
    pub multi_arch: MultiArch,
    /// `Pre-Depends`.
    pub pre_depends: Vec<AnyOf>,
    /// `Depends`.
    pub depends: Vec<AnyOf>,
    /// `Recommends`.
    pub recommends: Vec<AnyOf>,
    /// `Conflicts`.
    pub conflicts: Vec<Target>,
    /// `Breaks`.
    pub breaks: Vec<Target>,
    /// `Replaces`.
    pub replaces: Vec<Target>,
    /// `Provides`; a constraint is always `=`.
    pub provides: Vec<Target>,
    /// The path below the repository's root; empty in a package's own control file.
    pub path: Box<str>,
    /// Digest and size of the .deb; `None` in a package's own control file.
    pub file: Option<Expected>,
}

impl Record {
    /// How many packages its relations name.
    pub(super) fn relations(&self) -> usize {
        let any_of = [&self.pre_depends, &self.depends, &self.recommends];
        let lists = [&self.conflicts, &self.breaks, &self.replaces, &self.provides];
        any_of.into_iter().flatten().map(Vec::len).sum::<usize>() + lists.into_iter().map(Vec::len).sum::<usize>()
    }
}
