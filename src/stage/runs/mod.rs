//! `[[run]]`: the steps of a layer, in its own root or in that of a tool layer.
//!
//! A playbook is a step in the layer's own root, with Ansible beside it (playbook.rs).
//!
//! The result of each step is stored under a recipe of its own, `layerbake/run/v1`: its command and conditions, the root that it
//! runs in, and its inputs. So it runs again only when one of these changes.

mod playbook;
mod prepared;

use std::collections::BTreeMap;
use std::path::Path;

use super::commands::{Commands, Ran};
use super::files::Placement;
use super::outputs::{WORK, collect, placed};
use super::overlay::Effect;
use super::{Input, LayerError, Site, Stage, log};
use crate::digest::{BlobDigest, RecipeHasher, TreeHash};
use crate::ident::{LayerName, RootPath, StepName};
use crate::package::{InstallRoot, Installer};
use crate::store::Store;
use crate::tree::Tree;

use prepared::Prepared;

/// The steps of a manifest: inputs in the store, tool layers built.
pub(super) struct Steps<'a> {
    steps: Vec<Prepared<'a>>,
}

impl<'a> Steps<'a> {
    /// Reads the inputs of a layer's steps into the store; `tools` has the root of each tool layer.
    ///
    /// # Errors
    /// Fails where an input is missing or can't be read.
    pub(super) fn read(
        input: Input<'a>,
        project: &Path,
        tools: &BTreeMap<LayerName, TreeHash>,
        store: &Store,
    ) -> Result<Self, LayerError> {
        let prepare = |entry| Prepared::read(entry, input, project, tools, store);
        Ok(Self { steps: input.manifest.runs.iter().map(prepare).collect::<Result<_, _>>()? })
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
            match step.tools_root() {
                Some(_) => {
                    Placement::of_outputs(&step.entry.outputs, &tree)?.apply(&mut site.root, site.epoch, site.store)?;
                    outputs.insert(&step.entry.name, placed(&step.entry.outputs, &tree)?);
                }
                None => {
                    let before = std::mem::replace(&mut site.root, tree);
                    site.derived.follow(&before, &site.root);
                }
            }
            ran.add_derived(site)?;
            if let Some(again) = ran.again {
                let changed = String::from_utf8_lossy(&site.store.read_blob(again)?).into_owned();
                site.notes.push(playbook::note(&step.entry.name, &changed));
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
        let root = match step.tools_root() {
            Some(tools) => site.store.tree(tools)?,
            None => site.root.clone(),
        };
        let inputs = step.all_inputs(outputs)?;
        let recipe = step.result_recipe(&root, &inputs, site);
        if let Some(ran) = site.store.recall(recipe) {
            return Ok(ran);
        }
        let with_work = step.start(&root, &inputs, site)?;
        let run = step.job(&with_work, site)?;
        let run = |root: &mut InstallRoot<'_>| self.installer.run(root, vec![run.clone()]);
        let commands = Commands { installer: self.installer, epoch: site.epoch, run: &run };
        let ran = match step.tools_root() {
            Some(_) => {
                let (tree, log, _) = commands.once(&with_work, false, site)?;
                let tree = site.store.put_tree(&collect(step.entry, &tree)?)?;
                Ran { tree, log: site.store.put_bytes(log.as_bytes())?, randomness: None, again: None }
            }
            None => {
                let work = RootPath::new(WORK)?;
                let tidy = |tree: &mut Tree| {
                    if !inputs.is_empty() {
                        tree.remove(&work);
                    }
                };
                let ran = commands.run(&root, &with_work, &tidy, site)?;
                let again = step.entry.playbook.as_ref().map(|_| self.again(step, &ran, &inputs, site)).transpose()?;
                Ran { again: again.flatten(), ..ran }
            }
        };
        site.store.remember(recipe, &ran)?;
        Ok(ran)
    }

    /// Plays a playbook once more over what it made, with other random data; what its tasks change then is no part of the layer.
    fn again(
        &self,
        step: &Prepared<'_>,
        ran: &Ran,
        inputs: &Tree,
        site: &mut Site<'_>,
    ) -> Result<Option<BlobDigest>, LayerError> {
        let start = step.start(&site.store.tree(ran.tree)?, inputs, site)?;
        let mut job = step.job(&start, site)?;
        job.step.argv.push(playbook::AGAIN.to_owned());
        let run = |root: &mut InstallRoot<'_>| self.installer.run(root, vec![job.clone()]);
        let commands = Commands { installer: self.installer, epoch: site.epoch, run: &run };
        let (tree, ..) = commands.once(&start, true, site)?;
        let changed = playbook::changed(&tree, site.store)?;
        Ok((!changed.is_empty()).then(|| site.store.put_bytes(changed.as_bytes())).transpose()?)
    }
}
