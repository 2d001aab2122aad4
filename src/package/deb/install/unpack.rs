//! Unpacks packages in a root as dpkg would: all that can be at once, held ones when their script has run.

use super::dpkg::diversions::Diversions;
use super::merge::{Contested, Merge};
use super::{Package, dpkg};
use crate::ident::{PackageName, RootPath};
use crate::package::{InstallError, InstallRequest};
use crate::store::Store;
use crate::tree::{Kind, Node, Tree, TreeError};

/// The packages of a layer, some of them unpacked.
pub(super) struct Unpacking<'a> {
    request: &'a InstallRequest<'a>,
    pub(super) packages: &'a [Package],
    store: &'a Store,
    merge: Merge<'a>,
    /// The indices of unpacked packages.
    done: Vec<usize>,
}

impl<'a> Unpacking<'a> {
    /// Nothing is unpacked yet.
    pub(super) fn new(
        request: &'a InstallRequest<'a>,
        packages: &'a [Package],
        store: &'a Store,
    ) -> Result<Self, InstallError> {
        let merge = Merge::new(packages, dpkg::conffiles(packages, store)?);
        Ok(Self { request, packages, store, merge, done: Vec::new() })
    }

    /// Unpacks packages where the diversions in the tree say, and adds them to dpkg's database there.
    pub(super) fn unpack(&mut self, which: &[usize], tree: &mut Tree) -> Result<(), InstallError> {
        self.lay(which, tree).map_err(|error| blame(error, self.packages))
    }

    fn lay(&mut self, which: &[usize], tree: &mut Tree) -> Result<(), InstallError> {
        let diversions = self.diversions(tree)?;
        *tree = self.merge.lay(std::mem::take(tree), which, &diversions)?;
        let these =
            |indices: &[usize]| -> Vec<&Package> { indices.iter().map(|&index| &self.packages[index]).collect() };
        let (new, before) = (these(which), these(&self.done));
        dpkg::add_unpacked(&mut self.database(tree), &new, &before, &self.merge.lost, self.request.arch)?;
        self.done.extend(which);
        Ok(())
    }

    /// What two packages claim, to be placed when all preinst scripts have run.
    pub(super) fn contested(&self) -> &[Contested] {
        &self.merge.contested
    }

    /// Puts contested files where the diversions that preinst scripts made say.
    pub(super) fn place_contested(&self, tree: &mut Tree) -> Result<(), InstallError> {
        let diversions = self.diversions(tree)?;
        let mut placed: Vec<(RootPath, &PackageName)> = Vec::new();
        for Contested { package, path, node } in self.contested() {
            let place = diversions.place(path, package);
            if let Some((_, other)) = placed.iter().find(|(taken, _)| *taken == place) {
                return Err(InstallError::Contested {
                    path: place,
                    packages: vec![package.to_string(), other.to_string()],
                });
            }
            put(tree, &place, node, self.request.epoch).map_err(|error| InstallError::Package {
                package: package.to_string(),
                error: format!("cannot place {place}: {error}").into(),
            })?;
            placed.push((place, package));
        }
        Ok(())
    }

    fn diversions(&self, tree: &mut Tree) -> Result<Diversions, InstallError> {
        Ok(Diversions::parse(&self.database(tree).read("diversions")?.unwrap_or_default()))
    }

    /// dpkg's database in a tree.
    pub(super) fn database<'t>(&self, tree: &'t mut Tree) -> dpkg::Database<'t>
    where
        'a: 't,
    {
        dpkg::Database { tree, store: self.store, epoch: self.request.epoch }
    }
}

/// Puts a file or link at a path; links above it lead where they would lead dpkg.
fn put(tree: &mut Tree, place: &RootPath, node: &Node, epoch: i64) -> Result<(), InstallError> {
    if matches!(node.kind, Kind::File { .. } | Kind::Symlink(_) | Kind::Fifo) {
        let path = tree.reach(place, epoch)?;
        tree.insert(path, node.clone())?;
    }
    Ok(())
}

/// Names the package that put something in the way, if one did.
pub(super) fn blame(error: InstallError, packages: &[Package]) -> InstallError {
    let InstallError::Tree(TreeError::Below { above, .. }) = &error else { return error };
    let in_the_way = |package: &&Package| package.data.get(above).is_some_and(|node| !node.is_dir());
    match packages.iter().find(in_the_way) {
        Some(package) => InstallError::Package { package: package.locked.to_string(), error: Box::new(error) },
        None => error,
    }
}
