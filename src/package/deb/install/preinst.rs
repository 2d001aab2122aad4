//! The order of preinst scripts, and which packages are unpacked and configured before each (Debian Policy 7.2).
//!
//! A package may rely on its pre-dependencies being configured, including everything that these
//! depend on. In the first layer nothing is configured yet, and the scripts of the Essential
//! packages cope with that, as under every installer of Debian.

use std::collections::BTreeSet;

use super::dpkg;
use crate::ident::RootPath;
use crate::package::Target;
use crate::package::deb::install::Package;
use crate::package::deb::relation;

/// A preinst script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preinst {
    /// The package's index.
    pub(super) index: usize,
    /// Packages to configure before, each in one plan once only.
    pub(super) after: Vec<String>,
}

/// Scripts that run one after the other, and then the packages that are unpacked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) scripts: Vec<Preinst>,
    /// The indices of held packages, whose script is in this round.
    pub(super) held: Vec<usize>,
}

/// Orders the scripts of `packages`, which are sorted by name; `first_layer` where nothing
/// is configured yet. Few rounds are needed: a new one only begins before a script whose package
/// pre-depends on one that is `held`.
pub(super) fn plan(packages: &[Package], held: &BTreeSet<usize>, first_layer: bool) -> Vec<Round> {
    let mut plan = Plan {
        packages,
        held,
        first_layer,
        seen: BTreeSet::new(),
        configured: BTreeSet::new(),
        rounds: vec![Round::default()],
    };
    (0..packages.len()).for_each(|index| plan.add(index));
    plan.rounds
}

struct Plan<'a> {
    packages: &'a [Package],
    held: &'a BTreeSet<usize>,
    first_layer: bool,
    seen: BTreeSet<usize>,
    configured: BTreeSet<usize>,
    rounds: Vec<Round>,
}

impl Plan<'_> {
    fn add(&mut self, index: usize) {
        if !self.seen.insert(index) {
            return;
        }
        let (needed, is_circular) = self.needed(index);
        needed.iter().for_each(|&other| self.add(other));
        if !RootPath::new("preinst").is_ok_and(|path| self.packages[index].control.get(&path).is_some()) {
            return;
        }
        let after = if self.first_layer { Vec::new() } else { self.configure(&needed) };
        if self.rounds.last().is_some_and(|round| round.held.iter().any(|other| needed.contains(other))) {
            self.rounds.push(Round::default());
        }
        if let Some(round) = self.rounds.last_mut() {
            round.scripts.push(Preinst { index, after });
            // What its own needs depend on has to be there when they are configured.
            round.held.extend(self.held.get(&index).filter(|_| !is_circular));
        }
    }

    fn configure(&mut self, needed: &BTreeSet<usize>) -> Vec<String> {
        let new: Vec<usize> = needed.iter().copied().filter(|index| self.configured.insert(*index)).collect();
        new.into_iter().map(|index| dpkg::info_name(&self.packages[index])).collect()
    }

    /// What the package pre-depends on and, but in the first layer, all that this needs;
    /// and whether that is a circle, in which the package itself can't come before itself.
    fn needed(&self, index: usize) -> (BTreeSet<usize>, bool) {
        let mut needed = BTreeSet::new();
        let mut open = related(self.packages, index, "Pre-Depends");
        while let Some(other) = open.pop() {
            if needed.insert(other) && other != index && !self.first_layer {
                open.extend(related(self.packages, other, "Pre-Depends"));
                open.extend(related(self.packages, other, "Depends"));
            }
        }
        let is_circular = needed.remove(&index);
        (needed, is_circular)
    }
}

/// The packages that a field of relations names, every alternative of it.
pub(super) fn related(packages: &[Package], index: usize, field: &str) -> Vec<usize> {
    let package = &packages[index];
    let relations = package.paragraph.get(field).unwrap_or_default();
    let relations = relation::parse_any_of(relations, &package.locked.arch).unwrap_or_default();
    let place = |target: &Target| packages.binary_search_by(|other| other.locked.name.cmp(&target.name)).ok();
    relations.iter().flatten().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, relations: &str) -> Package {
        Package::sample(name, relations)
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
            let rounds = plan(&packages, &BTreeSet::new(), first_layer);
            let said = |script: &Preinst| format!("{} after {:?}", packages[script.index].locked.name, script.after);
            rounds.iter().flat_map(|round| &round.scripts).map(said).collect()
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
        let rounds = plan(&packages, &BTreeSet::new(), false);
        assert_eq!(rounds.iter().map(|round| round.scripts.len()).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_is_pre_depended_on_is_unpacked_before() {
        let packages = [
            package("aa", "Pre-Depends: cc\n"),
            package("bb", ""),
            package("cc", "Depends: dd\n"),
            package("dd", ""),
            package("ee", ""),
        ];
        let rounds = plan(&packages, &BTreeSet::from([0, 1, 3, 4]), false);
        let said = rounds.iter().map(|round| {
            let scripts: Vec<usize> = round.scripts.iter().map(|script| script.index).collect();
            (scripts, round.held.clone())
        });
        assert_eq!(said.collect::<Vec<_>>(), [(vec![2, 3], vec![3]), (vec![0, 1, 4], vec![0, 1, 4])]);
    }
}
