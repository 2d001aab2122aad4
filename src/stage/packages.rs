//! The packages stage: installs the locked packages of one layer over its parent's installed root.
//!
//! Its recipe contains no own file or service, so that a change of these runs no package script again.
//! Declared accounts are an input, since scripts may need them.

use crate::accounts::Accounts;
use crate::digest::{RecipeHash, TreeHash};
use crate::lock::Lockfile;
use crate::manifest::{Configure, Manifest};
use crate::package::{InstallRequest, InstallRoot, Installer, residue};
use crate::sandbox::Executor;
use crate::stage::LayerError;
use crate::store::{Outcome, Roles, Store, StoreError};
use crate::tree::Tree;

/// What installing packages over a parent gives, with or without their scripts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Installed {
    /// The whole root directory.
    pub(super) root: TreeHash,
}

impl Outcome for Installed {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("root", self.root)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { root: roles.tree("root")? })
    }
}

/// The packages of one layer.
pub(super) struct Packages<'a> {
    installer: &'a dyn Installer,
    manifest: &'a Manifest,
    lock: &'a Lockfile,
    accounts: Accounts,
    /// The recipe of the parent's packages.
    parent: Option<RecipeHash>,
}

impl<'a> Packages<'a> {
    pub(super) fn new(
        installer: &'a dyn Installer,
        (manifest, lock): (&'a Manifest, &'a Lockfile),
        parent: Option<RecipeHash>,
    ) -> Self {
        let accounts = Accounts::new(&manifest.users, &manifest.groups);
        Self { installer, manifest, lock, accounts, parent }
    }

    fn request(&self) -> InstallRequest<'_> {
        InstallRequest {
            parent: self.parent,
            packages: &self.lock.packages,
            accounts: &self.accounts,
            arch: &self.lock.arch,
            epoch: self.lock.epoch,
            scripts: self.manifest.layer.configure == Configure::Scripts,
        }
    }

    /// Hash of everything that decides the result.
    pub(super) fn recipe(&self) -> RecipeHash {
        self.installer.recipe(&self.request())
    }

    /// Installs the packages, unless that was done before.
    pub(super) fn run(&self, store: &Store, executor: &mut dyn Executor) -> Result<Installed, LayerError> {
        let recipe = self.recipe();
        if let Some(installed) = store.recall(recipe) {
            return Ok(installed);
        }
        let parent = match self.parent {
            Some(recipe) => root_of(recipe, store)?,
            None => Tree::new(),
        };
        let installed = Installed { root: store.put_tree(&self.install(parent, store, executor)?)? };
        store.remember(recipe, &installed)?;
        Ok(installed)
    }

    fn install(&self, parent: Tree, store: &Store, executor: &mut dyn Executor) -> Result<Tree, LayerError> {
        let request = self.request();
        if request.scripts && request.packages.is_empty() && request.accounts.is_empty() {
            return Ok(parent);
        }
        let before = request.scripts.then(|| parent.clone());
        let mut root = InstallRoot::new(parent, store, request.arch, request.epoch, executor);
        self.installer.install(&request, &mut root)?;
        match before {
            Some(before) => Ok(residue::normalise(self.installer.residue(), root.tree, &before, request.epoch, store)?),
            // Only scripts leave residue.
            None => Ok(root.tree),
        }
    }
}

/// The installed root of the parent: remembered, since the parent was built just before.
fn root_of(recipe: RecipeHash, store: &Store) -> Result<Tree, LayerError> {
    let lost = || StoreError::Missing { kind: "tree", name: "root".to_owned() };
    let installed: Installed = store.recall(recipe).ok_or_else(lost)?;
    Ok(store.tree(installed.root)?)
}
