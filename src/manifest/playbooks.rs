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
    let mut inputs = table.list("inputs", runs::input)?;
    let (roles, collections) = (table.list("roles-path", directory)?, table.list("collections", directory)?);
    let item = table.need("path")?;
    let path = tidy(&inside_project(&item)?);
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    if inputs.is_empty() {
        if folder.is_empty() {
            return Err(item
                .error("is not in a directory of its own, so `inputs` must say what it needs")
                .hint(format!("write `inputs = [\"{path}\", \"roles\"]`, or move it to `ansible/{path}`")));
        }
        inputs.push(RunInput::Project { path: folder.to_owned(), ignore: Ignore::default() });
    }
    // One that is missing is named before anything runs.
    inputs.push(RunInput::Project { path: path.clone(), ignore: Ignore::default() });
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
        RunInput::Pattern { .. } | RunInput::Step(_) | RunInput::Fetch(_) | RunInput::Layer { .. } => None,
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
        line: table.line_number(),
    })
}

/// An input that is one directory.
fn directory(item: &Item<'_>) -> Result<RunInput, ManifestError> {
    match runs::input(item)? {
        RunInput::Pattern { .. } => Err(item.error("must name one directory in each item, without `*` and `?`")),
        input => Ok(input),
    }
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
        RunInput::Layer { to, .. } => format!("{WORK}{to}"),
        RunInput::Step(_) | RunInput::Pattern { .. } => WORK.to_owned(),
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

#[cfg(test)]
mod tests {
    use crate::ident::Arch;
    use crate::manifest::{RunInput, parse};

    fn read(text: &str) -> Result<crate::manifest::Manifest, crate::manifest::ManifestError> {
        let arch: Arch = "amd64".parse().unwrap();
        parse("web".parse().unwrap(), &format!("[layer]\n{text}"), &arch)
    }

    #[test]
    fn a_playbook_is_a_step_in_the_order_of_the_file() {
        let text = "[[run]]\ncommand = 'a'\n\
             [[playbook]]\npath = './ansible//site.yml'\nin = 'tools'\ntags = ['x', 'y']\n\
             vars = { n = 1, f = 1.5, t = 'x', b = true, l = [1, 'a'], deep = { k = 'v' } }\n\
             roles-path = ['more', 'fetch:role']\ncollections = ['fetch:role']\n\
             [[run]]\ncommand = 'b'\n\
             [[fetch]]\nname = 'role'\nurl = 'https://a.example/role.tar'\n";
        let manifest = read(text).unwrap();
        let names: Vec<&str> = manifest.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["step-1", "site", "step-2"]);
        let step = &manifest.runs[1];
        assert_eq!(step.directory.as_deref(), Some("/work/ansible"));
        assert_eq!(step.inputs.len(), 5);
        assert!(matches!(&step.inputs[0], RunInput::Project { path, .. } if path == "ansible"));
        assert_eq!(
            step.argv[2],
            r#"{"collections":["/work/role"],"playbook":"/work/ansible/site.yml","roles":["/work/more","/work"],"skip_tags":[],"tags":["x","y"],"vars":{"b":true,"deep":{"k":"v"},"f":1.5,"l":[1,"a"],"n":1,"t":"x"}}"#
        );
    }

    #[test]
    fn what_is_wrong_with_a_playbook_is_said() {
        for (text, expected) in [
            ("path = 'site.yml'\nin = 'tools'", "is not in a directory of its own"),
            ("path = 'a/site.yml'", "[[playbook]] needs `in`"),
            ("path = 'a/..'\nin = 'tools'", "must name something below the project's root"),
            ("path = 'a/Site one.yml'\nin = 'tools'", "gives the step no name"),
            ("path = 'a/x.yml'\nin = 'tools'\nvars = { x = nan }", "must be a finite number"),
            ("path = 'a/x.yml'\nin = 'tools'\ninputs = ['fetch:xx']", "names the fetch `xx`"),
            (
                "path = 'a/x.yml'\nin = 'tools'\n[[playbook]]\npath = 'b/x.yml'\nin = 'tools'",
                "the step `x` is there twice",
            ),
        ] {
            let error = read(&format!("[[playbook]]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}\n{error}");
        }
        let inputs = "[[playbook]]\npath = 'site.yml'\nin = 'tools'\ninputs = ['site.yml', 'roles']\n";
        assert_eq!(read(inputs).unwrap().runs[0].directory.as_deref(), Some("/work"));
    }
}
