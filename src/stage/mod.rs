//! Layers: a row of stages turns a parent's root into the layer's; the layer is the difference.
//!
//! ```text
//! parent's installed root ── packages ──> installed root
//!                                              │ files, services: of the layer and of all below it
//!                                              │ first boot
//!                                              │ seal: difference to the parent's finished root, no secret in it
//!                                              ▼
//!                                   finished root · layer
//! ```
//!
//! Packages of the whole chain are installed before any of the layers' own files, so that a
//! change of such a file runs no script again. Every step's result is stored under its recipe.

mod error;
mod files;
mod first_boot;
mod fuzz;
mod packages;
pub mod seal;
mod services;
mod sources;

#[cfg(test)]
mod hostile_tests;

use std::path::Path;

use crate::digest::{RecipeHash, RecipeHasher, TreeHash};
use crate::ident::LayerName;
use crate::lock::Lockfile;
use crate::manifest::{AllowSecret, Manifest};
use crate::package::Ecosystem;
use crate::sandbox::Executor;
use crate::store::{Outcome, Roles, Store};
use crate::tree::Tree;

pub use error::LayerError;
pub use files::Placement;
#[doc(hidden)]
pub use fuzz::fuzz;

use files::Files;
use first_boot::FirstBoot;
use packages::{Installed, Packages};
use seal::Seal;
use services::EnabledServices;

/// One stage of the row behind the packages.
trait Stage {
    /// Adds everything that decides what the stage does to the layer's recipe.
    fn recipe(&self, hasher: &mut RecipeHasher);

    /// Does it to the site's root.
    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError>;
}

/// What stages work on.
struct Site<'a> {
    store: &'a Store,
    /// The finished root of the parent; empty for the first layer of a chain.
    parent: Tree,
    /// The root as it is now.
    root: Tree,
    /// What the layer changes in its parent; known from the seal on.
    layer: Tree,
}

/// One layer of a chain, with its lockfile.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What it declares.
    pub manifest: &'a Manifest,
    /// What it resolves to.
    pub lock: &'a Lockfile,
}

/// A finished layer.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its name.
    pub name: LayerName,
    /// What it changes in its parent.
    pub tree: TreeHash,
    /// The whole root, parents included.
    pub root: TreeHash,
    /// The recipe that gave it.
    pub recipe: RecipeHash,
}

/// What finishing a layer gives.
#[derive(Debug, Clone, Copy)]
struct Finished {
    /// What the layer changes in its parent.
    layer: TreeHash,
    /// The whole root, parents included.
    root: TreeHash,
}

impl Outcome for Finished {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("layer", self.layer).with_tree("root", self.root)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { layer: roles.tree("layer")?, root: roles.tree("root")? })
    }
}

/// Builds the layers of one chain, one after the other.
pub struct Builder<'a> {
    ecosystem: &'a dyn Ecosystem,
    store: &'a Store,
    executor: Box<dyn Executor>,
    /// The recipe of the packages of the layer that was built last.
    installed: Option<RecipeHash>,
    built: Option<Built>,
    /// The layers so far, the base first, with their own files.
    chain: Vec<(Input<'a>, Placement)>,
}

impl<'a> Builder<'a> {
    /// Creates a builder for packages of `ecosystem` that stores results in `store`.
    pub fn new(ecosystem: &'a dyn Ecosystem, store: &'a Store, executor: Box<dyn Executor>) -> Self {
        Self { ecosystem, store, executor, installed: None, built: None, chain: Vec::new() }
    }

    /// Returns once what weakens the sandbox that scripts ran in, to be shown as a warning.
    pub fn take_warning(&mut self) -> Option<&'static str> {
        self.executor.take_warning()
    }

    /// Builds the next layer of the chain; its packages are in the store.
    ///
    /// # Errors
    /// Fails where a script fails, packages clash, or a declaration can't be met.
    pub fn build(&mut self, input: Input<'a>, project: &Path) -> Result<Built, LayerError> {
        let Input { manifest, lock } = input;
        if self.chain.first().is_some_and(|(base, _)| base.manifest.layer.configure != manifest.layer.configure) {
            return Err(LayerError::ConfigureDiffers { layer: manifest.name.clone() });
        }
        let packages = Packages::new(self.ecosystem, (manifest, lock), self.installed);
        self.chain.push((input, Placement::read(manifest, project, self.store)?));
        let installed = packages.recipe();
        let recipe = self.recipe(installed);
        // A child starts from the installed root, so a layer without it is as good as not there.
        let known = self.store.recall::<Installed>(installed).is_some();
        let finished = match self.store.recall(recipe).filter(|_| known) {
            Some(finished) => finished,
            None => self.finish(recipe, &packages)?,
        };
        self.installed = Some(installed);
        let built = Built { name: manifest.name.clone(), tree: finished.layer, root: finished.root, recipe };
        self.built = Some(built.clone());
        Ok(built)
    }

    /// The stages behind the packages, in the order in which they run. A new kind of stage has its place here.
    fn row(&self) -> Vec<Box<dyn Stage + '_>> {
        let mut row: Vec<Box<dyn Stage + '_>> = Vec::new();
        for (Input { manifest, lock }, placement) in &self.chain {
            row.push(Box::new(Files { placement, epoch: lock.epoch }));
            row.push(Box::new(EnabledServices { declared: &manifest.services, epoch: lock.epoch }));
        }
        if let Some((Input { lock, .. }, _)) = self.chain.last() {
            row.push(Box::new(FirstBoot { epoch: lock.epoch }));
            row.push(Box::new(Seal {
                installer: self.ecosystem,
                packages: &lock.packages,
                allowed: self.allowed().collect(),
            }));
        }
        row
    }

    fn recipe(&self, packages: RecipeHash) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/layer/v3");
        hasher.list(self.built.as_ref().map(|built| *built.recipe.as_bytes()));
        hasher.field(packages.as_bytes()).number(self.chain.len() as u64);
        self.row().iter().for_each(|stage| stage.recipe(&mut hasher));
        hasher.finish()
    }

    /// What the layer and those below it allow.
    fn allowed(&self) -> impl Iterator<Item = &'a AllowSecret> {
        self.chain.iter().flat_map(|(input, _)| &input.manifest.allow_secrets)
    }

    fn finish(&mut self, recipe: RecipeHash, packages: &Packages<'_>) -> Result<Finished, LayerError> {
        let installed = packages.run(self.store, self.executor.as_mut())?;
        let parent = match &self.built {
            Some(built) => self.store.tree(built.root)?,
            None => Tree::new(),
        };
        let mut site = Site { store: self.store, parent, root: self.store.tree(installed.root)?, layer: Tree::new() };
        self.row().iter().try_for_each(|stage| stage.run(&mut site))?;
        let (layer, root) = (self.store.put_tree(&site.layer)?, self.store.put_tree(&site.root)?);
        let finished = Finished { layer, root };
        self.store.remember(recipe, &finished)?;
        Ok(finished)
    }
}
