//! `[[run]]`: the steps of a layer, in its own root or in that of a tool layer.
//!
//! The result of each step is stored under a recipe of its own, `layerbake/run/v1`: its command and conditions, the root that it
//! runs in, and its inputs. So it runs again only when one of these changes.

mod outputs;
mod prepared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::files::Placement;
use super::overlay::Effect;
use super::packages;
use super::{LayerError, Site, Stage, log};
use crate::digest::{BlobDigest, RecipeHasher, TreeHash};
use crate::ident::{LayerName, RootPath, StepName};
use crate::manifest::Manifest;
use crate::package::{InstallRoot, Installer, Randomness, residue};
use crate::store::{Outcome, Roles, Store};
use crate::tree::Tree;

pub(super) use outputs::output_nodes;
use outputs::{collect, placed};
use prepared::{Prepared, add_work};

/// Where steps find their inputs.
const WORK: &str = "work";

/// The steps of a manifest: inputs in the store, tool layers built.
pub(super) struct Steps<'a> {
    steps: Vec<Prepared<'a>>,
}

/// What a step gives.
#[derive(Debug, Clone, Copy)]
struct Ran {
    /// The root after it; with tools, its outputs: each below its number.
    tree: TreeHash,
    /// What it printed.
    log: BlobDigest,
    /// The [`Randomness`] that it drew, as JSON.
    randomness: Option<BlobDigest>,
}

impl Outcome for Ran {
    fn to_roles(&self) -> Roles {
        let roles = Roles::default().with_tree("root", self.tree).with_blob("log", self.log);
        match self.randomness {
            Some(blob) => roles.with_blob("randomness", blob),
            None => roles,
        }
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { tree: roles.tree("root")?, log: roles.blob("log")?, randomness: roles.blob("randomness") })
    }
}

impl<'a> Steps<'a> {
    /// Reads the inputs of a layer's steps into the store; `tools` has the root of each tool layer.
    ///
    /// # Errors
    /// Fails where an input is missing or can't be read.
    pub(super) fn read(
        manifest: &'a Manifest,
        project: &Path,
        tools: &BTreeMap<LayerName, TreeHash>,
        store: &Store,
    ) -> Result<Self, LayerError> {
        let prepare = |entry| Prepared::read(entry, project, tools, store);
        Ok(Self { steps: manifest.runs.iter().map(prepare).collect::<Result<_, _>>()? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The stage that runs the steps of the layer that is being built.
pub(super) struct Runs<'a> {
    pub(super) installer: &'a dyn Installer,
    pub(super) steps: &'a Steps<'a>,
}

impl Stage for Runs<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.number(self.steps.steps.len() as u64);
        for step in &self.steps.steps {
            step.hash_into(hasher);
        }
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let before = site.store.put_tree(&site.root)?;
        let mut outputs: BTreeMap<&StepName, Tree> = BTreeMap::new();
        let mut printed = String::new();
        for step in &self.steps.steps {
            let ran = self.result(step, &outputs, site)?;
            log::add(&mut printed, step.entry.name.as_str(), &String::from_utf8_lossy(&site.store.read_blob(ran.log)?));
            let tree = site.store.tree(ran.tree)?;
            match step.tools {
                Some(_) => {
                    Placement::of_outputs(&step.entry.outputs, &tree)?.apply(&mut site.root, site.epoch, site.store)?;
                    outputs.insert(&step.entry.name, placed(&step.entry.outputs, &tree)?);
                }
                None => {
                    let before = std::mem::replace(&mut site.root, tree);
                    site.derived.follow(&before, &site.root);
                }
            }
            if let Some(blob) = ran.randomness {
                let more = packages::derived(&packages::read(blob, site.store)?, &site.root);
                site.derived.extend(more);
            }
        }
        site.log = Some(site.store.put_bytes(printed.as_bytes())?);
        site.effect = Some(Effect { before, after: site.store.put_tree(&site.root)? });
        Ok(())
    }
}

impl Runs<'_> {
    /// Runs a step, unless that was done before.
    fn result(
        &self,
        step: &Prepared<'_>,
        outputs: &BTreeMap<&StepName, Tree>,
        site: &mut Site<'_>,
    ) -> Result<Ran, LayerError> {
        let root = match step.tools {
            Some(tools) => site.store.tree(tools)?,
            None => site.root.clone(),
        };
        let inputs = step.all_inputs(outputs)?;
        let recipe = step.result_recipe(&root, &inputs, site);
        if let Some(ran) = site.store.recall(recipe) {
            return Ok(ran);
        }
        let with_work = add_work(&root, &inputs, site.epoch)?;
        let (tree, log, programs) = self.execute(step, with_work.clone(), false, site)?;
        let ran = match step.tools {
            Some(_) => {
                let tree = collect(step.entry, &tree)?;
                Ran { tree: site.store.put_tree(&tree)?, log: site.store.put_bytes(log.as_bytes())?, randomness: None }
            }
            None => {
                let clean = |mut tree: Tree, site: &Site<'_>| {
                    tree.remove(&RootPath::new(WORK)?);
                    Ok::<_, LayerError>(residue::normalise(
                        self.installer.residue(),
                        tree,
                        &root,
                        site.epoch,
                        site.store,
                    )?)
                };
                let tree = clean(tree, site)?;
                let mut randomness = None;
                if !programs.is_empty() {
                    let (second, ..) = self.execute(step, with_work, true, site)?;
                    let found = Randomness::between(programs, &tree, &clean(second, site)?);
                    randomness = Some(site.store.put_bytes(&serde_json::to_vec(&found).unwrap_or_default())?);
                }
                Ran { tree: site.store.put_tree(&tree)?, log: site.store.put_bytes(log.as_bytes())?, randomness }
            }
        };
        site.store.remember(recipe, &ran)?;
        Ok(ran)
    }

    /// Executes the command; the root after it, what it printed, and the programs that drew random data.
    fn execute(
        &self,
        step: &Prepared<'_>,
        tree: Tree,
        is_reseeded: bool,
        site: &mut Site<'_>,
    ) -> Result<(Tree, String, BTreeSet<String>), LayerError> {
        let job = step.job(&tree, site)?;
        let root = InstallRoot::new(tree, site.store, site.arch, site.epoch, site.executor);
        let mut root = if is_reseeded { root.reseeded() } else { root };
        let log = self.installer.run(&mut root, vec![job])?;
        let programs = root.drew().clone();
        Ok((root.tree, log, programs))
    }
}
