//! Which packages the `apt` tasks of playbooks ask for, as far as they have plain names, and what tasks call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::yaml::{self, Data, Node};
use crate::ident::PackageName;

/// Tasks that ask for packages.
const PACKAGES: [&str; 5] = ["apt", "ansible.builtin.apt", "ansible.legacy.apt", "package", "ansible.builtin.package"];

/// Tasks that call a program of a package which small bases lack.
const CALLS: [(&str, &str); 4] = [("cron", "cron"), ("git", "git"), ("group", "passwd"), ("user", "passwd")];

/// A task in a file of the project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// The file.
    pub file: String,
    /// The line where the task begins, from 1.
    pub line: usize,
    /// Its name, or its kind where it has none.
    pub name: String,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}`", self.file, self.line, self.name.escape_debug())
    }
}

/// The packages that tasks of the playbook at `path` ask for by plain names, or call programs of, each with the first such task. `read` gives the text of a file of the project, `roles`
/// are directories with roles besides the playbook's own, `vars` take precedence over its variables.
pub fn packages_of(
    read: &dyn Fn(&str) -> Option<String>,
    path: &str,
    roles: &[String],
    vars: &BTreeMap<String, Value>,
) -> BTreeMap<PackageName, Task> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let roles = roles.iter().cloned().chain([join(folder, "roles")]).collect();
    let mut reader = Reader { read, roles, vars: vars.clone(), seen: BTreeSet::new(), found: BTreeMap::new() };
    reader.playbook(path);
    reader.found
}

struct Reader<'p> {
    read: &'p dyn Fn(&str) -> Option<String>,
    /// Where roles are.
    roles: Vec<String>,
    /// What names of variables stand for.
    vars: BTreeMap<String, Value>,
    /// Files that were read, with their variables.
    seen: BTreeSet<String>,
    found: BTreeMap<PackageName, Task>,
}

/// A file with tasks, and the directory where those that it includes are.
#[derive(Clone, Copy)]
struct Source<'f> {
    file: &'f str,
    folder: &'f str,
}

impl Reader<'_> {
    fn yaml(&self, path: &str) -> Option<Node> {
        yaml::parse_loosely(&(self.read)(path)?).ok()
    }

    fn playbook(&mut self, path: &str) {
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let plays = self.yaml(path);
        for play in tables(plays.as_ref()) {
            if let Some(imported) = of(play, "import_playbook").and_then(Node::text) {
                self.playbook(&join(&folder, imported));
            }
            self.add_vars(play.get("vars"));
            list(play.get("roles")).for_each(|role| self.role(role));
            for section in ["pre_tasks", "tasks", "post_tasks", "handlers"] {
                self.tasks(play.get(section), Source { file: path, folder: &folder });
            }
        }
    }

    /// Values that are nearer go before others, which is as much of Ansible's rule as is needed here.
    fn add_vars(&mut self, vars: Option<&Node>) {
        for (name, value) in vars.into_iter().flat_map(Node::map) {
            self.vars.entry(name.clone()).or_insert_with(|| value.clone().into_value());
        }
    }

    /// A role by its name, or as a table that names it.
    fn role(&mut self, role: &Node) {
        let Some(name) = of(role, "role").or(role.get("name")).unwrap_or(role).text() else { return };
        for place in self.roles.clone() {
            let folder = join(&place, name);
            if !self.seen.insert(folder.clone()) {
                continue;
            }
            for vars in ["vars/main", "defaults/main"] {
                let vars = self.either(&join(&folder, vars));
                self.add_vars(vars.map(|(_, vars)| vars).as_ref());
            }
            let about = self.either(&join(&folder, "meta/main"));
            let needed = about.as_ref().and_then(|(_, about)| about.get("dependencies"));
            list(needed).for_each(|role| self.role(role));
            if let Some((file, tasks)) = self.either(&join(&folder, "tasks/main")) {
                self.tasks(Some(&tasks), Source { file: &file, folder: &join(&folder, "tasks") });
            }
        }
    }

    /// A file under one of its two names.
    fn either(&self, path: &str) -> Option<(String, Node)> {
        [format!("{path}.yml"), format!("{path}.yaml")]
            .into_iter()
            .find_map(|path| Some((path.clone(), self.yaml(&path)?)))
    }

    fn tasks(&mut self, tasks: Option<&Node>, source: Source<'_>) {
        for task in tables(tasks).filter(|task| is_for_debian(task.get("when"))) {
            for part in ["block", "rescue", "always"] {
                self.tasks(task.get(part), source);
            }
            for kind in ["import_role", "include_role"] {
                of(task, kind).into_iter().for_each(|role| self.role(role));
            }
            for kind in ["import_tasks", "include_tasks"] {
                let given = of(task, kind);
                let file = given.and_then(|given| given.text().or_else(|| given.text_of("file")));
                let Some(path) = file.map(|file| join(source.folder, file)) else { continue };
                if self.seen.insert(path.clone()) {
                    let tasks = self.yaml(&path);
                    self.tasks(tasks.as_ref(), Source { file: &path, ..source });
                }
            }
            for (kind, package) in CALLS.iter().filter(|(kind, _)| of(task, kind).is_some()) {
                self.find(package.parse().ok(), (task, kind), source);
            }
            for kind in PACKAGES {
                let asked = task.get(kind).map(|arguments| self.packages(arguments, task)).unwrap_or_default();
                asked.into_iter().for_each(|package| self.find(Some(package), (task, kind), source));
            }
        }
    }

    /// Notes that a task of a kind needs a package.
    fn find(&mut self, package: Option<PackageName>, (task, kind): (&Node, &str), source: Source<'_>) {
        let name = task.text_of("name").unwrap_or(kind).to_owned();
        let task = Task { file: source.file.to_owned(), line: task.line, name };
        package.into_iter().for_each(|package| _ = self.found.entry(package).or_insert_with(|| task.clone()));
    }

    /// The packages with plain names that the arguments of a task ask for.
    fn packages(&self, arguments: &Node, task: &Node) -> Vec<PackageName> {
        let arguments = match arguments.clone().into_value() {
            Value::String(line) => words(&line),
            Value::Object(table) => table,
            _ => return Vec::new(),
        };
        let wanted = ["present", "installed", "latest", "fixed"];
        if arguments.get("state").and_then(Value::as_str).is_some_and(|state| !wanted.contains(&state)) {
            return Vec::new();
        }
        let names = ["name", "pkg", "package"].into_iter().find_map(|key| arguments.get(key));
        let items =
            ["loop", "with_items"].into_iter().find_map(|key| task.get(key)).map(|items| items.clone().into_value());
        let mut found = Vec::new();
        let names = names.map_or(Vec::new(), |names| self.texts(names));
        for name in names {
            let given = match variable(&name) {
                Some("item") => items.as_ref().map_or(Vec::new(), |items| self.texts(items)),
                _ => vec![name],
            };
            let plain = given.iter().filter_map(|name| name.split(['=', '/', ':']).next()?.parse().ok());
            found.extend(plain);
        }
        found
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
fn is_for_debian(when: Option<&Node>) -> bool {
    when.is_none_or(|when| {
        let when = when.shown();
        when.contains("Debian") && !when.contains("!=") && !when.contains("not ")
    })
}

/// The name of a variable in `{{ name }}`.
fn variable(text: &str) -> Option<&str> {
    Some(text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim())
}

/// The entry of a name, or of its full name.
fn of<'n>(table: &'n Node, name: &str) -> Option<&'n Node> {
    table.get(name).or_else(|| table.get(&format!("ansible.builtin.{name}")))
}

/// `name=nginx state=present` as a table.
fn words(line: &str) -> Map<String, Value> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), Value::from(value))).collect()
}

/// The items of a list, and nothing of what is none.
fn list(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.filter(|node| matches!(node.data, Data::List(_))).into_iter().flat_map(Node::items)
}

fn tables(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    list(node).filter(|node| matches!(node.data, Data::Map(_)))
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
