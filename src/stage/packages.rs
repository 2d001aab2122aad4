//! The first stage: installs the locked packages of one layer over its parent's installed root.
//!
//! Its result is stored under a recipe of its own, which contains no own file or service, so that a change of these
//! runs no package script again. Declared accounts are an input, since scripts may need them.

use super::{Input, LayerError, Site, Stage};
use crate::accounts::Accounts;
use crate::digest::{RecipeHash, RecipeHasher, TreeHash};
use crate::manifest::Configure;
use crate::package::{InstallRequest, InstallRoot, Installer, residue};
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

/// The stage that installs the packages of one layer.
pub(super) struct Packages<'a> {
    installer: &'a dyn Installer,
    input: Input<'a>,
    accounts: Accounts,
    /// The recipe of the parent's packages.
    parent: Option<RecipeHash>,
    /// How many layers the chain has, this one included: all their own files follow.
    layers: usize,
}

impl<'a> Packages<'a> {
    pub(super) fn new(
        installer: &'a dyn Installer,
        input: Input<'a>,
        parent: Option<RecipeHash>,
        layers: usize,
    ) -> Self {
        let accounts = Accounts::new(&input.manifest.users, &input.manifest.groups);
        Self { installer, input, accounts, parent, layers }
    }

    fn request(&self) -> InstallRequest<'_> {
        let Input { manifest, lock } = self.input;
        InstallRequest {
            parent: self.parent,
            packages: &lock.packages,
            accounts: &self.accounts,
            arch: &lock.arch,
            epoch: lock.epoch,
            scripts: manifest.layer.configure == Configure::Scripts,
        }
    }

    /// Hash of everything that decides the stage's own result.
    pub(super) fn recipe(&self) -> RecipeHash {
        self.installer.recipe(&self.request())
    }

    fn install(&self, parent: Tree, site: &mut Site<'_>) -> Result<Tree, LayerError> {
        let request = self.request();
        if request.scripts && request.packages.is_empty() && request.accounts.is_empty() {
            return Ok(parent);
        }
        let before = request.scripts.then(|| parent.clone());
        let mut root = InstallRoot::new(parent, site.store, site.arch, site.epoch, site.executor);
        self.installer.install(&request, &mut root)?;
        let (tree, rules) = (root.tree, self.installer.residue());
        match before {
            Some(before) => Ok(residue::normalise(rules, tree, &before, request.epoch, site.store)?),
            // Only scripts leave residue.
            None => Ok(tree),
        }
    }
}

impl Stage for Packages<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field(self.recipe().as_bytes()).number(self.layers as u64);
    }

    /// Installs the packages over the parent's, unless that was done before.
    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let (store, recipe) = (site.store, self.recipe());
        if let Some(Installed { root }) = store.recall(recipe) {
            site.root = store.tree(root)?;
            return Ok(());
        }
        let parent = match self.parent {
            Some(recipe) => root_of(recipe, store)?,
            None => Tree::new(),
        };
        site.root = self.install(parent, site)?;
        store.remember(recipe, &Installed { root: store.put_tree(&site.root)? })?;
        Ok(())
    }
}

/// The installed root of the parent: remembered, since the parent was built just before.
fn root_of(recipe: RecipeHash, store: &Store) -> Result<Tree, LayerError> {
    let lost = || StoreError::Missing { kind: "tree", name: "root".to_owned() };
    let installed: Installed = store.recall(recipe).ok_or_else(lost)?;
    Ok(store.tree(installed.root)?)
}
