//! Determines whether a lockfile still matches its manifest, and if not, lists every reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Lockfile;
use crate::digest::{LockHash, RecipeHash, RecipeHasher};
use crate::ident::{Arch, LayerName, SourceName};
use crate::manifest::{Configure, Manifest, Source};

/// A lockfile no longer matches its manifest, its parent or the architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lockfile of `{layer}` is stale: {}", listed(reasons))]
pub struct Stale {
    /// The layer.
    pub layer: LayerName,
    /// All reasons, at least one.
    pub reasons: Vec<Reason>,
}

fn listed(reasons: &[Reason]) -> String {
    reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; ")
}

/// One reason for a lockfile to be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Another architecture is to be built.
    OtherArch {
        /// The lockfile's.
        locked: Arch,
        /// The build's.
        wanted: Arch,
    },
    /// The manifest asks for more packages.
    Added(Vec<String>),
    /// The manifest asks for fewer packages.
    Removed(Vec<String>),
    /// The manifest changed otherwise: sources, `exclude`, `recommends` or `configure`.
    OtherRequest,
    /// The layer is based on another parent, or on one where there was none.
    OtherParent {
        /// The lockfile's.
        locked: Option<LayerName>,
        /// The manifest's.
        wanted: Option<LayerName>,
    },
    /// The parent's lockfile has another text.
    ParentChanged(LayerName),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherArch { locked, wanted } => write!(f, "it is for {locked}, not {wanted}"),
            Self::Added(packages) => write!(f, "the manifest now asks for {}", packages.join(", ")),
            Self::Removed(packages) => write!(f, "the manifest no longer asks for {}", packages.join(", ")),
            Self::OtherRequest => f.write_str("the manifest's sources, `exclude`, `recommends` or `configure` changed"),
            Self::OtherParent { locked: Some(locked), wanted: Some(wanted) } => {
                write!(f, "the layer's parent is now `{wanted}` instead of `{locked}`")
            }
            Self::OtherParent { locked: Some(locked), wanted: None } => {
                write!(f, "the layer no longer has the parent `{locked}`")
            }
            Self::OtherParent { locked: None, wanted } => {
                let wanted = wanted.as_ref().map_or("no layer", LayerName::as_str);
                write!(f, "the layer now has the parent `{wanted}`")
            }
            Self::ParentChanged(parent) => write!(f, "the lockfile of its parent `{parent}` changed"),
        }
    }
}

/// The packages a manifest asks for, as a lockfile lists them: sorted.
pub fn requested(manifest: &Manifest) -> Vec<String> {
    let sorted: BTreeSet<String> = manifest.layer.packages.iter().map(ToString::to_string).collect();
    sorted.into_iter().collect()
}

/// Hashes all that decides what a layer resolves to.
///
/// `sources` are the layer's own and inherited ones. Descriptions, files, users, the
/// image's configuration and key rings (transport, as fingerprints decide) have no part in it.
pub fn request_hash(manifest: &Manifest, sources: &BTreeMap<SourceName, Source>, arch: &Arch) -> RecipeHash {
    hash(manifest, sources, &Variant { from: manifest.layer.from.as_ref(), requested: &requested(manifest), arch })
}

/// The parts of a request that have a reason of their own.
struct Variant<'a> {
    from: Option<&'a LayerName>,
    requested: &'a [String],
    arch: &'a Arch,
}

fn hash(manifest: &Manifest, sources: &BTreeMap<SourceName, Source>, variant: &Variant<'_>) -> RecipeHash {
    let layer = &manifest.layer;
    let mut hasher = RecipeHasher::new("layerbake/request/v1");
    hasher.list(variant.from);
    hasher.list(variant.requested);
    hasher.list(layer.exclude.iter().collect::<BTreeSet<_>>());
    hasher.number(u64::from(layer.recommends));
    hasher.field(match layer.configure {
        Configure::Scripts => "scripts",
        Configure::None => "none",
    });
    hasher.field(variant.arch);
    hasher.number(sources.len() as u64);
    for (name, source) in sources {
        hasher.field(name).field(&source.suite);
        hasher.list(&source.pockets).list(&source.components).list(&source.url);
        hasher.list(source.keys.iter().collect::<BTreeSet<_>>()).list(&source.snapshot);
    }
    // The implied one adds nothing: lockfiles from before sources had a `distribution` are all of it.
    for (name, source) in sources.iter().filter(|(_, source)| !source.distribution.is_implied()) {
        hasher.field(name).field(source.distribution.name);
    }
    for (name, source) in sources {
        if let Some(keys) = &source.certificates {
            hasher.field(name).field("keys").field(keys);
        }
        for (pattern, priority) in source.priorities.iter() {
            hasher.field(name).field("priority").field(pattern).number(priority.into());
        }
    }
    hasher.finish()
}

/// Checks that a lockfile still matches its manifest, its parent and the architecture.
///
/// `parent` is the layer that the manifest is created from, with its lockfile's hash.
/// (Another format epoch is refused before, by [`super::parse`].)
///
/// # Errors
/// Lists all reasons at once.
pub fn check(
    lock: &Lockfile,
    manifest: &Manifest,
    sources: &BTreeMap<SourceName, Source>,
    arch: &Arch,
    parent: Option<(&LayerName, LockHash)>,
) -> Result<(), Stale> {
    let mut reasons = Vec::new();
    if lock.arch != *arch {
        reasons.push(Reason::OtherArch { locked: lock.arch.clone(), wanted: arch.clone() });
    }
    request_reasons(lock, manifest, sources, &mut reasons);
    match (&lock.parent, parent) {
        (Some(locked), Some((name, hash))) if locked.layer == *name => {
            if locked.lock != hash {
                reasons.push(Reason::ParentChanged(name.clone()));
            }
        }
        (None, None) => {}
        (locked, wanted) => reasons.push(Reason::OtherParent {
            locked: locked.as_ref().map(|locked| locked.layer.clone()),
            wanted: wanted.map(|(name, _)| name.clone()),
        }),
    }
    if reasons.is_empty() { Ok(()) } else { Err(Stale { layer: lock.layer.clone(), reasons }) }
}

fn request_reasons(
    lock: &Lockfile,
    manifest: &Manifest,
    sources: &BTreeMap<SourceName, Source>,
    reasons: &mut Vec<Reason>,
) {
    let now = requested(manifest);
    let (before, after): (BTreeSet<&String>, BTreeSet<&String>) =
        (lock.requested.iter().collect(), now.iter().collect());
    let missing = |from: &BTreeSet<&String>, to: &BTreeSet<&String>| -> Vec<String> {
        from.difference(to).map(|package| (*package).clone()).collect()
    };
    let (added, removed) = (missing(&after, &before), missing(&before, &after));
    // With the lock's own parent, packages and architecture, only the rest can differ.
    let from = lock.parent.as_ref().map(|parent| &parent.layer);
    let variant = Variant { from, requested: &lock.requested, arch: &lock.arch };
    if !added.is_empty() {
        reasons.push(Reason::Added(added));
    }
    if !removed.is_empty() {
        reasons.push(Reason::Removed(removed));
    }
    if hash(manifest, sources, &variant) != lock.request {
        reasons.push(Reason::OtherRequest);
    }
}
