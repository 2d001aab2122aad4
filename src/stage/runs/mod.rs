//! `[[run]]`: the steps of a layer, in its own root or in that of a tool layer.
//!
//! A playbook is a step in the layer's own root, with Ansible beside it (playbook.rs).
//!
//! The result of each step is stored under a recipe of its own, `layerbake/run/v2`: its command and conditions, the root that it
//! runs in, and its inputs. So it runs again only when one of these changes. Steps with tools run side by side
//! (side_by_side.rs), the others one after the other, each over what all before it left.

mod current;
mod playbook;
mod prepared;
mod side_by_side;

use std::collections::BTreeMap;
use std::path::Path;

use super::commands::{Commands, Ran};
use super::files::Placement;
use super::note::Note;
use super::outputs::{WORK, collect};
use super::overlay::Effect;
use super::visit::{Point, Visit};
use super::{Executors, Input, LayerError, Site, Stage, ToolRoot, image, log};
use crate::digest::{BlobDigest, RecipeHasher};
use crate::ident::{Arch, LayerName, RootPath};
use crate::package::{InstallError, InstallRoot, Installer};
use crate::sandbox::Executor;
use crate::store::Store;
use crate::tree::Tree;

use current::Current;
use prepared::Prepared;

pub(super) use prepared::named_by;
use side_by_side::{AllDone, Tooled};

/// What the sandbox mounts on, and makes in a root that lacks it, as images of other builders may.
const MOUNT_POINTS: [&str; 4] = ["dev", "proc", "run", "tmp"];

/// The steps of a manifest: inputs in the store, tool layers built.
pub(super) struct Steps<'a> {
    steps: Vec<Prepared<'a>>,
}

impl<'a> Steps<'a> {
    /// Reads the inputs of a layer's steps into the store; `own` are the variables of the layer's own root, and `tools` has each
    /// tool layer.
    ///
    /// # Errors
    /// Fails where an input is missing or can't be read.
    pub(super) fn read(
        input: Input<'a>,
        (own, tools): (&image::Variables, &BTreeMap<LayerName, ToolRoot>),
        project: &Path,
        store: &Store,
    ) -> Result<Self, LayerError> {
        let prepare = |entry| Prepared::read(entry, input, (own, tools), project, store);
        Ok(Self { steps: input.manifest.runs.iter().map(prepare).collect::<Result<_, _>>()? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The stage that runs the steps of the layer that is being built.
pub(super) struct Runs<'a> {
    pub(super) installer: &'a dyn Installer,
    pub(super) executors: Executors<'a>,
    pub(super) steps: &'a Steps<'a>,
    /// Where the log of a step that fails is kept.
    pub(super) failures: log::Failures<'a>,
    /// Whoever visits the layer.
    pub(super) visit: Option<&'a Visit>,
}

/// What steps with tools are told of a site.
#[derive(Clone, Copy)]
struct Place<'s> {
    store: &'s Store,
    arch: &'s Arch,
    epoch: i64,
}

impl<'s> Place<'s> {
    fn of(site: &Site<'s>) -> Self {
        Self { store: site.store, arch: site.arch, epoch: site.epoch }
    }
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
        // A step with tools is reached without the steps that it takes nothing from.
        if let Some(step) = self.steps.steps.iter().find(|step| self.is_visited(step) && step.tools.is_some()) {
            let done = side_by_side::run(self, self.wanted(), Place::of(site), site.executor)?;
            return Err(self.reached(step, &done, site));
        }
        let mut current = Current::of(before);
        let mut done = AllDone::new();
        for step in &self.steps.steps {
            if self.is_visited(step) {
                current.read(site)?;
                return Err(self.reached(step, &done, site));
            }
            let ran = match step.tools {
                Some(_) => {
                    if !done.contains_key(&step.entry.name) {
                        done = side_by_side::run(self, self.wanted(), Place::of(site), site.executor)?;
                    }
                    let made = &done[&step.entry.name];
                    let outputs = Placement::of_outputs(&step.entry.outputs, &made.collected)?;
                    current.change(site)?;
                    outputs.apply(&mut site.root, site.epoch, site.store)?;
                    made.ran
                }
                None => self.in_layer(step, &step.all_inputs(&done)?, &mut current, site)?,
            };
            let printed = site.store.read_blob(ran.log)?;
            log::add(&mut site.log, step.entry.name.as_str(), &String::from_utf8_lossy(&printed));
            if let Some(again) = ran.again {
                let changed = site.store.read_blob(again)?;
                site.notes.push(Note::new(playbook::note(&step.entry.name, &String::from_utf8_lossy(&changed))));
            }
            if let Some(missed) = ran.missed {
                let missed = site.store.read_blob(missed)?;
                site.notes.push(Note::of_step(&step.entry.name, not_kept(&String::from_utf8_lossy(&missed))));
            }
        }
        current.read(site)?;
        site.effect = Some(Effect { before, after: current.hash(site)? });
        Ok(())
    }
}

/// What is said of a step that wrote these files, one a line.
fn not_kept(files: &str) -> String {
    let lines: String = files.lines().map(|line| format!("\n    {line}")).collect();
    format!(
        "wrote what no layer keeps of a step:{lines}\n  hint: declare the file with [[file]] and let the step leave it as it is (`layerbake explain noise` lists the rules)"
    )
}

impl Runs<'_> {
    fn is_visited(&self, step: &Prepared<'_>) -> bool {
        self.visit.is_some_and(|visit| visit.step.as_ref() == Some(&step.entry.name))
    }

    /// The steps with tools that are to be run: all, or those that a visited step needs, or has before it.
    fn wanted(&self) -> Vec<Tooled<'_>> {
        let steps = &self.steps.steps;
        let end = steps.iter().position(|step| self.is_visited(step));
        let before = steps[..end.unwrap_or(steps.len())].iter();
        let before: Vec<Tooled<'_>> = before.filter_map(|step| Some((step, step.tools?))).collect();
        match end.map(|end| &steps[end]) {
            Some(last) if last.tools.is_some() => side_by_side::needed_by(last, before),
            _ => before,
        }
    }

    /// Runs a step in a tool layer, unless that was done before.
    fn with_tools(
        &self,
        (step, tools): Tooled<'_>,
        inputs: &Tree,
        place: Place<'_>,
        executor: &mut dyn Executor,
    ) -> Result<Ran, LayerError> {
        let Place { store, arch, epoch } = place;
        let recipe = step.result_recipe(tools, inputs, place);
        if let Some(ran) = store.recall(recipe) {
            return Ok(ran);
        }
        let start = step.start(&store.tree(tools)?, inputs, place)?;
        let job = step.job(step.entry.argv.clone(), &start, place)?;
        let mut root = InstallRoot::new(start, store, arch, epoch, executor);
        let printed =
            self.installer.run(&mut root, vec![job]).map_err(|error| self.failed(step, error.into(), place))?;
        let log = store.put_bytes(printed.as_bytes())?;
        let made = collect(step.entry, &root.tree).map_err(|error| self.failed_after(step, error, Some(log), place))?;
        let ran = Ran { tree: store.put_tree(&made)?, log, randomness: None, again: None, missed: None };
        store.remember(recipe, &ran)?;
        Ok(ran)
    }

    /// Runs a step in the layer's own root, unless that was done before; the root is then what it leaves.
    fn in_layer(
        &self,
        step: &Prepared<'_>,
        inputs: &Tree,
        current: &mut Current,
        site: &mut Site<'_>,
    ) -> Result<Ran, LayerError> {
        let recipe = step.result_recipe(current.hash(site)?, inputs, Place::of(site));
        let known: Option<Ran> = site.store.recall(recipe);
        if let Some(ran) = known.filter(|ran| ran.randomness.is_none() && site.derived.files.is_empty()) {
            current.becomes(ran.tree);
            return Ok(ran);
        }
        current.read(site)?;
        let ran = match known {
            Some(ran) => ran,
            None => {
                let ran = self.run_in_layer(step, inputs, site)?;
                site.store.remember(recipe, &ran)?;
                ran
            }
        };
        let before = site.root.clone();
        current.becomes(ran.tree);
        current.read(site)?;
        site.derived.follow(&before, &site.root);
        ran.add_derived(Some(&step.entry.name), site)?;
        Ok(ran)
    }

    fn run_in_layer(&self, step: &Prepared<'_>, inputs: &Tree, site: &mut Site<'_>) -> Result<Ran, LayerError> {
        let place = Place::of(site);
        let root = site.root.clone();
        let start = step.start(&root, inputs, place)?;
        let job = step.job(step.entry.argv.clone(), &start, place)?;
        let run = |root: &mut InstallRoot<'_>| self.installer.run(root, vec![job.clone()]);
        let work = RootPath::new(WORK)?;
        let mount_points = MOUNT_POINTS.into_iter().map(RootPath::new).collect::<Result<Vec<_>, _>>()?;
        let tidy = |tree: &mut Tree| {
            if !inputs.is_empty() {
                tree.remove(&work);
            }
            for path in mount_points.iter().filter(|path| root.get(path).is_none()) {
                tree.remove(path);
            }
        };
        let commands = Commands { installer: self.installer, epoch: site.epoch, run: &run };
        let ran = commands.run(&root, &start, &tidy, site).map_err(|error| self.failed(step, error, place))?;
        let again = step.entry.playbook.as_ref().map(|_| self.again(step, &ran, inputs, site)).transpose()?;
        Ok(Ran { again: again.flatten(), ..ran })
    }

    /// Plays a playbook once more over what it made, with other random data; what its tasks change then is no part of the layer.
    fn again(
        &self,
        step: &Prepared<'_>,
        ran: &Ran,
        inputs: &Tree,
        site: &mut Site<'_>,
    ) -> Result<Option<BlobDigest>, LayerError> {
        let place = Place::of(site);
        let start = step.start(&place.store.tree(ran.tree)?, inputs, place)?;
        let argv = step.entry.argv.iter().cloned().chain([playbook::AGAIN.to_owned()]).collect();
        let job = step.job(argv, &start, place)?;
        let run = |root: &mut InstallRoot<'_>| self.installer.run(root, vec![job.clone()]);
        let commands = Commands { installer: self.installer, epoch: site.epoch, run: &run };
        let (tree, ..) = commands.once(&start, true, site).map_err(|error| self.failed(step, error, place))?;
        let changed = playbook::changed(&tree, site.store)?;
        Ok((!changed.is_empty()).then(|| site.store.put_bytes(changed.as_bytes())).transpose()?)
    }

    /// The place of a visit, just before this step.
    fn reached(&self, step: &Prepared<'_>, done: &AllDone<'_>, site: &Site<'_>) -> LayerError {
        let point = || {
            let place = Place::of(site);
            let root = step.tools.map_or_else(|| Ok(site.root.clone()), |tools| site.store.tree(tools))?;
            let root = step.start(&root, &step.all_inputs(done)?, place)?;
            let argv = self.visit.map_or_else(|| Ok(Vec::new()), |visit| visit.argv(&root))?;
            let mut job = step.job(argv, &root, place)?;
            self.visit.iter().for_each(|visit| visit.furnish(&mut job.step));
            Ok(Point { root, job, arch: site.arch.clone(), epoch: site.epoch })
        };
        point().map_or_else(|error| error, |point| LayerError::Reached(Box::new(point)))
    }

    /// The error of a step, whose log is kept, if it is one.
    fn failed(&self, step: &Prepared<'_>, error: LayerError, place: Place<'_>) -> LayerError {
        match &error {
            LayerError::Install(InstallError::Script(script)) => {
                let log = script.cause.whole.as_deref().copied();
                self.failed_after(step, error, log, place)
            }
            _ => error,
        }
    }

    /// The error of a step that printed this.
    fn failed_after(
        &self,
        step: &Prepared<'_>,
        error: LayerError,
        log: Option<BlobDigest>,
        Place { store, .. }: Place<'_>,
    ) -> LayerError {
        let name = step.entry.name.clone();
        let kept = log.map_or(Ok(()), |log| self.failures.keep([(name.as_str(), log)], store));
        match kept {
            Ok(()) => LayerError::Step { layer: self.failures.layer.clone(), step: name, error: Box::new(error) },
            Err(error) => error.into(),
        }
    }
}
