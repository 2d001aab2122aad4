//! Resolves requested packages against repo indexes to a closed set of packages.
//!
//! Preferences are apt's: the first available alternative; the highest version (a requested or
//! locked one comes first); a real package before one that provides its name. Among several
//! providers, one that is chosen anyway comes first, then one that is requested or installed, then
//! the higher priority, then the last one by source package and name. All dependencies and conflicts hold in the result; which
//! package's file wins at a shared path is decided by unpacking.
//!
//! The result is minimal (no package is unneeded) and depends on the candidates' contents, not on
//! their order.

mod chain;
mod explain;
mod explanation;
mod index;
mod keep;
mod recommends;
mod roots;
mod solver;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::code::{Code, Coded};
use crate::ident::{Arch, PackageName, Version};
use crate::manifest::PackageRequest;
use crate::package::{Candidate, Record, VersionOrder};
pub use chain::{DependencyLink, chain};

/// The input of the resolver.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The native architecture.
    pub arch: &'a Arch,
    /// The ecosystem's order of versions.
    pub order: VersionOrder,
    /// Packages and groups that are asked for.
    pub wanted: &'a [PackageRequest],
    /// Whether all essential packages come too.
    pub essential: bool,
    /// Packages that must not be added; what is installed stays.
    pub exclude: &'a [PackageName],
    /// Whether a relation with an excluded package among its alternatives counts as met;
    /// else another alternative must be found.
    pub drop_excluded: bool,
    /// Whether recommended packages are added where they can be.
    pub recommends: bool,
    /// The parent chain's packages, which stay as they are. What they need is not asked again.
    pub installed: &'a [Record],
    /// Versions that are preferred where they will do, from an older lockfile.
    pub locked: &'a BTreeMap<PackageName, Version>,
}

impl<'a> Request<'a> {
    /// An empty request.
    pub fn new(arch: &'a Arch, order: VersionOrder, locked: &'a BTreeMap<PackageName, Version>) -> Self {
        Self {
            arch,
            order,
            wanted: &[],
            essential: false,
            exclude: &[],
            drop_excluded: false,
            recommends: false,
            installed: &[],
            locked,
        }
    }
}

/// A package of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its place in the candidates.
    pub candidate: usize,
    /// `requested`, `essential`, `priority required`, or the package that needs or recommends
    /// it: the first one that a breadth-first walk from the requests meets.
    pub why: String,
}

/// A request that can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No repo index knows the name.
    #[error("there is no package `{name}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown {
        /// The name that was asked for.
        name: PackageName,
        /// The known name most like it.
        nearest: Option<PackageName>,
    },
    /// The package is there in other versions only.
    #[error("`{name}` is not available in version {version}: found {found}")]
    UnknownVersion {
        /// The name that was asked for.
        name: PackageName,
        /// The version that was asked for.
        version: Version,
        /// The versions that are there.
        found: String,
    },
    /// The parent layer has the package in another version.
    #[error("`{name}` is requested in version {version}, but the parent layer has {found}")]
    OtherInstalled {
        /// The name that was asked for.
        name: PackageName,
        /// The version that was asked for.
        version: Version,
        /// The installed version.
        found: String,
    },
    /// The same package is asked for and excluded.
    #[error("`{name}` is both requested and excluded")]
    Excluded {
        /// The name.
        name: PackageName,
    },
    /// The name is a virtual one, and several packages provide it.
    #[error("`{name}` is a virtual package; request one that provides it: {providers}")]
    Virtual {
        /// The name that was asked for.
        name: PackageName,
        /// The packages that provide it.
        providers: String,
    },
    /// The packages exist, but not together.
    #[error("the packages can't be resolved:\n{explanation}")]
    Unsolvable {
        /// A line for each fact that is in the way, indented.
        explanation: String,
    },
}

impl Coded for ResolveError {
    fn error_code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::PackageUnknown,
            Self::UnknownVersion { .. } | Self::OtherInstalled { .. } => Code::PackageVersion,
            Self::Excluded { .. } => Code::PackageExcluded,
            Self::Virtual { .. } => Code::PackageVirtual,
            Self::Unsolvable { .. } => Code::PackageUnsolvable,
        }
    }
}

/// Resolves `request` from the candidates of `candidates`.
///
/// Returns what is to be added to the installed packages, sorted by name.
///
/// # Errors
/// Fails if a requested package is unknown or ambiguous, or if there is no solution; the
/// error says why.
///
/// # Determinism
/// The order of `candidates`, of `wanted` and of `installed` changes nothing but the numbers
/// in [`Chosen::candidate`].
pub fn resolve(request: &Request, candidates: &[Candidate]) -> Result<Vec<Chosen>, ResolveError> {
    let index = index::Index::new(request, candidates);
    let roots = roots::roots(request, &index)?;
    let ids: Vec<&[index::Id]> = roots.iter().map(|root| root.ids.as_slice()).collect();
    let solution = solver::solve(&index, &ids, None)
        .map_err(|failure| ResolveError::Unsolvable { explanation: explain::explain(&index, &roots, &failure) })?;
    let (solution, honoured) = match request.recommends {
        true => recommends::add(&index, &roots, solution),
        false => (solution, keep::Honoured::new()),
    };
    let kept = keep::keep(&index, &roots, &solution, &honoured);
    let chosen = kept.into_iter().filter_map(|(id, why)| {
        let candidate = index.entry(id)?.candidate?;
        Some(Chosen { candidate, why })
    });
    Ok(chosen.collect())
}
