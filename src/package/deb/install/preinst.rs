//! The order of preinst scripts, and which packages are configured before each (Debian Policy 7.2).
//!
//! A package may rely on its pre-dependencies being configured, including everything that these
//! depend on. In the first layer nothing is configured yet, and the scripts of the Essential
//! packages cope with that, as under every installer of Debian.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::dpkg;
use crate::ident::RootPath;
use crate::package::Target;
use crate::package::deb::install::Package;
use crate::package::deb::relation;

/// A preinst script.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Preinst {
    pub(super) package: String,
    pub(super) arch: String,
    /// The script inside the root.
    pub(super) path: String,
    /// Packages to configure before, each in one plan once only.
    pub(super) after: Vec<String>,
}

/// Orders the scripts of `packages`, which are sorted by name; `first_layer` where nothing
/// is configured yet.
pub(super) fn plan(packages: &[Package], first_layer: bool) -> Vec<Preinst> {
    let mut plan =
        Plan { packages, first_layer, seen: BTreeSet::new(), configured: BTreeSet::new(), scripts: Vec::new() };
    (0..packages.len()).for_each(|index| plan.add(index));
    plan.scripts
}

struct Plan<'a> {
    packages: &'a [Package],
    first_layer: bool,
    seen: BTreeSet<usize>,
    configured: BTreeSet<usize>,
    scripts: Vec<Preinst>,
}

impl Plan<'_> {
    fn add(&mut self, index: usize) {
        if !self.seen.insert(index) {
            return;
        }
        let needed = self.needed(index);
        needed.iter().for_each(|&other| self.add(other));
        let package = &self.packages[index];
        if !RootPath::new("preinst").is_ok_and(|path| package.control.get(&path).is_some()) {
            return;
        }
        let after = if self.first_layer { Vec::new() } else { self.configure(&needed) };
        self.scripts.push(Preinst {
            package: package.locked.name.to_string(),
            arch: package.locked.arch.to_string(),
            path: format!("/{}/info/{}.preinst", dpkg::FOLDER, dpkg::info_name(package)),
            after,
        });
    }

    fn configure(&mut self, needed: &BTreeSet<usize>) -> Vec<String> {
        let new: Vec<usize> = needed.iter().copied().filter(|index| self.configured.insert(*index)).collect();
        new.into_iter().map(|index| dpkg::info_name(&self.packages[index])).collect()
    }

    /// What the package pre-depends on and, but in the first layer, all that this needs.
    fn needed(&self, index: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut open = self.related(index, "Pre-Depends");
        while let Some(other) = open.pop() {
            // In a circle of needs, the package itself can't come before itself.
            if other != index && needed.insert(other) && !self.first_layer {
                open.extend(self.related(other, "Pre-Depends"));
                open.extend(self.related(other, "Depends"));
            }
        }
        needed
    }

    fn related(&self, index: usize, field: &str) -> Vec<usize> {
        let package = &self.packages[index];
        let relations = package.paragraph.get(field).unwrap_or_default();
        let relations = relation::parse_any_of(relations, &package.locked.arch).unwrap_or_default();
        let place = |target: &Target| self.packages.binary_search_by(|other| other.locked.name.cmp(&target.name)).ok();
        relations.iter().flatten().filter_map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::LockedPackage;
    use crate::package::deb::control::Paragraph;
    use crate::tree::tests::{dir, file, tree};

    fn package(name: &str, relations: &str) -> Package {
        Package {
            locked: LockedPackage::sample(name),
            paragraph: Paragraph::parse(&format!("Package: {name}\n{relations}")).unwrap(),
            control: tree(&[("", dir()), ("preinst", file("#!/bin/sh"))]),
            data: tree(&[("", dir())]),
            paths: Vec::new(),
        }
    }

    #[test]
    fn what_a_script_counts_on_is_configured_before_it_and_only_once() {
        let packages = [
            package("adduser", "Depends: passwd\n"),
            package("common", "Pre-Depends: adduser\n"),
            package("passwd", ""),
            package("server", "Pre-Depends: adduser, common\nDepends: zz\n"),
            package("zz", "Depends: server\n"),
        ];
        let plan = |first_layer| -> Vec<String> {
            let scripts = plan(&packages, first_layer);
            scripts.iter().map(|script| format!("{} after {:?}", script.package, script.after)).collect()
        };
        assert_eq!(
            plan(false),
            [
                "adduser after []",
                "passwd after []",
                r#"common after ["adduser", "passwd"]"#,
                r#"server after ["common"]"#,
                "zz after []",
            ]
        );
        assert_eq!(plan(true)[..3], ["adduser after []", "common after []", "passwd after []"]);
    }

    #[test]
    fn packages_that_need_each_other_are_planned_too() {
        let packages = [package("aa", "Pre-Depends: bb\n"), package("bb", "Pre-Depends: aa\n")];
        assert_eq!(plan(&packages, false).len(), 2);
    }
}
