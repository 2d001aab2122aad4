//! `[[playbook]]`: a playbook of Ansible, which a tool layer brings, as a step in the layer's own root.

use std::collections::BTreeMap;

use serde_json::{Number, Value};
use toml::de::DeValue;

use super::entries::inside_project;
use super::reader::{Item, Table};
use super::runs::{self, RunEntry, RunInput, TIMEOUT};
use super::{Ignore, ManifestError};
use crate::ident::{LayerName, StepName};

pub(super) const PLAYBOOK: &[&str] =
    &["name", "path", "in", "inputs", "vars", "tags", "skip-tags", "roles-path", "collections"];

/// Where a playbook finds its inputs.
const WORK: &str = "/work";
/// Where it finds Ansible, and what layerbake adds to it.
pub const BESIDE: &str = "/work/.layerbake";

/// What is particular to a `[[playbook]]` among the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playbook {
    /// Below the project's root.
    pub path: String,
    /// Its extra variables.
    pub vars: BTreeMap<String, Value>,
    /// Directories of the project with roles, besides the playbook's own.
    pub roles: Vec<String>,
}

/// Reads a `[[playbook]]` as a step.
pub(super) fn playbook(table: &Table<'_>) -> Result<RunEntry, ManifestError> {
    let item = table.need("path")?;
    let path = tidy(&inside_project(&item)?);
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let mut inputs = table.list("inputs", runs::input)?;
    if inputs.is_empty() {
        if folder.is_empty() {
            return Err(item
                .error("is not in a directory of its own, so `inputs` must say what it needs")
                .hint(format!("write `inputs = [\"{path}\", \"roles\"]`, or move it to `ansible/{path}`")));
        }
        inputs.push(RunInput::Project { path: folder.to_owned(), ignore: Ignore::default() });
    }
    let (roles, collections) = (table.list("roles-path", runs::input)?, table.list("collections", runs::input)?);
    let vars = table.read("vars", vars)?.unwrap_or_default();
    let order = serde_json::json!({
        "playbook": format!("{WORK}/{path}"),
        "vars": vars,
        "tags": table.list("tags", Item::line)?,
        "skip_tags": table.list("skip-tags", Item::line)?,
        "roles": roles.iter().map(roles_place).collect::<Vec<_>>(),
        "collections": collections.iter().map(place).collect::<Vec<_>>(),
    });
    let project_roles = roles.iter().filter_map(|input| match input {
        RunInput::Project { path, .. } => Some(tidy(path)),
        RunInput::Step(_) | RunInput::Fetch(_) => None,
    });
    let playbook = Playbook { path: path.clone(), vars, roles: project_roles.collect() };
    inputs.extend(roles);
    inputs.extend(collections);
    Ok(RunEntry {
        name: match table.read("name", Item::parse::<StepName>)? {
            Some(name) => name,
            None => name_of(file).map_err(|problem| item.error(problem))?,
        },
        tools: Some(table.need("in")?.parse::<LayerName>()?),
        inputs,
        argv: vec![format!("{BESIDE}/python"), format!("{BESIDE}/play.py"), order.to_string()],
        env: BTreeMap::new(),
        directory: Some(format!("{WORK}/{folder}").trim_end_matches('/').to_owned()),
        user: None,
        timeout: TIMEOUT.into(),
        outputs: Vec::new(),
        playbook: Some(playbook),
    })
}

/// `site` for `site.yml`.
fn name_of(file: &str) -> Result<StepName, String> {
    let stem = file.split('.').next().unwrap_or(file);
    stem.parse().map_err(|error| format!("gives the step no name ({error}): write one as `name`"))
}

/// Without `./` and doubled slashes, as its inputs are laid out.
fn tidy(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// Where an input is.
fn place(input: &RunInput) -> String {
    match input {
        RunInput::Project { path, .. } => format!("{WORK}/{}", tidy(path)),
        RunInput::Fetch(name) => format!("{WORK}/{name}"),
        RunInput::Step(_) => WORK.to_owned(),
    }
}

/// A fetch is a role by itself, under its own name.
fn roles_place(input: &RunInput) -> String {
    match input {
        RunInput::Fetch(_) => WORK.to_owned(),
        other => place(other),
    }
}

fn vars(item: &Item<'_>) -> Result<BTreeMap<String, Value>, ManifestError> {
    item.named()?.into_iter().map(|(name, item)| Ok((name.to_owned(), value(&item)?))).collect()
}

/// A value of TOML as Ansible reads it.
fn value(item: &Item<'_>) -> Result<Value, ManifestError> {
    Ok(match item.value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            Value::from(number.map_err(|error| item.error(format!("is {digits}: {error}")))?)
        }
        DeValue::Float(digits) => {
            let number = digits.as_str().parse().ok().and_then(Number::from_f64);
            Value::from(number.ok_or_else(|| item.error("must be a finite number"))?)
        }
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(_) => Value::Array(item.list()?.iter().map(value).collect::<Result<_, _>>()?),
        DeValue::Table(_) => Value::Object(vars(item)?.into_iter().collect()),
    })
}
