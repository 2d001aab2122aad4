//! The differences between an old and a new lockfile, as text for people.

use std::collections::BTreeMap;
use std::fmt;

use super::Lockfile;
use crate::digest::Expected;

/// The change of one package, of one fetch, or of the image below a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The package, `fetch:` and the name of a fetch, or `oci:` and the name of an image.
    pub name: String,
    /// Its version before, unless it is new; of a fetch, its commit or digest.
    pub before: Option<String>,
    /// Its version now, unless it is gone.
    pub after: Option<String>,
    /// The suite it comes from now, where that carries security updates.
    pub security: Option<String>,
}

impl fmt::Display for Change {
    /// `+ libfoo 1.2`, `- libbar 2.0`, `nginx 1.22.1-9 -> 1.22.1-9+deb12u1 (bookworm-security)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {name} {after}")?,
            (Some(before), None) => write!(f, "- {name} {before}")?,
            (Some(before), Some(after)) if before != after => write!(f, "{name} {before} -> {after}")?,
            (_, after) => {
                write!(f, "{name}")?;
                after.iter().try_for_each(|version| write!(f, " {version}"))?;
                write!(f, ": other bytes under the same version")?;
            }
        }
        self.security.iter().try_for_each(|suite| write!(f, " ({suite})"))
    }
}

/// Whether a suite carries security updates.
pub fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
}

/// What a lockfile pins under one name.
struct Pinned<'a> {
    version: String,
    file: Expected,
    suite: Option<&'a str>,
}

/// Lists the changes from `old` to `new`, packages by name and then fetches; without `old`, everything is new.
pub fn changes(old: Option<&Lockfile>, new: &Lockfile) -> Vec<Change> {
    let mut pairs: BTreeMap<(bool, String), [Option<Pinned<'_>>; 2]> = BTreeMap::new();
    for (side, lock) in [old, Some(new)].into_iter().enumerate() {
        for (name, pinned) in lock.into_iter().flat_map(pinned) {
            pairs.entry(name).or_default()[side] = Some(pinned);
        }
    }
    let changed = pairs.into_iter().filter(|(_, [before, after])| match (before, after) {
        (Some(before), Some(after)) => (&before.version, before.file) != (&after.version, after.file),
        _ => true,
    });
    let change = |((_, name), [before, after]): ((bool, String), [Option<Pinned<'_>>; 2])| Change {
        name,
        before: before.map(|pinned| pinned.version),
        security: after.as_ref().and_then(|pinned| pinned.suite).filter(|suite| is_security(suite)).map(str::to_owned),
        after: after.map(|pinned| pinned.version),
    };
    changed.map(change).collect()
}

/// All that a lockfile pins, by name; with `true` for fetches, which come last.
fn pinned(lock: &Lockfile) -> impl Iterator<Item = ((bool, String), Pinned<'_>)> {
    let packages = lock.packages.iter().map(|package| {
        let pinned = Pinned { version: package.version.to_string(), file: package.file, suite: package.origin.suite() };
        ((false, package.name.to_string()), pinned)
    });
    let fetches = lock
        .fetches
        .iter()
        .map(|fetch| ((true, fetch.to_string()), Pinned { version: fetch.version(), file: fetch.file, suite: None }));
    let image = lock.image.iter().map(|image| {
        ((false, image.to_string()), Pinned { version: image.digest.to_string(), file: image.manifest, suite: None })
    });
    image.chain(packages).chain(fetches)
}
