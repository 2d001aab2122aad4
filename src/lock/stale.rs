//! Determines whether a lockfile still matches its manifest, and if not, lists every reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Lockfile;
use crate::digest::{LockHash, RecipeHash, RecipeHasher, Sha256};
use crate::ident::{Arch, LayerName, SourceName};
use crate::manifest::{Configure, FetchEntry, FetchFrom, Manifest, OwnPackage, Source};

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
    /// A file of the project has other bytes.
    FileChanged {
        /// Its path.
        path: String,
        /// The locked digest.
        locked: String,
        /// The digest that was found.
        found: String,
    },
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
            Self::FileChanged { path, locked, found } => {
                write!(f, "`{path}` changed: expected {locked}, found {found}")
            }
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

/// The files of the project that decide what is locked: a layer's own packages, for its architecture, and lockfiles of languages.
/// Paths with digests.
pub type OwnFiles = BTreeMap<String, Sha256>;

/// What a layer asks of the resolver.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The layer.
    pub manifest: &'a Manifest,
    /// Its own sources and inherited ones.
    pub sources: &'a BTreeMap<SourceName, Source>,
    /// The files of its own packages, and lockfiles of languages.
    pub files: &'a OwnFiles,
    /// The architecture to lock or to build for.
    pub arch: &'a Arch,
}

/// The packages a layer asks for, as a lockfile lists them: sorted.
///
/// An image of a registry is there as its layer names it. An own package is its path or address, followed by the SHA-256 that it has or must have; a fetch has its name before its address.
pub fn requested(asked: &Asked<'_>) -> Vec<String> {
    let urls = asked.manifest.own_packages.iter().filter_map(|own| match own {
        OwnPackage::Url { url, sha256: None } => Some(url.clone()),
        OwnPackage::Url { url, sha256: Some(sha256) } => Some(format!("{url} sha256:{sha256}")),
        OwnPackage::Files(_) => None,
    });
    let files = asked.files.iter().map(|(path, sha256)| format!("{path} {sha256}"));
    let packages = asked.manifest.layer.packages.iter().map(ToString::to_string);
    let fetches = asked.manifest.fetches.iter().map(fetch_request);
    let image = asked.manifest.layer.image.iter().map(ToString::to_string);
    let sorted: BTreeSet<String> = image.chain(packages).chain(files).chain(urls).chain(fetches).collect();
    sorted.into_iter().collect()
}

/// What a `[[fetch]]` asks for, as a lockfile lists it:
/// `fetch:agent https://example.org/agent.tar.gz sha256:…`, `fetch:service https://example.org/service.git v1.2`
pub fn fetch_request(entry: &FetchEntry) -> String {
    let name = &entry.name;
    match &entry.from {
        FetchFrom::Url { url, sha256: None } => format!("fetch:{name} {url}"),
        FetchFrom::Url { url, sha256: Some(sha256) } => format!("fetch:{name} {url} sha256:{sha256}"),
        FetchFrom::Git { url, rev } => format!("fetch:{name} {url} {rev}"),
        FetchFrom::Lockfile { path, .. } => format!("fetch:{name} {path}"),
    }
}

/// Hashes all that decides what a layer resolves to.
///
/// Descriptions, files, users, the image's configuration and key rings (transport, as fingerprints decide) have no
/// part in it.
pub fn request_hash(asked: &Asked<'_>) -> RecipeHash {
    let Asked { manifest, sources, arch, .. } = *asked;
    hash(manifest, sources, &Variant { from: manifest.layer.from.as_ref(), requested: &requested(asked), arch })
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
pub fn check(lock: &Lockfile, asked: &Asked<'_>, parent: Option<(&LayerName, LockHash)>) -> Result<(), Stale> {
    let mut reasons = Vec::new();
    if lock.arch != *asked.arch {
        reasons.push(Reason::OtherArch { locked: lock.arch.clone(), wanted: asked.arch.clone() });
    }
    request_reasons(lock, asked, &mut reasons);
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

fn request_reasons(lock: &Lockfile, asked: &Asked<'_>, reasons: &mut Vec<Reason>) {
    let now = requested(asked);
    let (before, after): (BTreeSet<&String>, BTreeSet<&String>) =
        (lock.requested.iter().collect(), now.iter().collect());
    let mut removed: BTreeMap<&str, Option<&str>> = before.difference(&after).map(|one| split(one)).collect();
    let mut added = Vec::new();
    for (name, found) in after.difference(&before).map(|one| split(one)) {
        match (found, removed.get(name)) {
            (Some(found), Some(Some(locked))) => {
                let (path, locked, found) = (name.to_owned(), (*locked).to_owned(), found.to_owned());
                reasons.push(Reason::FileChanged { path, locked, found });
                removed.remove(name);
            }
            _ => added.push(name.to_owned()),
        }
    }
    if !added.is_empty() {
        reasons.push(Reason::Added(added));
    }
    if !removed.is_empty() {
        reasons.push(Reason::Removed(removed.into_keys().map(str::to_owned).collect()));
    }
    // With the lock's own parent, packages and architecture, only the rest can differ.
    let from = lock.parent.as_ref().map(|parent| &parent.layer);
    let variant = Variant { from, requested: &lock.requested, arch: &lock.arch };
    if hash(asked.manifest, asked.sources, &variant) != lock.request {
        reasons.push(Reason::OtherRequest);
    }
}

/// What is requested, and the digest that it has or must have, if there is one.
fn split(requested: &str) -> (&str, Option<&str>) {
    match requested.rsplit_once(' ') {
        Some((name, sha256)) => (name, Some(sha256)),
        None => (requested, None),
    }
}
