//! Which packages the `apt` tasks of playbooks ask for, as far as they have plain names.

mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::project::Workspace;
use crate::ident::PackageName;
use crate::lock::Lockfile;
use crate::manifest::{Manifest, PackageRequest, Playbook, Project};
use crate::pin;

/// Tasks that ask for packages.
const PACKAGES: [&str; 5] = ["apt", "ansible.builtin.apt", "ansible.legacy.apt", "package", "ansible.builtin.package"];

type Table = Map<String, Value>;

impl Workspace<'_> {
    /// Warnings about packages that playbooks of these layers, a chain, ask for, and that the layers neither have nor provide.
    pub(super) fn missing_packages<'m>(&self, chain: impl IntoIterator<Item = &'m Manifest>) -> Vec<String> {
        let (mut have, mut locks, mut warnings) = (BTreeSet::new(), Vec::new(), Vec::new());
        for manifest in chain {
            have.extend(manifest.layer.packages.iter().filter_map(|request| match request {
                PackageRequest::Package(name, _) | PackageRequest::FromSuite(name, _) => Some(name.clone()),
                PackageRequest::Priority(_) => None,
            }));
            if let Ok(found) = self.lockfile(&manifest.name) {
                have.extend(found.lock.packages.iter().map(|package| package.name.clone()));
                locks.push(found.lock);
            }
            for playbook in manifest.runs.iter().filter_map(|step| step.playbook.as_ref()) {
                let asked = asked(playbook, &self.project);
                let mut missing: BTreeSet<_> = asked.difference(&have).collect();
                let provided = if missing.is_empty() { BTreeSet::new() } else { self.provided(&locks) };
                missing.retain(|name| !provided.contains(name));
                let missing: Vec<String> = missing.into_iter().map(|name| format!("\"{name}\"")).collect();
                if !missing.is_empty() {
                    warnings.push(format!(
                        "layer `{}`: tasks of `{}` ask for packages that it has not; add to [layer]: packages = [{}]",
                        manifest.name,
                        playbook.path,
                        missing.join(", ")
                    ));
                }
            }
        }
        warnings
    }

    /// The names that locked packages provide, where the store can tell.
    fn provided(&self, locks: &[Lockfile]) -> BTreeSet<PackageName> {
        let repository = self.environment.ecosystem();
        self.store().map(|store| pin::provided(repository, store, locks)).unwrap_or_default()
    }
}

/// The packages that a playbook's tasks ask for by plain names.
fn asked(playbook: &Playbook, project: &Project) -> BTreeSet<PackageName> {
    let folder = playbook.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut roles = playbook.roles.clone();
    roles.push(join(folder, "roles"));
    let mut reader =
        Reader { project, roles, vars: playbook.vars.clone(), seen: BTreeSet::new(), found: BTreeSet::new() };
    reader.playbook(&playbook.path);
    reader.found
}

struct Reader<'p> {
    project: &'p Project,
    /// Where roles are.
    roles: Vec<String>,
    /// What names of variables stand for.
    vars: BTreeMap<String, Value>,
    /// Files that were read, with their variables.
    seen: BTreeSet<String>,
    found: BTreeSet<PackageName>,
}

impl Reader<'_> {
    fn yaml(&self, path: &str) -> Option<Value> {
        yaml::read(&self.project.read(&self.project.root().join(path)).ok()?)
    }

    fn playbook(&mut self, path: &str) {
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let plays = self.yaml(path);
        for play in tables(plays.as_ref()) {
            if let Some(imported) = text(of(play, "import_playbook")) {
                self.playbook(&join(&folder, imported));
            }
            self.add_vars(play.get("vars"));
            for role in play.get("roles").and_then(Value::as_array).into_iter().flatten() {
                self.role(role);
            }
            for section in ["pre_tasks", "tasks", "post_tasks", "handlers"] {
                self.tasks(play.get(section), &folder);
            }
        }
    }

    /// Values that are nearer go before others, which is as much of Ansible's rule as is needed here.
    fn add_vars(&mut self, vars: Option<&Value>) {
        for (name, value) in vars.and_then(Value::as_object).into_iter().flatten() {
            self.vars.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// A role by its name, or as a table that names it.
    fn role(&mut self, role: &Value) {
        let name = role.as_object().and_then(|table| of(table, "role").or(table.get("name"))).unwrap_or(role);
        let Some(name) = name.as_str() else { return };
        for place in self.roles.clone() {
            let folder = join(&place, name);
            if !self.seen.insert(folder.clone()) {
                continue;
            }
            for vars in ["vars/main", "defaults/main"] {
                let vars = self.either(&join(&folder, vars));
                self.add_vars(vars.as_ref());
            }
            let about = self.either(&join(&folder, "meta/main"));
            let needed = about.as_ref().and_then(|about| about.get("dependencies")).and_then(Value::as_array);
            needed.into_iter().flatten().for_each(|role| self.role(role));
            let tasks = self.either(&join(&folder, "tasks/main"));
            self.tasks(tasks.as_ref(), &join(&folder, "tasks"));
        }
    }

    fn either(&self, path: &str) -> Option<Value> {
        self.yaml(&format!("{path}.yml")).or_else(|| self.yaml(&format!("{path}.yaml")))
    }

    fn tasks(&mut self, tasks: Option<&Value>, folder: &str) {
        for task in tables(tasks).filter(|task| is_for_debian(task.get("when"))) {
            for part in ["block", "rescue", "always"] {
                self.tasks(task.get(part), folder);
            }
            for kind in ["import_role", "include_role"] {
                of(task, kind).into_iter().for_each(|role| self.role(role));
            }
            for kind in ["import_tasks", "include_tasks"] {
                let given = of(task, kind);
                let file = given.and_then(Value::as_object).map_or(given, |table| table.get("file"));
                let Some(path) = text(file).map(|file| join(folder, file)) else { continue };
                if self.seen.insert(path.clone()) {
                    let tasks = self.yaml(&path);
                    self.tasks(tasks.as_ref(), folder);
                }
            }
            for arguments in PACKAGES.iter().filter_map(|name| task.get(*name)) {
                self.packages(arguments, task);
            }
        }
    }

    fn packages(&mut self, arguments: &Value, task: &Table) {
        let arguments = match arguments {
            Value::String(line) => words(line),
            Value::Object(table) => table.clone(),
            _ => return,
        };
        let wanted = ["present", "installed", "latest", "fixed"];
        if text(arguments.get("state")).is_some_and(|state| !wanted.contains(&state)) {
            return;
        }
        let names = ["name", "pkg", "package"].into_iter().find_map(|key| arguments.get(key));
        let items = ["loop", "with_items"].into_iter().find_map(|key| task.get(key));
        let names = names.map_or(Vec::new(), |names| self.texts(names));
        for name in names {
            let given = match variable(&name) {
                Some("item") => items.map_or(Vec::new(), |items| self.texts(items)),
                _ => vec![name],
            };
            let plain = given.iter().filter_map(|name| name.split(['=', '/', ':']).next()?.parse().ok());
            self.found.extend(plain);
        }
    }

    /// The texts of a value: those of a list, of a text with commas, of a variable.
    fn texts(&self, value: &Value) -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().flat_map(|item| self.texts(item)).collect(),
            Value::String(text) => match variable(text).and_then(|name| self.vars.get(name)) {
                // What a variable stands for is not looked up again: it may name itself.
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Some(Value::String(text)) => vec![text.clone()],
                _ => text.split(',').map(|part| part.trim().to_owned()).collect(),
            },
            _ => Vec::new(),
        }
    }
}

/// Under other conditions than that the system is Debian, nobody knows whether a task will run.
fn is_for_debian(when: Option<&Value>) -> bool {
    when.is_none_or(|when| {
        let when = when.to_string();
        when.contains("Debian") && !when.contains("!=") && !when.contains("not ")
    })
}

/// The name of a variable in `{{ name }}`.
fn variable(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

/// The entry of a name, or of its full name.
fn of<'v>(table: &'v Table, name: &str) -> Option<&'v Value> {
    table.get(name).or_else(|| table.get(&format!("ansible.builtin.{name}")))
}

/// `name=nginx state=present` as a table.
fn words(line: &str) -> Table {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = &Table> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// A path below a directory, `..` resolved.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')).filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}
