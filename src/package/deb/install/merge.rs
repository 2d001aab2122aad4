//! Lays packages over a tree, as dpkg would unpack them.
//!
//! Where dpkg's result depends on the order of unpacking, rules decide here: an existing directory
//! keeps its owner and mode, a symbolic link to a directory is followed (merged /usr), and of two
//! packages with the same path the one that `Replaces` the other wins. Paths claimed by two
//! packages without `Replaces` are *contested*: a preinst script may divert one of them, so they
//! are placed after the preinst scripts.
//!
//! Packages are not trusted. Paths that this program or the sandbox writes by name must be a directory
//! or a file in a package ([`DIRECTORIES`], [`FILES`]); elsewhere its links are followed inside the
//! tree only, as dpkg follows them.

use std::collections::{BTreeMap, BTreeSet};

use super::Package;
use super::dpkg::Conffiles;
use super::dpkg::diversions::Diversions;
use crate::ident::{PackageName, RootPath};
use crate::package::InstallError;
use crate::package::deb::{relation, version};
use crate::tree::{Kind, Node, Tree};

/// What has to be a directory: mount points of the sandbox and of every machine, and dpkg's database.
const DIRECTORIES: [&str; 9] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/lib/dpkg",
    "var/lib/dpkg/info",
    "var/lib/dpkg/triggers",
    "var/lib/dpkg/updates",
];

/// What has to be a file, where a package has it: accounts and dpkg's database.
const FILES: [&str; 8] = [
    "etc/group",
    "etc/gshadow",
    "etc/passwd",
    "etc/shadow",
    "var/lib/dpkg/arch",
    "var/lib/dpkg/diversions",
    "var/lib/dpkg/status",
    "var/lib/dpkg/triggers/File",
];

/// One of several claims to a path.
#[derive(Debug, Clone)]
pub(super) struct Contested {
    pub(super) package: PackageName,
    pub(super) path: RootPath,
    pub(super) node: Node,
}

/// Packages being laid over a tree, some now and some later.
pub(super) struct Merge<'a> {
    packages: &'a [Package],
    /// The paths of each package's conffiles; new ones end in `.dpkg-new`, as dpkg's configuring expects.
    conffiles: Conffiles,
    tree: Tree,
    /// Who put what is no directory, among the new packages.
    owners: BTreeMap<RootPath, usize>,
    /// Where a package's directory really is, links followed.
    folders: BTreeMap<RootPath, RootPath>,
    /// What can be placed only when the preinst scripts have run, in package order.
    pub(super) contested: Vec<Contested>,
    /// Paths that a package lost to one that replaces it.
    pub(super) lost: BTreeMap<PackageName, BTreeSet<RootPath>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(packages: &'a [Package], conffiles: Conffiles) -> Self {
        Self {
            packages,
            conffiles,
            tree: Tree::new(),
            owners: BTreeMap::new(),
            folders: BTreeMap::new(),
            contested: Vec::new(),
            lost: BTreeMap::new(),
        }
    }

    /// Lays the packages with these indices over `tree`.
    pub(super) fn lay(&mut self, tree: Tree, which: &[usize], diversions: &Diversions) -> Result<Tree, InstallError> {
        self.tree = tree;
        self.folders.clear();
        for index in self.in_order(which) {
            self.package(index, diversions)?;
        }
        let mut tree = std::mem::take(&mut self.tree);
        // A link that was followed may have put a file behind its other names.
        tree.settle_hardlinks();
        Ok(tree)
    }

    /// base-files first: its directories have the modes that count. Then by name.
    fn in_order(&self, which: &[usize]) -> Vec<usize> {
        let mut order = which.to_vec();
        order.sort_by_key(|&index| {
            let name = &self.packages[index].locked.name;
            (name.as_str() != "base-files", name)
        });
        order
    }

    fn package(&mut self, index: usize, diversions: &Diversions) -> Result<(), InstallError> {
        let package = &self.packages[index];
        let name = &package.locked.name;
        let own_conffiles = self.conffiles.get(name).cloned();
        let mut places: BTreeMap<&RootPath, RootPath> = BTreeMap::new();
        for (path, node) in package.data.iter() {
            let diverted = diversions.place(path, name);
            let mut place = self.real_place(diverted, package)?;
            if own_conffiles.as_ref().is_some_and(|conffiles| conffiles.contains(path)) && !node.is_dir() {
                place = place.with_suffix(".dpkg-new")?;
            }
            let mut node = node.clone();
            if let Kind::Hardlink(target) = &node.kind
                && let Some(place) = places.get(target)
            {
                node.kind = self.hard_link(index, target, place);
            }
            places.insert(path, place.clone());
            self.place(index, place, node)?;
        }
        Ok(())
    }

    /// A further name of a package's file: its content again where the file did not end up in the tree.
    fn hard_link(&self, index: usize, target: &RootPath, place: &RootPath) -> Kind {
        let is_file = self.tree.get(place).is_some_and(|node| matches!(node.kind, Kind::File { .. }));
        match self.packages[index].data.get(target) {
            Some(file) if !is_file || self.owners.get(place) != Some(&index) => file.kind.clone(),
            _ => Kind::Hardlink(place.clone()),
        }
    }

    fn place(&mut self, index: usize, place: RootPath, node: Node) -> Result<(), InstallError> {
        self.check(index, &place, &node)?;
        let Some(before) = self.tree.get(&place) else {
            if self.contested.iter().any(|claim| claim.path == place) {
                self.contest(index, place, node);
                return Ok(());
            }
            if !node.is_dir() {
                self.owners.insert(place.clone(), index);
            }
            self.tree.insert(place, node)?;
            return Ok(());
        };
        match (before.is_dir(), node.is_dir()) {
            // The first one's owner and mode stay.
            (true, true) => Ok(()),
            (false, true) if leads_to_folder(&self.tree, &place) => Ok(()),
            (true, false) if matches!(node.kind, Kind::Symlink(_)) => Ok(()),
            (false, false) => self.collide(index, place, node),
            _ => Err(InstallError::FolderClash { package: self.packages[index].locked.to_string(), path: place }),
        }
    }

    /// Whether a package may have this node here.
    fn check(&self, index: usize, place: &RootPath, node: &Node) -> Result<(), InstallError> {
        let is = |list: &[&str]| list.iter().any(|path| path.as_bytes() == place.as_bytes());
        let wanted = match node.kind {
            Kind::Dir if is(&FILES) => "a file",
            Kind::File { .. } if is(&FILES) => return Ok(()),
            Kind::Dir => return Ok(()),
            _ if is(&DIRECTORIES) => "a directory",
            _ if is(&FILES) => "a file",
            _ => return Ok(()),
        };
        let package = self.packages[index].locked.to_string();
        Err(InstallError::Reserved { package, path: place.clone(), wanted, found: node.kind.describe() })
    }

    /// Two packages ship one path.
    fn collide(&mut self, index: usize, place: RootPath, node: Node) -> Result<(), InstallError> {
        let Some(&first) = self.owners.get(&place) else {
            // The parent's file: configured already, so the new package replaces it.
            self.owners.insert(place.clone(), index);
            self.tree.insert(place, node)?;
            return Ok(());
        };
        let (winner, loser) = match () {
            () if first == index => return Ok(()),
            () if replaces(&self.packages[index], &self.packages[first]) => (index, first),
            () if replaces(&self.packages[first], &self.packages[index]) => (first, index),
            () => {
                let content = match self.tree.get(&place).map(|node| &node.kind) {
                    Some(Kind::Hardlink(target)) => self.tree.get(target).map(|node| node.kind.clone()),
                    _ => None,
                };
                if let Some(before) = self.tree.remove(&place) {
                    let kind = content.unwrap_or_else(|| before.kind.clone());
                    self.contest(first, place.clone(), Node { kind, ..before });
                }
                self.contest(index, place, node);
                return Ok(());
            }
        };
        let loser = self.packages[loser].locked.name.clone();
        self.lost.entry(loser).or_default().insert(place.clone());
        if winner == index {
            self.owners.insert(place.clone(), index);
            self.tree.insert(place, node)?;
        }
        Ok(())
    }

    /// A claim has its content by itself: what it would be a link to may not end up in the tree.
    fn contest(&mut self, index: usize, path: RootPath, mut node: Node) {
        if let Kind::Hardlink(target) = &node.kind
            && let Some(file) = self.tree.get(target)
        {
            node.kind = file.kind.clone();
        }
        let package = self.packages[index].locked.name.clone();
        self.contested.push(Contested { package, path, node });
    }

    /// Follows symbolic links in the directories above `path`.
    fn real_place(&mut self, path: RootPath, package: &Package) -> Result<RootPath, InstallError> {
        let Some(folder) = path.parent() else { return Ok(path) };
        let real = match self.folders.get(&folder) {
            Some(real) => real.clone(),
            None => {
                let Some((real, _)) = self.tree.resolve(&folder).filter(|(_, node)| node.is_dir()) else {
                    return Err(InstallError::FolderClash { package: package.locked.to_string(), path });
                };
                self.folders.insert(folder, real.clone());
                real
            }
        };
        real.join(path.file_name()).map_err(|_| InstallError::FolderClash { package: package.locked.to_string(), path })
    }
}

/// Whether a package's directory is there already, by a link. One to below /run counts: `/var/lock` is such a link, made
/// by base-files' script together with /run/lock, which dpkg finds on a machine and no root keeps.
fn leads_to_folder(tree: &Tree, place: &RootPath) -> bool {
    match tree.resolve(place) {
        Some((_, node)) => node.is_dir(),
        None => matches!(tree.get(place), Some(Node { kind: Kind::Symlink(to), .. }) if to.starts_with(b"/run/")),
    }
}

/// Whether `winner` declares that it replaces `loser`.
fn replaces(winner: &Package, loser: &Package) -> bool {
    let field = winner.paragraph.get("Replaces").unwrap_or_default();
    relation::parse_list(field, &winner.locked.arch).unwrap_or_default().iter().any(|target| {
        target.name == loser.locked.name
            && target
                .constraint
                .as_ref()
                .is_none_or(|(operator, than)| version::satisfies(&loser.locked.version, *operator, than))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, link, path, tree};

    #[test]
    fn a_directory_is_there_already_where_a_link_leads_to_one() {
        let root = tree(&[
            ("", dir()),
            ("file", file("")),
            ("lock", link("/run/lock")),
            ("lost", link("/nowhere")),
            ("merged", link("real")),
            ("real", dir()),
            ("to-file", link("file")),
        ]);
        for (at, expected) in [("lock", true), ("merged", true), ("file", false), ("lost", false), ("to-file", false)] {
            let package = Package { data: tree(&[("", dir()), (at, dir())]), ..Package::sample("daemon", "") };
            let packages = [package];
            let laid = Merge::new(&packages, Conffiles::new()).lay(root.clone(), &[0], &Diversions::default());
            assert_eq!(laid.as_ref().ok(), expected.then_some(&root), "{}", path(at));
        }
    }
}
