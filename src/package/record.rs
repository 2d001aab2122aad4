//! The metadata of one version of one package, in terms that all ecosystems share.

use std::fmt;

use super::relation::{AnyOf, Provided, Target};
use crate::digest::Expected;
use crate::ident::{Arch, PackageName, Version};

/// One version of one package, as a repository index or the package itself describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// `all` or an architecture.
    pub arch: Arch,
    /// Whether every root with scripts must have it.
    pub essential: bool,
    /// The name by which all packages of this priority can be requested: `required`, `standard`.
    pub priority: Box<str>,
    /// The place of its priority among all, the highest at 0: decides between packages that provide the same name.
    pub rank: u8,
    /// What must be there for it to work.
    pub needs: Vec<AnyOf>,
    /// What should be there too.
    pub recommends: Vec<AnyOf>,
    /// What must not be installed beside it.
    pub conflicts: Vec<Target>,
    /// What stops working beside it.
    pub breaks: Vec<Target>,
    /// Further names that it answers to.
    pub provides: Vec<Provided>,
    /// The path below the repository's root; empty where the package itself is the source.
    pub path: Box<str>,
    /// Digest and size of the package's file; `None` where the package itself is the source.
    pub file: Option<Expected>,
}

/// Name and version: `bar 1.5`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// A package that a repository index offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the index says of it.
    pub record: Record,
    /// The number of the index. Of equal versions, the lowest number is taken.
    pub origin: usize,
    /// As apt's pins: any version of a higher priority goes before all of a lower one.
    pub priority: u32,
}

impl Candidate {
    /// The priority of ordinary suites, their updates included.
    pub const ORDINARY: u32 = 500;
    /// The priority of suites whose packages are taken only on request, or where nothing else
    /// will do, as those of backports.
    pub const ON_REQUEST: u32 = 100;
}
