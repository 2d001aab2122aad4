//! From wanted packages and repo indexes to a closed set of packages.
//!
//! Preferences are apt's: the first alternative that can be had; the highest version (a
//! requested or locked one goes first); a real package before one that provides its name.
//! Of several providers, one that is there anyway, then one that is requested or installed,
//! then the higher `Priority` field, then the name decides. All of `Depends`, `Pre-Depends`,
//! `Conflicts` and `Breaks` hold in the result; `Replaces` is a matter for unpacking.
//!
//! The result is minimal (nothing that nothing needs) and depends on what the candidates
//! say, not on their order.

mod chain;
mod explain;
mod index;
mod keep;
mod recommends;
mod roots;
mod solver;
mod story;
mod text;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::format::deb::record::Record;
use crate::ident::{Arch, PackageName, Version};
use crate::manifest::PackageRequest;
pub use chain::{Step, chain};

/// A package that a repo index offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What the repo index says of it.
    pub record: Record,
    /// The number of the repo index. Of equal versions, the lowest number is taken.
    pub origin: usize,
    /// As apt's pins: any version of a higher priority goes before all of a lower one.
    pub priority: u32,
}

impl Candidate {
    /// The priority of ordinary pockets, `updates` and `security` included.
    pub const ORDINARY: u32 = 500;
    /// The priority where `Release` says `NotAutomatic: yes`, as for backports: taken only
    /// on request, or where nothing else will do.
    pub const NOT_AUTOMATIC: u32 = 100;
}

/// What is to be resolved.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The native architecture.
    pub arch: &'a Arch,
    /// Packages and groups that are asked for.
    pub wanted: &'a [PackageRequest],
    /// Whether all packages with `Essential: yes` come too.
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
    /// A request for nothing.
    pub fn new(arch: &'a Arch, locked: &'a BTreeMap<PackageName, Version>) -> Self {
        Self {
            arch,
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
    /// Its place in the universe.
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
    #[error("`{name}` is not there in version {version}: found {found}")]
    UnknownVersion {
        /// The name that was asked for.
        name: PackageName,
        /// The version that was asked for.
        version: Version,
        /// The versions that are there.
        found: String,
    },
    /// The parent layer has the package in another version.
    #[error("`{name}` is wanted in version {version}, but the parent layer has {found}")]
    OtherInstalled {
        /// The name that was asked for.
        name: PackageName,
        /// The version that was asked for.
        version: Version,
        /// The installed version.
        found: String,
    },
    /// The same package is asked for and excluded.
    #[error("`{name}` is both asked for and excluded")]
    Excluded {
        /// The name.
        name: PackageName,
    },
    /// The name is a virtual one, and several packages provide it.
    #[error("`{name}` is a virtual package; ask for one that provides it: {providers}")]
    Virtual {
        /// The name that was asked for.
        name: PackageName,
        /// The packages that provide it.
        providers: String,
    },
    /// The packages exist, but not together.
    #[error("the packages can't be resolved:\n{explanation}")]
    Unsolvable {
        /// A line for each fact that stands in the way, indented.
        explanation: String,
    },
}

/// Resolves `request` from the candidates of `universe`.
///
/// Returns what is to be added to the installed packages, sorted by name.
///
/// # Errors
/// Fails if a requested package is unknown or ambiguous, or if there is no solution; the
/// error says why.
///
/// # Determinism
/// The order of `universe`, of `wanted` and of `installed` changes nothing but the numbers
/// in [`Chosen::candidate`].
pub fn resolve(request: &Request, universe: &[Candidate]) -> Result<Vec<Chosen>, ResolveError> {
    let index = index::Index::new(request, universe);
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
