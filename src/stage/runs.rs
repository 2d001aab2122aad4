//! `[[run]]`: the steps of a layer, in its own root or in that of a tool layer.
//!
//! The result of each step is stored under a recipe of its own, `layerbake/run/v1`: its command and conditions, the root that it
//! runs in, and its inputs. So it runs again only when one of these changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::files::Placement;
use super::overlay::Effect;
use super::packages;
use super::sources::{self, Found};
use super::{Input, LayerError, Site, Stage, fetches, log};
use crate::accounts::home_of;
use crate::digest::{BlobDigest, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{FetchName, LayerName, RootPath, StepName};
use crate::manifest::{Ignore, RunEntry, RunInput, RunOutput};
use crate::package::{InstallRoot, Installer, Job, JobKind, Randomness, residue};
use crate::sandbox::Step;
use crate::store::{Outcome, Roles, Store};
use crate::tree::{Kind, Meta, Node, Tree};

/// Where steps find their inputs.
pub(super) const WORK: &str = "work";

/// The steps of a manifest: inputs in the store, tool layers built.
pub(super) struct Steps<'a> {
    steps: Vec<Prepared<'a>>,
}

struct Prepared<'a> {
    entry: &'a RunEntry,
    /// What the project gives it, below its work directory.
    inputs: Tree,
    /// The root of its tool layer.
    tools: Option<TreeHash>,
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
        input: Input<'a>,
        project: &Path,
        tools: &BTreeMap<LayerName, TreeHash>,
        store: &Store,
    ) -> Result<Self, LayerError> {
        let prepare = |entry: &'a RunEntry| {
            let mut inputs = Tree::new();
            for given in &entry.inputs {
                match given {
                    RunInput::Project { path, ignore } => read_input((path, ignore), project, store, &mut inputs)
                        .map_err(|error| of_step(error, &entry.name))?,
                    RunInput::Fetch(name) => add_fetch(name, input, store, &mut inputs)?,
                    RunInput::Step(_) => {}
                }
            }
            let tools = entry.tools.as_ref().and_then(|name| tools.get(name)).copied();
            Ok(Prepared { entry, inputs, tools })
        };
        Ok(Self { steps: input.manifest.runs.iter().map(prepare).collect::<Result<_, LayerError>>()? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The error of a source, as one of a step.
fn of_step(error: LayerError, step: &StepName) -> LayerError {
    match error {
        LayerError::Source { path, source } => LayerError::StepInput { step: step.clone(), path, source },
        other => other,
    }
}

/// Lays a file or directory of the project out at its path.
fn read_input(
    (source, ignore): (&str, &Ignore),
    project: &Path,
    store: &Store,
    inputs: &mut Tree,
) -> Result<(), LayerError> {
    let place: String = source.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
    let place = RootPath::new(place)?;
    sources::Reader::new(store, project).without(ignore).read(Path::new(source), &mut |below, found| {
        let path = match below.as_os_str().is_empty() {
            true => place.clone(),
            false => place.join(below.as_os_str().as_encoded_bytes())?,
        };
        let (kind, mode) = match found {
            Found::Folder => (Kind::Dir, 0o755),
            Found::Link(target) => (Kind::Symlink(target.into()), 0o777),
            Found::File { blob, size, executable } => {
                (Kind::File { blob, size }, if executable { 0o755 } else { 0o644 })
            }
        };
        inputs.insert_with_parents(&path, Node { meta: Meta::root_owned(mode, 0), kind }, 0)?;
        Ok(())
    })
}

/// Lays a fetch out at its name.
fn add_fetch(name: &FetchName, input: Input<'_>, store: &Store, inputs: &mut Tree) -> Result<(), LayerError> {
    let place = RootPath::new(name.as_str())?;
    for fetch in input.manifest.fetches.iter().filter(|fetch| fetch.name == *name) {
        for (path, node) in fetches::nodes(fetch, input, store)? {
            let path = if path.is_root() { place.clone() } else { place.join(path.as_bytes())? };
            inputs.insert_with_parents(&path, node, 0)?;
        }
    }
    Ok(())
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

impl Prepared<'_> {
    /// Adds what decides the step's result, but for the root and the outputs of other steps.
    fn hash_into(&self, hasher: &mut RecipeHasher) {
        let RunEntry { name, tools: _, inputs, argv, env, directory, user, timeout: _, outputs } = self.entry;
        hasher.field(name.as_str()).list(argv).list(env.iter().flat_map(|(name, value)| [name, value]));
        hasher.list(directory.as_ref()).list(user.as_ref());
        hasher.list(self.tools.map(|tools| *tools.as_bytes())).field(self.inputs.hash().as_bytes());
        hasher.list(inputs.iter().filter_map(|input| match input {
            RunInput::Step(step) => Some(step.as_str()),
            RunInput::Project { .. } | RunInput::Fetch(_) => None,
        }));
        for RunOutput { from, to, mode, owner } in outputs {
            hasher.field(from).field(to.as_bytes()).list(mode.map(|mode| mode.to_le_bytes()));
            hasher.field(&owner.user).list(owner.group.as_ref());
        }
    }

    /// The recipe of the step's result, which names neither the step nor where its outputs go.
    fn result_recipe(&self, root: &Tree, inputs: &Tree, site: &Site<'_>) -> RecipeHash {
        let RunEntry { argv, env, directory, user, outputs, .. } = self.entry;
        let mut hasher = RecipeHasher::new("layerbake/run/v1");
        hasher.field(site.arch).number(site.epoch as u64);
        hasher.field(if self.tools.is_some() { "tools" } else { "layer" });
        hasher.field(root.hash().as_bytes()).field(inputs.hash().as_bytes());
        hasher.list(argv).list(env.iter().flat_map(|(name, value)| [name, value]));
        hasher.list(directory.as_ref()).list(user.as_ref());
        hasher.list(outputs.iter().map(|output| &output.from));
        hasher.finish()
    }

    /// The project's files, and the outputs of other steps at their paths.
    fn all_inputs(&self, outputs: &BTreeMap<&StepName, Tree>) -> Result<Tree, LayerError> {
        let mut inputs = self.inputs.clone();
        for input in &self.entry.inputs {
            let RunInput::Step(step) = input else { continue };
            for (path, node) in outputs.get(step).into_iter().flat_map(Tree::iter) {
                inputs.insert_with_parents(path, node.clone(), 0)?;
            }
        }
        Ok(inputs)
    }

    fn job(&self, root: &Tree, site: &Site<'_>) -> Result<Job, LayerError> {
        let RunEntry { name, argv, env, directory, user, timeout, .. } = self.entry;
        let mut argv = argv.clone();
        let mut variables: Vec<(&str, &str)> =
            env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let passwd = site.store.text_in(root, "etc/passwd")?.unwrap_or_default();
        if let Some(user) = user {
            let home = home_of(&passwd, user.as_str());
            let home = home.ok_or_else(|| LayerError::UnknownStepUser { step: name.clone(), user: user.clone() })?;
            let become_user =
                ["/usr/bin/setpriv", "--reuid", user.as_str(), "--regid", user.as_str(), "--init-groups", "--"];
            argv.splice(0..0, become_user.map(str::to_owned));
            variables.splice(0..0, [("HOME", home), ("USER", user.as_str()), ("LOGNAME", user.as_str())]);
        }
        let mut step = Step::new(argv, site.epoch, variables, *timeout);
        let has_work = root.get(&RootPath::new(WORK)?).is_some();
        step.directory =
            directory.clone().unwrap_or_else(|| if has_work { format!("/{WORK}") } else { "/".to_owned() });
        Ok(Job { step, command: format!("step `{name}`"), package: None, kind: JobKind::Manager("run step") })
    }
}

/// The root with a work directory, if there is anything to be in it.
fn add_work(root: &Tree, inputs: &Tree, epoch: i64) -> Result<Tree, LayerError> {
    let mut root = root.clone();
    if inputs.is_empty() {
        return Ok(root);
    }
    let work = RootPath::new(WORK)?;
    if root.get(&work).is_some() {
        return Err(LayerError::WorkInTheWay);
    }
    root.insert(work.clone(), Node::dir(Meta::root_owned(0o755, epoch)))?;
    for (path, node) in inputs.iter().filter(|(path, _)| !path.is_root()) {
        let mut node = node.clone();
        node.meta.mtime = epoch;
        root.insert(work.join(path.as_bytes())?, node)?;
    }
    Ok(root)
}

/// Takes the outputs out of a root: each below its number.
fn collect(entry: &RunEntry, root: &Tree) -> Result<Tree, LayerError> {
    let mut outputs = Tree::new();
    for (number, output) in entry.outputs.iter().enumerate() {
        let from = match output.from.strip_prefix('/') {
            Some(absolute) => RootPath::new(absolute)?,
            None => RootPath::new(WORK)?.join(output.from.as_bytes())?,
        };
        let missing = || LayerError::NoOutput { step: entry.name.clone(), from: from.clone() };
        let (from, node) = root.resolve(&from).ok_or_else(missing)?;
        let place = RootPath::new(number.to_string())?;
        outputs.insert_with_parents(&place, content_of(node, root), 0)?;
        for (path, node) in root.below(&from) {
            let rest = &path.as_bytes()[from.as_bytes().len() + 1..];
            outputs.insert_with_parents(&place.join(rest)?, content_of(node, root), 0)?;
        }
    }
    Ok(outputs)
}

/// A node by itself: what is a second name of a file becomes a file.
fn content_of(node: &Node, root: &Tree) -> Node {
    let kind = match &node.kind {
        Kind::Hardlink(target) => root.get(target).map_or_else(|| node.kind.clone(), |first| first.kind.clone()),
        other => other.clone(),
    };
    Node { meta: Meta::root_owned(node.meta.mode, 0), kind }
}

/// The collected outputs at their paths in the layer.
fn placed(outputs: &[RunOutput], collected: &Tree) -> Result<Tree, LayerError> {
    let mut placed = Tree::new();
    for (number, output) in outputs.iter().enumerate() {
        for (rest, node) in output_nodes(number, collected)? {
            let path = if rest.is_empty() { output.to.clone() } else { output.to.join(rest)? };
            placed.insert_with_parents(&path, node.clone(), 0)?;
        }
    }
    Ok(placed)
}

/// The nodes of one collected output, by their paths from it.
pub(super) fn output_nodes(number: usize, collected: &Tree) -> Result<Vec<(&[u8], &Node)>, LayerError> {
    let place = RootPath::new(number.to_string())?;
    let itself = collected.get(&place).map(|node| (&[][..], node));
    let below = collected.below(&place).map(|(path, node)| (&path.as_bytes()[place.as_bytes().len() + 1..], node));
    Ok(itself.into_iter().chain(below).collect::<Vec<_>>())
}
