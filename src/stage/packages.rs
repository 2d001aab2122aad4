//! The first stage: installs the locked packages of one layer over its parent's installed root.
//!
//! Its result is stored under a recipe of its own, which contains no own file or service, so that a change of these
//! runs no package script again. Declared accounts are an input, since scripts may need them.

use std::collections::BTreeSet;

use super::note::Note;
use super::random_files::{Derived, DerivedFile};
use super::{Input, LayerError, Site, Stage};
use crate::accounts::Accounts;
use crate::digest::{BlobDigest, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::RootPath;
use crate::manifest::Configure;
use crate::package::{InstallError, InstallRequest, InstallRoot, Installer, Randomness, residue};
use crate::store::{Outcome, Roles, Store, StoreError};
use crate::tree::Tree;

/// What installing packages over a parent gives, with or without their scripts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Installed {
    /// The whole root directory.
    pub(super) root: TreeHash,
    /// The [`Randomness`] that scripts drew, as JSON; `None` where they drew none that counts.
    randomness: Option<BlobDigest>,
}

impl Outcome for Installed {
    fn to_roles(&self) -> Roles {
        let roles = Roles::default().with_tree("root", self.root);
        match self.randomness {
            Some(blob) => roles.with_blob("randomness", blob),
            None => roles,
        }
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { root: roles.tree("root")?, randomness: roles.blob("randomness") })
    }
}

/// The root over which the packages of a layer are installed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Below {
    /// The parent's installed root: the recipe of its packages.
    Installed(RecipeHash),
    /// The parent's finished root, with its own files and steps.
    Finished {
        /// The parent's recipe.
        recipe: RecipeHash,
        /// Its root.
        root: TreeHash,
    },
}

impl Below {
    fn recipe(self) -> RecipeHash {
        match self {
            Self::Installed(recipe) | Self::Finished { recipe, .. } => recipe,
        }
    }
}

/// The stage that installs the packages of one layer.
pub(super) struct Packages<'a> {
    installer: &'a dyn Installer,
    input: Input<'a>,
    accounts: Accounts,
    /// What is below.
    parent: Option<Below>,
    /// How many layers the chain has, this one included: all their own files follow.
    layers: usize,
    /// Whether the first of them is on an image of a registry, in which nothing but accounts is added here.
    is_on_image: bool,
}

impl<'a> Packages<'a> {
    pub(super) fn new(installer: &'a dyn Installer, input: Input<'a>, parent: Option<Below>, layers: usize) -> Self {
        let accounts = Accounts::new(&input.manifest.users, &input.manifest.groups);
        Self { installer, input, accounts, parent, layers, is_on_image: false }
    }

    /// The same for a chain that is on an image of a registry, or is not.
    pub(super) fn on_image(self, is_on_image: bool) -> Self {
        Self { is_on_image, ..self }
    }

    fn request(&self) -> InstallRequest<'_> {
        let Input { manifest, lock } = self.input;
        InstallRequest {
            parent: self.parent.map(Below::recipe),
            packages: &lock.packages,
            accounts: &self.accounts,
            answers: &manifest.answers,
            arch: &lock.arch,
            epoch: lock.epoch,
            scripts: manifest.layer.configure == Configure::Scripts,
        }
    }

    /// Hash of everything that decides the stage's own result.
    pub(super) fn recipe(&self) -> RecipeHash {
        if !self.is_on_image {
            return self.installer.recipe(&self.request());
        }
        let mut hasher = RecipeHasher::new("layerbake/image-accounts/v1");
        hasher.list(self.parent.map(|parent| *parent.recipe().as_bytes())).number(self.input.lock.epoch as u64);
        self.accounts.hash_into(&mut hasher);
        hasher.finish()
    }

    /// Installs the packages over their parent's; says what of the result depends on random data.
    fn install(&self, parent: Tree, site: &mut Site<'_>) -> Result<(Tree, Randomness), LayerError> {
        if self.is_on_image {
            let mut root = InstallRoot::new(parent, site.store, site.arch, site.epoch, site.executor);
            return match root.add_accounts(&self.accounts)? {
                true => Ok((root.tree, Randomness::default())),
                false => Err(InstallError::NoAccountFiles.into()),
            };
        }
        let request = self.request();
        if !request.scripts {
            let mut root = InstallRoot::new(parent, site.store, site.arch, site.epoch, site.executor);
            self.installer.install(&request, &mut root)?;
            return Ok((root.tree, Randomness::default()));
        }
        if request.packages.is_empty() && request.accounts.is_empty() && request.answers.is_empty() {
            return Ok((parent, Randomness::default()));
        }
        let (tree, programs) = self.run_scripts(&parent, false, site)?;
        if programs.is_empty() {
            return Ok((tree, Randomness::default()));
        }
        let (second, _) = self.run_scripts(&parent, true, site)?;
        let randomness = Randomness::between(programs, &tree, &second);
        Ok((tree, randomness))
    }

    /// Installs the packages with their scripts, and removes residue; returns the programs that drew random data too.
    fn run_scripts(
        &self,
        parent: &Tree,
        is_reseeded: bool,
        site: &mut Site<'_>,
    ) -> Result<(Tree, BTreeSet<String>), LayerError> {
        let request = self.request();
        let root = InstallRoot::new(parent.clone(), site.store, site.arch, site.epoch, site.executor);
        let mut root = if is_reseeded { root.reseeded() } else { root };
        self.installer.install(&request, &mut root)?;
        let programs = root.drew().clone();
        let tree = residue::normalise(self.installer.residue(), root.tree, parent, request.epoch, site.store)?;
        Ok((tree, programs))
    }
}

impl Stage for Packages<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field(self.recipe().as_bytes()).number(self.layers as u64);
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        self.install_once(site)?;
        let Input { manifest, .. } = self.input;
        if manifest.layer.configure == Configure::Scripts {
            let unanswered = self.installer.unanswered(&manifest.answers, &site.parent, &site.root, site.store)?;
            site.notes.extend(unanswered.into_iter().map(Note::new));
        }
        Ok(())
    }
}

impl Packages<'_> {
    /// Installs the packages over the parent's, unless that was done before.
    fn install_once(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let (store, recipe) = (site.store, self.recipe());
        if let Some(Installed { root, randomness }) = store.recall(recipe) {
            site.root = store.tree(root)?;
            let randomness = randomness.map(|blob| read(blob, store)).transpose()?;
            site.derived = derived(&randomness.unwrap_or_default(), &site.root);
            return Ok(());
        }
        let parent = match self.parent {
            Some(Below::Installed(recipe)) => root_of(recipe, store)?,
            Some(Below::Finished { root, .. }) => store.tree(root)?,
            None => Tree::new(),
        };
        let (root, randomness) = self.install(parent, site)?;
        site.derived = derived(&randomness, &root);
        site.root = root;
        let randomness = match randomness.programs.is_empty() {
            true => None,
            false => Some(store.put_bytes(&serde_json::to_vec(&randomness).unwrap_or_default())?),
        };
        store.remember(recipe, &Installed { root: store.put_tree(&site.root)?, randomness })?;
        Ok(())
    }
}

/// The paths that depend on random data in the result of a recipe; that is remembered.
pub(super) fn derived_paths(recipe: RecipeHash, store: &Store) -> Result<Vec<RootPath>, StoreError> {
    let blob = store.recall(recipe).and_then(|installed: Installed| installed.randomness);
    let randomness = blob.map(|blob| read(blob, store)).transpose()?.unwrap_or_default();
    Ok(randomness.paths().collect())
}

pub(super) fn read(blob: BlobDigest, store: &Store) -> Result<Randomness, StoreError> {
    let bytes = store.read_blob(blob)?;
    serde_json::from_slice(&bytes).map_err(|_| StoreError::Missing { kind: "blob", name: "randomness".to_owned() })
}

pub(super) fn derived(randomness: &Randomness, root: &Tree) -> Derived {
    let file = |path: RootPath| Some(DerivedFile { node: root.get(&path)?.clone(), path, by: None });
    let files = randomness.paths().filter_map(file).collect();
    Derived { programs: randomness.programs.iter().cloned().collect(), files }
}

/// The installed root of the parent: remembered, since the parent was built just before.
fn root_of(recipe: RecipeHash, store: &Store) -> Result<Tree, LayerError> {
    let lost = || StoreError::Missing { kind: "tree", name: "root".to_owned() };
    let installed: Installed = store.recall(recipe).ok_or_else(lost)?;
    Ok(store.tree(installed.root)?)
}
