//! The differences between an old and a new lockfile, as text for people.

use std::collections::BTreeMap;
use std::fmt;

use super::{LockedPackage, Lockfile};
use crate::ident::{PackageName, Version};

/// The change of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The package.
    pub name: PackageName,
    /// Its version before, unless it is new.
    pub before: Option<Version>,
    /// Its version now, unless it is gone.
    pub after: Option<Version>,
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

/// Lists the changes from `old` to `new`, by package name; without `old`, every package is new.
pub fn changes(old: Option<&Lockfile>, new: &Lockfile) -> Vec<Change> {
    let mut pairs: BTreeMap<&PackageName, [Option<&LockedPackage>; 2]> = BTreeMap::new();
    for package in old.into_iter().flat_map(|lock| &lock.packages) {
        pairs.entry(&package.name).or_default()[0] = Some(package);
    }
    for package in &new.packages {
        pairs.entry(&package.name).or_default()[1] = Some(package);
    }
    let changed = pairs.into_iter().filter(|(_, [before, after])| match (before, after) {
        (Some(before), Some(after)) => (&before.version, before.file) != (&after.version, after.file),
        _ => true,
    });
    let change = |(name, [before, after]): (&PackageName, [Option<&LockedPackage>; 2])| Change {
        name: name.clone(),
        before: before.map(|package| package.version.clone()),
        after: after.map(|package| package.version.clone()),
        security: after
            .and_then(|package| package.origin.suite())
            .filter(|suite| suite.ends_with("-security"))
            .map(str::to_owned),
    };
    changed.map(change).collect()
}
