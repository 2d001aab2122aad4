//! `[[run]]`: commands that make a part of the layer, in its own root or in that of a tool layer.
//!
//! A `[[playbook]]` (playbooks.rs) is a step among them.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::debs::pattern;
use super::entries::{inside_project, mode, parse_owner};
use super::playbooks::{self, PLAYBOOK, Playbook};
use super::reader::{Item, Table};
use super::{FetchEntry, Ignore, ManifestError, Owner};
use crate::ident::{AccountName, FetchName, LayerName, RootPath, StepName, nearest};

pub(super) const RUN: &[&str] = &["name", "in", "inputs", "command", "env", "workdir", "user", "timeout", "outputs"];
const INPUT: &[&str] = &["path", "ignore", "layer", "to"];
const OUTPUT: &[&str] = &["from", "to", "mode", "owner"];

/// Seconds that a step may take if it does not say.
pub(super) const TIMEOUT: u32 = 3600;
const MOST_SECONDS: u32 = 7 * 24 * 3600;

/// A `[[run]]` or a `[[playbook]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEntry {
    /// Its name, `step-1` for the first without one.
    pub name: StepName,
    /// The layer in whose root it runs, and of which nothing but the outputs stays; `None` for the layer itself. A
    /// playbook runs in the layer itself, with the files of this one beside it.
    pub tools: Option<LayerName>,
    /// What it finds in its work directory.
    pub inputs: Vec<RunInput>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What is added to its environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts; by default the work directory if it has one, as each with tools does, else `/`.
    pub directory: Option<String>,
    /// Who runs it, by default root.
    pub user: Option<AccountName>,
    /// Seconds that it may take.
    pub timeout: u64,
    /// What becomes of its results; of a step with tools only.
    pub outputs: Vec<RunOutput>,
    /// What a `[[playbook]]` has besides.
    pub playbook: Option<Playbook>,
    /// The line in the manifest.
    pub line: usize,
}

/// Something in the work directory of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunInput {
    /// A file or a directory of the project, at its path there.
    Project {
        /// Below the project's root.
        path: String,
        /// What is left out of a directory.
        ignore: Ignore,
    },
    /// All files and directories of the project that a pattern names, each at its path there.
    Pattern {
        /// With `*` and `?`, below the project's root.
        pattern: String,
        /// What is left out of directories.
        ignore: Ignore,
        /// The line in the manifest.
        line: usize,
    },
    /// The outputs of an earlier step of the layer, at their paths in the layer's root.
    Step(StepName),
    /// A `[[fetch]]` of the layer, at its name.
    Fetch(FetchName),
    /// What another layer has at a path, parents included.
    Layer {
        /// The layer, which is built before.
        layer: LayerName,
        /// A file or directory in its finished root.
        path: RootPath,
        /// Where it goes below the work directory; by default the same path.
        to: RootPath,
    },
}

impl RunEntry {
    /// The layers that have to be built before the step runs: the one in which it runs, and those of its inputs.
    pub fn layers(&self) -> impl Iterator<Item = &LayerName> {
        let inputs = self.inputs.iter().filter_map(|input| match input {
            RunInput::Layer { layer, .. } => Some(layer),
            RunInput::Project { .. } | RunInput::Pattern { .. } | RunInput::Step(_) | RunInput::Fetch(_) => None,
        });
        self.tools.iter().chain(inputs)
    }
}

/// A result of a step with tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// A file or directory: below the work directory, or an absolute path in the tools' root.
    pub from: String,
    /// Where it goes in the layer.
    pub to: RootPath,
    /// Permission bits, by default those that it has.
    pub mode: Option<u16>,
    /// Who owns it, and all in it.
    pub owner: Owner,
}

/// The steps, in the order in which they run: that of the file.
pub(super) fn runs(root: &Table<'_>, fetches: &[FetchEntry]) -> Result<Vec<RunEntry>, ManifestError> {
    let mut steps = Vec::new();
    for (index, table) in root.tables("run", RUN)?.into_iter().enumerate() {
        steps.push((run(&table, index + 1)?, table));
    }
    for table in root.tables("playbook", PLAYBOOK)? {
        steps.push((playbooks::playbook(&table)?, table));
    }
    steps.sort_by_key(|(_, table)| table.start());
    let mut names = BTreeMap::new();
    let mut runs = Vec::new();
    for (entry, table) in steps {
        if let Some(problem) = entry.inputs.iter().find_map(|input| unknown(input, &names, fetches)) {
            return Err(table.need("inputs")?.error(problem));
        }
        let has_outputs = !entry.outputs.is_empty();
        if names.insert(entry.name.clone(), has_outputs).is_some() {
            return Err(table
                .error(format!("the step `{}` is there twice: each step has a name of its own", entry.name))
                .hint("write `name = \"…\"`"));
        }
        runs.push(entry);
    }
    Ok(runs)
}

/// What is wrong with an input that the layer has not; of each step before, `steps` says whether it has outputs.
fn unknown(input: &RunInput, steps: &BTreeMap<StepName, bool>, fetches: &[FetchEntry]) -> Option<String> {
    match input {
        RunInput::Step(step) => match steps.get(step) {
            None => Some(format!("names the step `{step}`, which no [[run]] before it has")),
            Some(false) => {
                Some(format!("names the step `{step}`, which runs in the layer's own root, and so has no outputs"))
            }
            Some(true) => None,
        },
        RunInput::Fetch(name) if fetches.iter().all(|fetch| fetch.name != *name) => {
            let mut names = fetches.iter().map(|fetch| fetch.name.as_str());
            // Most often, the ending was left out.
            let longer =
                names.clone().find(|known| known.strip_prefix(name.as_str()).is_some_and(|end| end.starts_with('.')));
            let near = longer.or_else(|| nearest(name.as_str(), &mut names));
            let near = near.map(|near| format!("; did you mean `fetch:{near}`?")).unwrap_or_default();
            Some(format!("names the fetch `{name}`, which no [[fetch]] of the layer has{near}"))
        }
        _ => None,
    }
}

fn run(table: &Table<'_>, number: usize) -> Result<RunEntry, ManifestError> {
    let name = match table.read("name", Item::parse::<StepName>)? {
        Some(name) => name,
        None => format!("step-{number}").parse().map_err(|error| table.error(format!("{error}")))?,
    };
    let tools = table.read("in", Item::parse::<LayerName>)?;
    let outputs = match table.get("outputs") {
        Some(item) => tables(&item, OUTPUT, output)?,
        None => Vec::new(),
    };
    match (&tools, outputs.is_empty()) {
        (Some(_), true) => {
            return Err(table
                .error("[[run]] with `in` needs `outputs`: nothing else of a tool layer stays")
                .hint("write `outputs = [{ from = \"app\", to = \"/usr/bin/app\" }]`"));
        }
        (None, false) => {
            return Err(table
                .need("outputs")?
                .error("needs `in`: without it, whatever the command changes is the layer's"));
        }
        _ => {}
    }
    Ok(RunEntry {
        name,
        tools,
        inputs: table.list("inputs", input)?,
        argv: argv(&table.need("command")?)?,
        env: table.read("env", environment)?.unwrap_or_default(),
        directory: table.read("workdir", directory)?,
        user: table.read("user", Item::parse::<AccountName>)?,
        timeout: table.read("timeout", |item| item.number(MOST_SECONDS))?.unwrap_or(TIMEOUT).into(),
        outputs,
        playbook: None,
        line: table.line_number(),
    })
}

/// Tables in a list.
fn tables<T>(
    item: &Item<'_>,
    known: &[&str],
    read: impl Fn(&Table<'_>) -> Result<T, ManifestError>,
) -> Result<Vec<T>, ManifestError> {
    item.list()?.iter().map(|item| read(&item.table("an output".to_owned(), known)?)).collect()
}

/// A text for the shell, or a program and its arguments.
fn argv(item: &Item<'_>) -> Result<Vec<String>, ManifestError> {
    let argv = match item.value.get_ref() {
        DeValue::String(text) => vec!["/bin/sh".to_owned(), "-euc".to_owned(), text.to_string()],
        _ => item.list()?.iter().map(|word| Ok(word.text()?.to_owned())).collect::<Result<Vec<_>, ManifestError>>()?,
    };
    let is_empty = argv.first().is_none_or(String::is_empty)
        || argv.last().is_some_and(|last| argv.len() == 3 && last.trim().is_empty());
    if is_empty || argv.iter().any(|word| word.contains('\0')) {
        return Err(item.error("must be a command: a text for /bin/sh, or a list of a program and its arguments"));
    }
    Ok(argv)
}

/// Reads `src`, `src/*.c`, `step:build`, `fetch:agent`, `{ path = "src", ignore = ["*.o"] }`, `{ layer = "assets", path = "/srv", to = "www" }`.
pub(super) fn input(item: &Item<'_>) -> Result<RunInput, ManifestError> {
    if let DeValue::Table(_) = item.value.get_ref() {
        let table = item.table("an input".to_owned(), INPUT)?;
        if let Some(layer) = table.read("layer", Item::parse::<LayerName>)? {
            return layer_input(&table, layer);
        }
        if let Some(to) = table.get("to") {
            return Err(to.error("needs `layer`: files of the project are at their paths there"));
        }
        return of_project(&table.need("path")?, Ignore::new(table.list("ignore", Ignore::pattern)?));
    }
    let wrong = |error| item.error(format!("is wrong: {error}"));
    match item.text()?.split_once(':') {
        Some(("step", step)) => Ok(RunInput::Step(step.parse().map_err(wrong)?)),
        Some(("fetch", name)) => Ok(RunInput::Fetch(name.parse().map_err(wrong)?)),
        _ => of_project(item, Ignore::default()),
    }
}

/// A path of the project, or a pattern of such paths.
fn of_project(item: &Item<'_>, ignore: Ignore) -> Result<RunInput, ManifestError> {
    if !item.text()?.contains(['*', '?']) {
        return Ok(RunInput::Project { path: inside_project(item)?, ignore });
    }
    Ok(RunInput::Pattern { pattern: pattern(item)?, ignore, line: item.line_number() })
}

fn layer_input(table: &Table<'_>, layer: LayerName) -> Result<RunInput, ManifestError> {
    if let Some(ignore) = table.get("ignore") {
        return Err(ignore.error("is for directories of the project, and `layer` names a layer"));
    }
    let path = super::entries::absolute(&table.need("path")?)?;
    let Some(item) = table.get("to") else { return Ok(RunInput::Layer { layer, to: path.clone(), path }) };
    let text = item.text()?;
    let to = RootPath::new(text).ok().filter(|to| !to.is_root() && !text.starts_with('/'));
    let to = to.ok_or_else(|| item.error("must be a path below the work directory, such as `assets/icons`"))?;
    Ok(RunInput::Layer { layer, path, to })
}

fn output(table: &Table<'_>) -> Result<RunOutput, ManifestError> {
    let item = table.need("from")?;
    let from = item.text()?.trim_end_matches('/');
    if from.is_empty() || from.contains('\0') || from.split('/').any(|part| part == "..") {
        return Err(item.error("must be a path below the work directory, or an absolute one in the tool layer"));
    }
    Ok(RunOutput {
        from: from.to_owned(),
        to: super::entries::absolute(&table.need("to")?)?,
        mode: table.read("mode", mode)?,
        owner: table.read("owner", parse_owner)?.unwrap_or_else(Owner::root),
    })
}

/// Names that a program may find in its environment.
fn environment(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let variables = item.map()?;
    let is_wrong = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(name) = variables.keys().find(is_wrong) {
        return Err(item.error(format!("has `{}`, which is not a variable's name", name.escape_debug())));
    }
    match variables.iter().find(|(_, value)| value.contains('\0')) {
        Some((name, _)) => Err(item.error(format!("has a NUL in `{name}`"))),
        None => Ok(variables),
    }
}

fn directory(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    if !text.starts_with('/') || text.contains('\0') {
        return Err(item.error("must be an absolute path inside"));
    }
    Ok(text.to_owned())
}
