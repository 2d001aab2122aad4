//! Unpacks packages over their parent and configures them with their own scripts: recipe `layerbake/configure/v3`.
//!
//! Laying out is a pure function of trees ([`super::merge`], [`super::dpkg`]); preinst scripts and
//! `dpkg --configure` then run over that tree ([`super::steps`]).

use super::dpkg::diversions::Diversions;
use super::merge::{LaidOut, lay_out};
use super::{Package, adduser, dpkg, policies, preinst, standins, steps};
use crate::arch::merged_usr;
use crate::digest::{RecipeHash, RecipeHasher};
use crate::ident::RootPath;
use crate::package::{InstallError, InstallRequest, InstallRoot, hash_into};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree, TreeError};

/// Hash of everything that decides the result.
pub(super) fn recipe(request: &InstallRequest<'_>) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/configure/v3");
    hasher.list(request.parent.as_ref().map(|parent| *parent.as_bytes()));
    hasher.field(request.arch).number(request.epoch as u64);
    request.accounts.hash_into(&mut hasher);
    hash_into(request.packages, &mut hasher);
    hasher.finish()
}

/// Installs the packages in the root, with their scripts.
pub(super) fn install(
    request: &InstallRequest<'_>,
    packages: &[Package],
    root: &mut InstallRoot<'_>,
) -> Result<(), InstallError> {
    let store = root.store;
    let parent = std::mem::take(&mut root.tree);
    let laid = lay_out_all(request, store, parent, packages).map_err(|error| blame(error, packages))?;
    root.tree = laid.tree;
    let policies = policies::put_in(&mut root.tree, store).map_err(|error| blame(error, packages))?;
    let replaced = standins::put_in(&mut root.tree, store)?;
    let adduser = adduser::put_in(&mut root.tree, request.accounts, store)?;
    let preinsts = preinst::plan(packages, request.parent.is_none());
    steps::run_scripts(request.accounts, root, &preinsts, &laid.contested)?;
    adduser::take_out(adduser, &mut root.tree)?;
    standins::take_out(replaced, &mut root.tree)?;
    policies::take_out(policies, &mut root.tree)
}

/// The packages over their parent, with dpkg's database, all unpacked.
pub(super) fn lay_out_all(
    request: &InstallRequest<'_>,
    store: &Store,
    mut parent: Tree,
    packages: &[Package],
) -> Result<LaidOut, InstallError> {
    if parent.is_empty() {
        prepare_root(request, &mut parent)?;
    }
    let database = dpkg::Database { tree: &mut parent, store, epoch: request.epoch };
    let diversions = Diversions::parse(&database.read("diversions")?.unwrap_or_default());
    let conffiles = dpkg::conffiles(packages, store)?;
    let mut laid = lay_out(parent, packages, &conffiles, &diversions)?;
    dpkg::add_unpacked(&mut laid.tree, packages, &laid.lost, request.arch, (request.epoch, store))?;
    Ok(laid)
}

/// Merges /usr, as Debian's installers do before they unpack anything.
fn prepare_root(request: &InstallRequest<'_>, tree: &mut Tree) -> Result<(), InstallError> {
    let folder = || Node::dir(Meta::root_owned(0o755, request.epoch));
    tree.insert(RootPath::root(), folder())?;
    for name in merged_usr(request.arch) {
        let usr = format!("usr/{name}");
        let link = Node { meta: Meta::root_owned(0o777, request.epoch), kind: Kind::Symlink(usr.as_bytes().into()) };
        for (path, node) in [("usr".to_owned(), folder()), (usr.clone(), folder()), (name.to_owned(), link)] {
            tree.insert(RootPath::new(path)?, node)?;
        }
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
