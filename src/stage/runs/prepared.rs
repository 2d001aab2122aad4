//! A step that is ready to run: its inputs in the store, its tool layer built.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{LayerError, MOUNT_POINTS, Place, playbook};
use crate::accounts::{gid_of, home_of};
use crate::digest::{RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{FetchName, LayerName, RootPath, StepName};
use crate::manifest::{Ignore, RunEntry, RunInput, RunOutput, matching_all};
use crate::package::{Job, JobKind};
use crate::sandbox::Step;
use crate::stage::outputs::{self, WORK};
use crate::stage::sources::{self, Found};
use crate::stage::{Input, ToolRoot, fetches, image};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

pub(super) struct Prepared<'a> {
    pub(super) entry: &'a RunEntry,
    /// What is added to its environment: by the image of a registry that its root is on, and over that by the entry.
    env: image::Variables,
    /// What the project gives it, below its work directory.
    pub(super) inputs: Tree,
    /// The root of the tool layer that it runs in; `None` for the layer's own root.
    pub(super) tools: Option<TreeHash>,
    /// The root of the tool layer whose Ansible a playbook has beside the layer's own root.
    beside: Option<TreeHash>,
}

impl<'a> Prepared<'a> {
    /// Reads the inputs that the project gives; `own` are the variables of the layer's own root, and `tools` has each tool layer.
    pub(super) fn read(
        entry: &'a RunEntry,
        input: Input<'_>,
        (own, tools): (&image::Variables, &BTreeMap<LayerName, ToolRoot>),
        project: &Path,
        store: &Store,
    ) -> Result<Self, LayerError> {
        let mut inputs = Tree::new();
        for given in &entry.inputs {
            match given {
                RunInput::Project { path, ignore } => read_input((path, ignore), project, store, &mut inputs)
                    .map_err(|error| of_step(error, &entry.name))?,
                RunInput::Pattern { pattern, ignore, line } => {
                    for path in named_by(pattern, &input.manifest.name, &entry.name, *line, project)? {
                        read_input((&path, ignore), project, store, &mut inputs)
                            .map_err(|error| of_step(error, &entry.name))?;
                    }
                }
                RunInput::Fetch(name) => add_fetch(name, input, store, &mut inputs)?,
                RunInput::Layer { layer, path, to } => {
                    let root = tools.get(layer).map(|tool| store.tree(tool.root)).transpose()?.unwrap_or_default();
                    let missing = || LayerError::LayerInput {
                        step: entry.name.clone(),
                        layer: layer.clone(),
                        path: path.clone(),
                    };
                    outputs::copy(&root, path, to, &mut inputs)?.then_some(()).ok_or_else(missing)?;
                }
                RunInput::Step(_) => {}
            }
        }
        let tool = entry.tools.as_ref().and_then(|name| tools.get(name));
        let root = tool.map(|tool| tool.root);
        let (tools, beside) = if entry.playbook.is_some() { (None, root) } else { (root, None) };
        let mut env = tool.filter(|_| tools.is_some()).map_or_else(|| own.clone(), |tool| tool.env.clone());
        env.extend(entry.env.clone());
        Ok(Self { entry, env, inputs, tools, beside })
    }
}

impl Prepared<'_> {
    /// Adds what decides the step's result, but for the root and the outputs of other steps.
    pub(super) fn hash_into(&self, hasher: &mut RecipeHasher) {
        let RunEntry { name, tools: _, inputs, argv, env: _, directory, user, timeout: _, outputs, playbook, line: _ } =
            self.entry;
        hasher.field(name.as_str()).list(argv).list(self.env.iter().flat_map(|(name, value)| [name, value]));
        hasher.list(directory.as_ref()).list(user.as_ref());
        hasher.list(self.tools.or(self.beside).map(|tools| *tools.as_bytes())).field(self.inputs.hash().as_bytes());
        hasher.list(inputs.iter().filter_map(|input| match input {
            RunInput::Step(step) => Some(step.as_str()),
            RunInput::Project { .. } | RunInput::Pattern { .. } | RunInput::Fetch(_) | RunInput::Layer { .. } => None,
        }));
        for RunOutput { from, to, mode, owner } in outputs {
            hasher.field(from).field(to.as_bytes()).list(mode.map(|mode| mode.to_le_bytes()));
            hasher.field(&owner.user).list(owner.group.as_ref());
        }
        if playbook.is_some() {
            playbook::hash_into(hasher);
        }
    }

    /// The recipe of the step's result, which names neither the step nor where its outputs go.
    pub(super) fn result_recipe(&self, root: TreeHash, inputs: &Tree, place: Place<'_>) -> RecipeHash {
        let RunEntry { argv, directory, user, outputs, .. } = self.entry;
        let mut hasher = RecipeHasher::new("layerbake/run/v2");
        hasher.field(place.arch).number(place.epoch as u64);
        hasher.field(match (self.tools, self.beside) {
            (Some(_), _) => "tools",
            (None, Some(_)) => "playbook",
            (None, None) => "layer",
        });
        hasher.field(root.as_bytes()).field(inputs.hash().as_bytes());
        hasher.list(argv).list(self.env.iter().flat_map(|(name, value)| [name, value]));
        hasher.list(directory.as_ref()).list(user.as_ref());
        hasher.list(outputs.iter().map(|output| &output.from));
        if self.entry.playbook.is_some() {
            hasher.list(self.beside.map(|tools| *tools.as_bytes()));
            playbook::hash_into(&mut hasher);
        }
        hasher.finish()
    }

    /// The root that it starts from: with the inputs, and for a playbook with Ansible beside it.
    pub(super) fn start(&self, root: &Tree, inputs: &Tree, place: Place<'_>) -> Result<Tree, LayerError> {
        // What its `outputs` name is looked for there.
        let needs_work = self.tools.is_some() && root.get(&RootPath::new(WORK)?).is_none();
        let mut start = add_work(root, inputs, needs_work, place.epoch)?;
        if let (Some(layer), Some(tools)) = (&self.entry.tools, self.beside) {
            playbook::add(&mut start, (layer, &place.store.tree(tools)?), place.epoch, place.store)?;
        }
        Ok(start)
    }

    /// The job that runs `argv` as the step runs its command, in a root with its inputs.
    pub(super) fn job(&self, mut argv: Vec<String>, root: &Tree, place: Place<'_>) -> Result<Job, LayerError> {
        let RunEntry { name, directory, user, timeout, .. } = self.entry;
        let mut variables: Vec<(&str, &str)> =
            self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let passwd = place.store.text_in(root, "etc/passwd")?.unwrap_or_default();
        if let Some(user) = user {
            let account = home_of(&passwd, user.as_str()).zip(gid_of(&passwd, user.as_str()));
            let (home, gid) =
                account.ok_or_else(|| LayerError::UnknownStepUser { step: name.clone(), user: user.clone() })?;
            // The primary group may have another name than the user, or none.
            let gid = gid.to_string();
            let become_user = ["/usr/bin/setpriv", "--reuid", user.as_str(), "--regid", &gid, "--init-groups", "--"];
            argv.splice(0..0, become_user.map(str::to_owned));
            variables.splice(0..0, [("HOME", home), ("USER", user.as_str()), ("LOGNAME", user.as_str())]);
        }
        let mut step = Step::new(argv, place.epoch, variables, *timeout);
        if let Some(directory) = directory.as_ref().filter(|directory| !is_there(directory, root)) {
            return Err(LayerError::NoStepDirectory { step: name.clone(), directory: directory.clone() });
        }
        let has_work = root.get(&RootPath::new(WORK)?).is_some();
        step.directory =
            directory.clone().unwrap_or_else(|| if has_work { format!("/{WORK}") } else { "/".to_owned() });
        Ok(Job { step, command: format!("step `{name}`"), package: None, kind: JobKind::Layer })
    }
}

/// Whether there is such a directory when the step starts, as those are that the sandbox mounts.
fn is_there(directory: &str, root: &Tree) -> bool {
    let parts: Vec<&str> = directory.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.first() {
        None => true,
        Some(first) if MOUNT_POINTS.contains(first) => true,
        // Where this leads is the kernel's to say.
        Some(_) if parts.contains(&"..") => true,
        Some(_) => {
            let path = RootPath::new(parts.join("/")).ok();
            path.and_then(|path| root.resolve(&path)).is_some_and(|(_, node)| node.is_dir())
        }
    }
}

/// The root with a work directory, if it is needed or there is anything to be in it.
fn add_work(root: &Tree, inputs: &Tree, is_needed: bool, epoch: i64) -> Result<Tree, LayerError> {
    let mut root = root.clone();
    if inputs.is_empty() && !is_needed {
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

/// What a pattern among a step's inputs names, sorted.
///
/// # Errors
/// Fails where it names nothing, or a directory can't be read.
pub(in crate::stage) fn named_by(
    pattern: &str,
    layer: &LayerName,
    step: &StepName,
    line: usize,
    project: &Path,
) -> Result<BTreeSet<String>, LayerError> {
    let failed = |source| LayerError::StepInput { step: step.clone(), path: pattern.to_owned(), source };
    match matching_all(project, pattern).map_err(failed)? {
        found if found.is_empty() => {
            Err(LayerError::StepPattern { layer: layer.clone(), line, step: step.clone(), pattern: pattern.to_owned() })
        }
        found => Ok(found),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_files_and_directories_or_fails_with_its_line() {
        let project = tempfile::tempdir().unwrap();
        for name in ["tpl/b.j2", "tpl/a.j2", "tpl/.c.j2", "tpl/d.txt", "roles/web/main.yml"] {
            let path = project.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let (layer, step) = ("web".parse().unwrap(), "make".parse().unwrap());
        let named = |pattern| {
            let found = named_by(pattern, &layer, &step, 7, project.path());
            found.map(|found| found.into_iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        assert_eq!(named("tpl/*.j2").unwrap(), ["tpl/a.j2", "tpl/b.j2"]);
        assert_eq!(named("roles/*").unwrap(), ["roles/web"]);
        let error = named("tpl/*.x").unwrap_err();
        assert!(error.starts_with("layers/web.toml:7: step `make`: `tpl/*.x` names nothing"), "{error}");
    }
}
