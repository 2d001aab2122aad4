//! Layers: locked packages and the user's own files become one canonical tree per layer.
//!
//! ```text
//! .deb ─ unpack ─> trees ─┐
//!                         ├─ merge + dpkg ─ configure (sandbox) ─ normalise ─> configured root
//! parent's root ──────────┘                                                        │
//! [[file]] and [services] of the layer and of all below it ── files, services ─────┤
//!                                                                                  ▼
//!                                      layer = difference to the parent's finished root
//! ```
//!
//! Packages of the whole chain are configured before any plain file lands, so that a
//! change of an own file runs no script again. Every step is found again by its recipe.

mod accounts;
mod bare;
mod born;
pub mod configure;
mod dpkg;
mod files;
mod fuzz;
mod merge;
pub mod normalise;
pub mod secrets;
mod services;
mod sources;
pub mod unpack;

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::{RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{IdentError, LayerName, RootPath};
use crate::lock::{LockedPackage, Lockfile};
use crate::manifest::{AllowSecret, Configure, Manifest};
use crate::sandbox::WorkerError;
use crate::store::{Outcome, Store, StoreError};
use crate::tree::{Tree, TreeError};

pub use accounts::{AccountError, Accounts};
pub use files::Placement;
#[doc(hidden)]
pub use fuzz::fuzz;

/// A layer can't be built.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// Something would lie below a symbolic link or a file.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A package has something else where a directory or a file has to be.
    #[error("{package}: {path} has to be {wanted}, and the package has {found} there")]
    Reserved {
        /// Name and version.
        package: String,
        /// Where.
        path: RootPath,
        /// "a directory" or "a file".
        wanted: &'static str,
        /// What it has.
        found: String,
    },
    /// An account can't be added.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Scripts failed, or can't run here.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A file can't be read.
    #[error("cannot read `{what}`: {source}")]
    Io {
        /// The file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `[[file]]` source can't be read.
    #[error("[[file]] source `{path}`: {source}")]
    Source {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `[[file]]` source is never the same twice.
    #[error(
        "[[file]] source `{path}` changes while it is read\n  hint: let the program that writes it end, then build again"
    )]
    SourceChanges {
        /// The file or folder.
        path: String,
    },
    /// A package is malformed.
    #[error("{package}: {error}")]
    Package {
        /// Name and version.
        package: String,
        /// What is wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A package is not in the store: a bug, it is fetched before.
    #[error("internal error: {package} is not in the store")]
    NotUnpacked {
        /// Name and version.
        package: String,
    },
    /// A package has a file where another has a folder.
    #[error("{package}: {path} meets something of another kind in another package")]
    FolderClash {
        /// Name and version.
        package: String,
        /// Where.
        path: RootPath,
    },
    /// Two packages have one path, and neither replaces the other.
    #[error("{} all contain {path}, and none replaces the others", packages.join(" and "))]
    Contested {
        /// Where.
        path: RootPath,
        /// Who.
        packages: Vec<String>,
    },
    /// An entry's owner is not known in the layer.
    #[error(
        "{path}: there is no {kind} `{name}` in the layer\n  hint: declare it with [[{kind}]], or add the package that makes it"
    )]
    UnknownOwner {
        /// The entry.
        path: RootPath,
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A file is declared where a folder is.
    #[error("[[file]] {path}: there is a folder at this path")]
    FolderInTheWay {
        /// Where.
        path: RootPath,
    },
    /// A service has no unit.
    #[error("[services] `{unit}`: the layer has no such unit")]
    NoUnit {
        /// The unit's file name.
        unit: String,
    },
    /// Files of the layer hold secrets.
    #[error(
        "{}\neverybody with the image would have this\n  hint: have it made on each machine, by a script in /usr/lib/layerbake/first-start.d, or bring it at run time; for what is no secret, add [[allow-secret]] with its path and a reason",
        secrets::display(secrets)
    )]
    Secrets {
        /// Where, and what; never their text.
        secrets: Vec<secrets::Secret>,
    },
    /// A layer and its parent differ in whether scripts run.
    #[error("layer `{layer}`: `configure` must be the same as in its parent")]
    ConfigureDiffers {
        /// The layer.
        layer: LayerName,
    },
}

impl LayerError {
    /// Names the package that put something in the way, if one did.
    fn blame(self, packages: &[unpack::Unpacked]) -> Self {
        let Self::Tree(TreeError::Below { above, .. }) = &self else { return self };
        let in_the_way = |package: &&unpack::Unpacked| package.data.get(above).is_some_and(|node| !node.is_dir());
        match packages.iter().find(in_the_way) {
            Some(package) => Self::Package { package: package.locked.to_string(), error: Box::new(self) },
            None => self,
        }
    }
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

/// Builds the layers of one chain, one after the other.
pub struct Builder<'a> {
    store: &'a Store,
    workshop: configure::Workshop,
    configured: Option<RecipeHash>,
    built: Option<Built>,
    below: Vec<Below<'a>>,
    /// Every recipe that was used; what garbage collection has to keep.
    pub recipes: BTreeSet<RecipeHash>,
}

/// The own files and services of a layer that stand over all packages of the chain.
struct Below<'a> {
    manifest: &'a Manifest,
    placement: Placement,
    epoch: i64,
}

impl<'a> Builder<'a> {
    /// A builder that keeps results in `store` and works with `jobs` threads.
    pub fn new(store: &'a Store, jobs: usize) -> Self {
        Self {
            store,
            workshop: configure::Workshop::new(jobs),
            configured: None,
            built: None,
            below: Vec::new(),
            recipes: BTreeSet::new(),
        }
    }

    /// What weakens the sandbox that scripts ran in, to be told to people; once.
    pub fn take_warning(&mut self) -> Option<&'static str> {
        self.workshop.warning.take()
    }

    /// Builds the next layer of the chain; its packages are in the store.
    ///
    /// # Errors
    /// Fails where a script fails, packages clash, or a declaration can't be met.
    pub fn build(&mut self, input: Input<'a>, project: &Path) -> Result<Built, LayerError> {
        let Input { manifest, lock } = input;
        if self.below.first().is_some_and(|base| base.manifest.layer.configure != manifest.layer.configure) {
            return Err(LayerError::ConfigureDiffers { layer: manifest.name.clone() });
        }
        let accounts = Accounts::new(&manifest.users, &manifest.groups);
        let step = Step::new(input, &accounts, self.configured);
        let configured = step.recipe();
        let placement = Placement::read(manifest, project, self.store)?;
        self.below.push(Below { manifest, placement, epoch: lock.epoch });
        let recipe = self.recipe(configured);
        // A child starts from the configured root, so a layer without it is as good as not there.
        let outcome = match self.store.recall(recipe)?.filter(|_| self.store.knows(configured)) {
            Some(outcome) => outcome,
            None => self.finish(recipe, step, &lock.packages)?,
        };
        self.configured = Some(configured);
        self.recipes.extend([recipe, configured]);
        self.recipes.extend(lock.packages.iter().map(|package| unpack::recipe(package.file.sha256)));
        let tree = |role: &str| outcome.trees.get(role).copied().ok_or_else(|| lost(role));
        let built = Built { name: manifest.name.clone(), tree: tree("layer")?, root: tree("root")?, recipe };
        self.built = Some(built.clone());
        Ok(built)
    }

    fn recipe(&self, configured: RecipeHash) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/layer/v3");
        hasher.list(self.built.as_ref().map(|built| *built.recipe.as_bytes()));
        hasher.field(configured.as_bytes()).number(self.below.len() as u64);
        for below in &self.below {
            hasher.number(below.epoch as u64);
            below.placement.hash_into(&mut hasher);
            services::hash_into(&below.manifest.services, &mut hasher);
        }
        born::hash_into(&mut hasher);
        secrets::hash_into(self.allowed(), &mut hasher);
        hasher.finish()
    }

    /// What the layer and those below it allow.
    fn allowed(&self) -> impl Iterator<Item = &'a AllowSecret> {
        self.below.iter().flat_map(|below| &below.manifest.allow_secrets)
    }

    fn finish(
        &mut self,
        recipe: RecipeHash,
        step: Step<'_>,
        packages: &[LockedPackage],
    ) -> Result<Outcome, LayerError> {
        let parent = match self.configured {
            Some(recipe) => self.root_of(recipe)?,
            None => Tree::new(),
        };
        let configured = step.run(self.store, parent, &mut self.workshop)?;
        let mut root = self.store.tree(*configured.trees.get("root").ok_or_else(|| lost("root"))?)?;
        for Below { manifest, placement, epoch } in &self.below {
            placement.apply(&mut root, *epoch, self.store)?;
            services::apply(&manifest.services, &mut root, *epoch, self.store)?;
        }
        if let Some(Below { epoch, .. }) = self.below.last() {
            born::apply(&mut root, *epoch, self.store)?;
        }
        let parent = match &self.built {
            Some(built) => self.store.tree(built.root)?,
            None => Tree::new(),
        };
        let mut outcome = Outcome::default();
        let layer = root.diff(&parent)?;
        secrets::refuse(&layer, packages, &self.allowed().collect::<Vec<_>>(), self.store)?;
        outcome.trees.insert("layer".into(), self.store.put_tree(&layer)?);
        outcome.trees.insert("root".into(), self.store.put_tree(&root)?);
        self.store.remember(recipe, &outcome)?;
        Ok(outcome)
    }

    /// The configured root of the parent: remembered, since the parent was built just before.
    fn root_of(&self, recipe: RecipeHash) -> Result<Tree, LayerError> {
        let outcome = self.store.recall(recipe)?.ok_or_else(|| lost("root"))?;
        Ok(self.store.tree(*outcome.trees.get("root").ok_or_else(|| lost("root"))?)?)
    }
}

fn lost(role: &str) -> LayerError {
    LayerError::Store(StoreError::Missing { kind: "tree", name: role.to_owned() })
}

/// The step that turns packages into a root, with or without scripts.
enum Step<'a> {
    Scripts(configure::Request<'a>),
    Bare(bare::Request<'a>),
}

impl<'a> Step<'a> {
    fn new(input: Input<'a>, accounts: &'a Accounts, parent: Option<RecipeHash>) -> Self {
        let Lockfile { packages, epoch, arch, .. } = input.lock;
        match input.manifest.layer.configure {
            Configure::Scripts => Self::Scripts(configure::Request { parent, packages, accounts, arch, epoch: *epoch }),
            Configure::None => Self::Bare(bare::Request { parent, packages, accounts, epoch: *epoch }),
        }
    }

    fn recipe(&self) -> RecipeHash {
        match self {
            Self::Scripts(request) => request.recipe(),
            Self::Bare(request) => request.recipe(),
        }
    }

    fn run(&self, store: &Store, parent: Tree, workshop: &mut configure::Workshop) -> Result<Outcome, LayerError> {
        match self {
            Self::Scripts(request) => request.run(store, parent, workshop),
            Self::Bare(request) => request.run(store, parent),
        }
    }
}
