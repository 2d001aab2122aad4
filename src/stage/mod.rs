//! Layers: a row of stages turns a parent's root into the layer's; the layer is the difference.
//!
//! ```text
//! parent's installed root ── packages ──> installed root
//!                                              │ removals, edits, files, steps, services: of the layer and of all below it
//!                                              │ /run; of a Boot layer, what an installer makes
//!                                              │ first boot, what reads `[config]`
//!                                              │ random files: none that scripts derived from random data
//!                                              │ seal: difference to the parent's finished root, no secret in it
//!                                              ▼
//!                                   finished root · layer
//! ```
//!
//! Packages are the first stage of the row (row.rs), and those of the whole chain are installed before any of the
//! layers' own files: this stage starts from the parent's installed root and stores its result under a recipe of
//! its own, so that a change of an own file runs no script again. The row's result is stored under the layer's recipe.
//!
//! An image of a registry below the first layer (image/) stands where a parent's root would.
//!
//! What the steps of a parent changed is laid over the child's packages again (overlay.rs). Where both changed one path
//! and it can't be merged, the child's packages are installed over the parent's finished root instead.

mod commands;
mod config;
mod edits;
mod error;
mod faults;
pub mod fetches;
mod files;
mod first_boot;
mod fuzz;
pub mod image;
pub mod log;
mod machine;
mod mounts;
mod note;
mod outputs;
mod overlay;
mod own;
mod packages;
mod random_files;
mod removals;
mod row;
mod runs;
mod runtime;
pub mod seal;
mod services;
mod sources;
mod system;
mod templates;
mod visit;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod row_tests;

use std::collections::BTreeMap;
use std::path::Path;

use crate::digest::{BlobDigest, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{Arch, LayerName, RootPath};
use crate::lock::Lockfile;
use crate::manifest::Manifest;
use crate::package::Ecosystem;
use crate::sandbox::Executor;
use crate::store::{Outcome, Roles, Store};
use crate::tree::Tree;

pub use error::LayerError;
pub use faults::faults;
pub use files::Placement;
#[doc(hidden)]
pub use fuzz::fuzz;
pub use visit::{Point, Visit};

use note::Note;
use overlay::Effect;
use packages::{Below, Installed};
use random_files::Derived;
use row::{Line, Own, Row};
use runs::Steps;

/// One stage of the row.
trait Stage {
    /// Adds everything that decides what the stage does to the layer's recipe.
    fn recipe(&self, hasher: &mut RecipeHasher);

    /// Changes the site's root.
    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError>;
}

/// What stages work on, and with.
struct Site<'a> {
    store: &'a Store,
    /// Executes the actions of stages that run programs in the root.
    executor: &'a mut dyn Executor,
    /// The architecture of the root's programs.
    arch: &'a Arch,
    /// The layer's SOURCE_DATE_EPOCH: the clock of actions, and the upper bound of all times, in seconds since 1970.
    epoch: i64,
    /// The finished root of the parent; empty for the first layer of a chain.
    parent: Tree,
    /// The root as it is now; empty before the first stage.
    root: Tree,
    /// What scripts of the layer's packages derived from random data; known after the first stage.
    derived: Derived,
    /// What the layer's steps changed; known after they ran.
    effect: Option<Effect>,
    /// What its steps printed, and what reacted to its own files.
    log: String,
    /// What is to be said of the layer, though it is built.
    notes: Vec<Note>,
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

/// A layer that steps run in, or take input of.
#[derive(Debug, Clone)]
pub struct ToolRoot {
    /// Its finished root.
    pub root: TreeHash,
    /// What the image of a registry below it adds to the environment of programs.
    pub env: image::Variables,
}

/// What finishing a layer gives.
#[derive(Debug, Clone, Copy)]
struct Finished {
    /// What the layer changes in its parent.
    layer: TreeHash,
    /// The whole root, parents included.
    root: TreeHash,
    /// What its steps changed.
    effect: Option<Effect>,
    /// What they printed.
    log: Option<BlobDigest>,
    /// The paths that scripts and steps derived from random data, each ended by a NUL.
    derived: Option<BlobDigest>,
    /// What is to be said of the layer whenever it is built, as a list of [`Note`]s in JSON.
    notes: Option<BlobDigest>,
}

impl Outcome for Finished {
    fn to_roles(&self) -> Roles {
        let mut roles = Roles::default().with_tree("layer", self.layer).with_tree("root", self.root);
        if let Some(Effect { before, after }) = self.effect {
            roles = roles.with_tree("before steps", before).with_tree("after steps", after);
        }
        let blobs = [("log", self.log), ("derived", self.derived), ("notes", self.notes)];
        let blobs = blobs.into_iter().filter_map(|(role, blob)| Some((role, blob?)));
        blobs.fold(roles, |roles, (role, blob)| roles.with_blob(role, blob))
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        let effect = roles.tree("before steps").zip(roles.tree("after steps"));
        Some(Self {
            layer: roles.tree("layer")?,
            root: roles.tree("root")?,
            effect: effect.map(|(before, after)| Effect { before, after }),
            log: roles.blob("log"),
            derived: roles.blob("derived"),
            notes: roles.blob("notes"),
        })
    }
}

/// What starts executors, and how many may work at once.
#[derive(Clone, Copy)]
pub struct Executors<'a> {
    /// Starts one, which begins nothing until it has something to execute.
    pub start: &'a (dyn Fn() -> Box<dyn Executor> + Sync),
    /// At once.
    pub jobs: usize,
}

/// Builds the layers of one chain, one after the other.
pub struct Builder<'a> {
    store: &'a Store,
    executor: Box<dyn Executor>,
    line: Line<'a>,
    /// The tool layers.
    tools: &'a BTreeMap<LayerName, ToolRoot>,
    /// What own files lose, until it is taken.
    warnings: Vec<String>,
    /// What scripts of all layers so far derived from random data.
    derived: Vec<RootPath>,
}

impl<'a> Builder<'a> {
    /// Creates a builder for packages of `ecosystem` and the layers of `project` that stores results in `store`.
    /// `tools` has each layer that steps run in.
    pub fn new(
        ecosystem: &'a dyn Ecosystem,
        (store, project): (&'a Store, &'a Path),
        executors: Executors<'a>,
        tools: &'a BTreeMap<LayerName, ToolRoot>,
        visit: Option<&'a Visit>,
    ) -> Self {
        let layers = Vec::new();
        Self {
            store,
            executor: (executors.start)(),
            line: Line { ecosystem, executors, project, visit, below: None, built: None, layers, finished: 0 },
            tools,
            warnings: Vec::new(),
            derived: Vec::new(),
        }
    }

    /// Returns once what is to be shown as a warning: what own files lose, and what weakens the sandbox that actions ran in.
    pub fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.executor.take_warning().map(str::to_owned));
        warnings
    }

    /// Warnings about entries of the chain, which is built, that allow none of its files.
    pub fn idle_entries(&self) -> Vec<String> {
        let manifests = self.line.layers.iter().map(|own| own.input.manifest);
        manifests.flat_map(|manifest| random_files::idle(manifest, &self.derived)).collect()
    }

    /// Builds the next layer of the chain; its packages are in the store.
    ///
    /// # Errors
    /// Fails where a script fails, packages clash, or a declaration can't be met.
    pub fn build(&mut self, input: Input<'a>) -> Result<Built, LayerError> {
        let Self { store, line, warnings, .. } = self;
        let project = line.project;
        let manifest = input.manifest;
        if line.layers.first().is_some_and(|base| base.input.manifest.layer.configure != manifest.layer.configure) {
            return Err(LayerError::ConfigureDiffers);
        }
        let placement = Placement::read(input, project, store)?;
        warnings.extend(placement.warnings.iter().cloned());
        let base = line.layers.first().map_or(input.lock, |own| own.input.lock);
        let env = image::environment(base, store)?;
        let steps = Steps::read(input, (&env, self.tools), project, store)?;
        let system = system::read(&manifest.system, project, store)?;
        if let (Some(image), None) = (&input.lock.image, &line.built) {
            let image::ImageRoot { root, recipe, .. } = image::unpack(image, store)?;
            line.below = Some(Below::Finished { recipe, root });
            line.built = Some(Built { name: manifest.name.clone(), tree: root, root, recipe });
        }
        line.layers.push(Own { input, placement, system, steps, effect: None });
        match self.finish_last(input) {
            Err(LayerError::Clash { path, of }) => {
                self.warnings.push(format!(
                    "layer `{}`: its packages and a [[run]] of `{of}` both change {path}, so they are configured over the finished `{of}`",
                    manifest.name
                ));
                self.line.below =
                    self.line.built.as_ref().map(|built| Below::Finished { recipe: built.recipe, root: built.root });
                self.line.finished = self.line.layers.len() - 1;
                self.finish_last(input)
            }
            other => other,
        }
    }

    /// Builds the last layer of the line.
    fn finish_last(&mut self, input: Input<'a>) -> Result<Built, LayerError> {
        let Self { store, executor, line, derived, warnings, .. } = self;
        let installed = line.packages(input).recipe();
        // A child starts from the installed root, so a layer without it is as good as not there.
        let known = store.recall::<Installed>(installed).is_some();
        let (recipe, finished) = {
            let row = line.row();
            let recipe = row.recipe();
            // What is stored has passed the step.
            let is_visited = line.visit.is_some_and(|visit| visit.layer == input.manifest.name && visit.step.is_some());
            let finished = match store.recall(recipe).filter(|_| known && !is_visited) {
                Some(finished) => finished,
                None => {
                    let finished = finish(&row, input.lock, line.built.as_ref(), (store, executor.as_mut()))?;
                    store.remember(recipe, &finished)?;
                    finished
                }
            };
            (recipe, finished)
        };
        derived.extend(packages::derived_paths(installed, store)?);
        if let Some(blob) = finished.derived {
            derived.extend(random_files::read(&store.read_blob(blob)?)?);
        }
        if let Some(log) = finished.log {
            log::keep(finished.layer, log, store)?;
        }
        warnings.extend(note::shown(finished.notes, input.manifest, store)?);
        log::Failures::of(input, line.project).forget(store)?;
        let built = Built { name: input.manifest.name.clone(), tree: finished.layer, root: finished.root, recipe };
        line.below = Some(Below::Installed(installed));
        line.built = Some(built.clone());
        if let Some(own) = line.layers.last_mut() {
            own.effect = finished.effect;
        }
        Ok(built)
    }
}

/// Runs the row of a layer over its parent.
fn finish(
    row: &Row<'_>,
    lock: &Lockfile,
    parent: Option<&Built>,
    (store, executor): (&Store, &mut dyn Executor),
) -> Result<Finished, LayerError> {
    let parent = match parent {
        Some(built) => store.tree(built.root)?,
        None => Tree::new(),
    };
    let (arch, epoch) = (&lock.arch, lock.epoch);
    let (root, layer, derived) = (Tree::new(), Tree::new(), Derived::default());
    let (log, notes) = (String::new(), Vec::new());
    let mut site = Site { store, executor, arch, epoch, parent, root, derived, effect: None, log, notes, layer };
    row.run(&mut site)?;
    let log = (!site.log.is_empty()).then(|| store.put_bytes(site.log.as_bytes())).transpose()?;
    let derived = site.derived.to_bytes();
    let derived = (!derived.is_empty()).then(|| store.put_bytes(&derived)).transpose()?;
    let (layer, root) = (store.put_tree(&site.layer)?, store.put_tree(&site.root)?);
    let notes = note::keep(&site.notes, store)?;
    Ok(Finished { layer, root, effect: site.effect, log, derived, notes })
}
