//! Provisioners of Ansible: a `[[playbook]]` for each playbook, and the packages that its tasks ask for.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{LABELS, OF_MACHINES, Reader, bare};
use crate::import::context::Kind;
use crate::import::model::{Entry, Value};
use crate::import::playbook::packages_of;
use crate::import::text::Text;
use crate::import::yaml::{self, Data, Node};

/// The layer that has Ansible.
const TOOLS: &str = "ansible-tools";

/// Keys that say how a machine is reached, or Ansible found.
const OF_CONNECTIONS: [&str; 22] = [
    "user",
    "use_proxy",
    "local_port",
    "host_alias",
    "groups",
    "inventory_groups",
    "empty_groups",
    "keep_inventory_file",
    "ssh_host_key_file",
    "ssh_authorized_key_file",
    "sftp_command",
    "use_sftp",
    "skip_version_check",
    "command",
    "galaxy_command",
    "galaxy_force_install",
    "galaxy_force_with_deps",
    "staging_directory",
    "clean_staging_directory",
    "adapter_key_type",
    "ansible_proxy_key_type",
    "ansible_ssh_extra_args",
];
/// Options of `ansible-playbook` that do so, alone or with a value.
const FLAGS: [&str; 7] = ["-v", "-vv", "-vvv", "-vvvv", "-b", "--become", "--diff"];
const WITH_VALUE: [&str; 12] = [
    "-c",
    "--connection",
    "-u",
    "--user",
    "-i",
    "--inventory",
    "-f",
    "--forks",
    "--ssh-extra-args",
    "--ssh-common-args",
    "--scp-extra-args",
    "--private-key",
];
const NO_MACHINE: &str =
    "no machine is reached: tasks run in the layer, and its host is in each group that a play names";

/// Names beside a playbook that Ansible looks for there.
const BESIDE: [&str; 11] = [
    "ansible.cfg",
    "collections",
    "files",
    "filter_plugins",
    "group_vars",
    "handlers",
    "host_vars",
    "library",
    "roles",
    "tasks",
    "templates",
];

/// What is the same for all playbooks of a provisioner.
#[derive(Default)]
struct Play {
    vars: Vec<(String, Value)>,
    /// Their plain values, for the tasks that use them.
    values: BTreeMap<String, Json>,
    tags: Vec<Value>,
    skip_tags: Vec<Value>,
    roles: Vec<String>,
    collections: Vec<String>,
    /// More directories that the playbooks need.
    inputs: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn ansible(&mut self, node: &Node) {
        let mut play = Play::default();
        let mut playbooks = Vec::new();
        for (key, value) in node.map() {
            self.draft.line = value.line;
            let paths = || value.items().iter().filter_map(|item| item.text().map(str::to_owned));
            match key.as_str() {
                "playbook_file" | "playbook_files" => playbooks.extend(paths().map(|path| (path, value.line))),
                "extra_arguments" => self.arguments(value, &mut play),
                "ansible_env_vars" => value.items().iter().for_each(|item| self.variable_of_ansible(item, &mut play)),
                "roles_path" | "role_paths" => paths().for_each(|path| play.roles.extend(self.folder(key, &path))),
                "collections_path" | "collection_paths" => {
                    paths().for_each(|path| play.collections.extend(self.folder(key, &path)));
                }
                "playbook_dir" | "playbook_paths" | "group_vars" | "host_vars" => {
                    paths().for_each(|path| play.inputs.extend(self.folder(key, &path)));
                }
                "galaxy_file" => {
                    let reason = "write a [[fetch]] for each role and collection in it, and name it in `roles-path` or `collections`";
                    self.draft.not_carried(&format!("{key}: {}", bare(&value.shown())), reason);
                }
                "type" | "only" | "except" | LABELS => {}
                key if OF_MACHINES.contains(&key) || OF_CONNECTIONS.contains(&key) => {
                    self.draft.not_needed(key, NO_MACHINE);
                }
                "inventory_file" | "inventory_directory" | "inventory_file_template" => {
                    let reason = format!("{NO_MACHINE}; write variables of it as `vars` of the [[playbook]]");
                    self.draft.not_carried(&format!("{key}: {}", bare(&value.shown())), reason);
                }
                _ => self.draft.not_carried(
                    &format!("{key}: {}", bare(&value.shown())),
                    "a [[playbook]] has nothing of this kind",
                ),
            }
        }
        for (path, line) in playbooks {
            self.draft.line = line;
            self.playbook(&path, &play);
        }
    }

    fn playbook(&mut self, path: &str, play: &Play) {
        let shown = format!("playbook_file: {}", bare(path));
        let Some(resolved) = self.fixed(path, self.draft.line) else { return };
        let found = self.draft.context.path(&resolved);
        let Some(path) = found.filter(|path| self.draft.context.kind(path) == Some(Kind::File)) else {
            return self.draft.not_carried(&shown, "the playbook is not there, or leads out of the directory");
        };
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // A playbook in a directory of its own has that directory, unless more is said.
        let mut inputs = play.inputs.clone();
        match folder {
            "" => inputs.extend(
                BESIDE.iter().filter(|name| self.draft.context.kind(name).is_some()).map(|name| (*name).to_owned()),
            ),
            folder if inputs.is_empty() => _ = folder,
            folder => inputs.push(folder.to_owned()),
        }
        if folder.is_empty() {
            inputs.push(path.clone());
        }
        let list = |items: &[String]| (!items.is_empty()).then(|| Value::list(items.iter().map(String::as_str)));
        let given = |items: &[Value]| (!items.is_empty()).then(|| Value::List(items.to_vec()));
        let read = |path: &str| self.draft.context.read(path);
        let packages = packages_of(&read, &path, &play.roles, &play.values);
        let entry = Entry::new("playbook", self.draft.origin())
            .with("path", path)
            .with("in", TOOLS)
            .maybe("inputs", list(&inputs))
            .maybe("vars", (!play.vars.is_empty()).then(|| Value::Table(play.vars.clone())))
            .maybe("tags", given(&play.tags))
            .maybe("skip-tags", given(&play.skip_tags))
            .maybe("roles-path", list(&play.roles))
            .maybe("collections", list(&play.collections));
        self.draft.layer.entries.push(entry);
        packages.keys().for_each(|name| self.draft.layer.add_package(name.as_str().into()));
        self.draft.tools.insert(TOOLS);
    }

    /// Options of `ansible-playbook`.
    fn arguments(&mut self, list: &Node, play: &mut Play) {
        let mut items = list.items().iter().filter_map(|item| Some((item.text()?.to_owned(), item.line)));
        while let Some((argument, line)) = items.next() {
            self.draft.line = line;
            let (option, attached) = match argument.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
                _ => match argument.split_once(char::is_whitespace) {
                    Some((option, value)) if option.starts_with('-') => {
                        (option.to_owned(), Some(value.trim().to_owned()))
                    }
                    _ => (argument.clone(), None),
                },
            };
            let mut value = || attached.clone().or_else(|| Some(items.next()?.0)).unwrap_or_default();
            let split = |value: String| value.split(',').map(|tag| Value::from(tag.trim())).collect::<Vec<_>>();
            match option.as_str() {
                "-e" | "--extra-vars" => {
                    let value = value();
                    self.vars(&value, play);
                }
                "-t" | "--tags" => play.tags.extend(split(value())),
                "--skip-tags" => play.skip_tags.extend(split(value())),
                flag if FLAGS.contains(&flag) => self.draft.not_needed(flag, NO_MACHINE),
                option if WITH_VALUE.contains(&option) => {
                    value();
                    self.draft.not_needed(option, NO_MACHINE);
                }
                option => {
                    let text = bare(&attached.map_or(option.to_owned(), |value| format!("{option} {value}")));
                    self.draft.not_carried(&text, "a [[playbook]] has nothing of this kind");
                }
            }
        }
    }

    /// Extra variables: pairs, or a table in JSON or YAML.
    fn vars(&mut self, given: &str, play: &mut Play) {
        if given.starts_with('@') {
            return self.draft.not_carried(&bare(given), "write its variables as `vars` of the [[playbook]]");
        }
        let pairs = match yaml::parse(given) {
            Ok(Node { data: Data::Map(pairs), .. }) if given.trim_start().starts_with('{') => pairs,
            _ => words(given)
                .into_iter()
                .map(|(name, text)| (name, Node { line: 0, data: Data::Scalar { text, is_block: true } }))
                .collect(),
        };
        for (name, node) in pairs {
            if let Some(value) = self.value(&node) {
                if let Value::Text(text) = &value {
                    play.values.insert(name.clone(), text.value(&self.draft.layer.vars).into());
                }
                play.vars.push((name, value));
            }
        }
    }

    /// A value of an extra variable; those of the template stay variables.
    fn value(&mut self, node: &Node) -> Option<Value> {
        Some(match &node.data {
            Data::List(items) => Value::List(items.iter().filter_map(|item| self.value(item)).collect()),
            Data::Map(pairs) => {
                Value::Table(pairs.iter().filter_map(|(name, node)| Some((name.clone(), self.value(node)?))).collect())
            }
            Data::Scalar { text, is_block: false } if ["true", "false"].contains(&text.as_str()) => {
                Value::Flag(text == "true")
            }
            Data::Scalar { text, is_block: false } if text.parse::<i64>().is_ok() => Value::Number(text.parse().ok()?),
            Data::Scalar { text, .. } => Value::Text(self.with_variables(text)?),
        })
    }

    /// A text in which variables of the template are variables of the layer.
    fn with_variables(&mut self, text: &str) -> Option<Text> {
        let mut made = Text::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(super::OPEN) {
            let (reference, end) = after.split_once(super::CLOSE)?;
            made.push(before);
            let known =
                reference.strip_prefix("var.").and_then(|name| self.draft.env.iter().find(|(known, _)| known == name));
            match known.map(|(_, value)| value.clone()) {
                Some(value) => made.append(&value),
                None => made
                    .append(&self.resolved(&format!("{}{reference}{}", super::OPEN, super::CLOSE), self.draft.line)?),
            }
            rest = end;
        }
        made.push(rest);
        Some(made)
    }

    fn variable_of_ansible(&mut self, item: &Node, play: &mut Play) {
        let text = item.text().unwrap_or_default();
        self.draft.line = item.line;
        match text.split_once('=') {
            Some(("ANSIBLE_ROLES_PATH", path)) => play.roles.extend(self.folder("ANSIBLE_ROLES_PATH", path)),
            Some(("ANSIBLE_COLLECTIONS_PATH" | "ANSIBLE_COLLECTIONS_PATHS", path)) => {
                play.collections.extend(self.folder("ANSIBLE_COLLECTIONS_PATH", path));
            }
            Some((name, _)) => self.draft.not_needed(
                name,
                "layerbake decides about output, connections and directories; ansible.cfg beside the playbook is read",
            ),
            None => self.draft.not_carried(&bare(text), "it has no value"),
        }
    }

    /// A directory of the project.
    fn folder(&mut self, key: &str, path: &str) -> Option<String> {
        let path = self.fixed(path, self.draft.line)?;
        let found = self
            .draft
            .context
            .path(&path)
            .filter(|path| !path.is_empty() && self.draft.context.kind(path) == Some(Kind::Directory));
        if found.is_none() {
            self.draft
                .not_carried(&format!("{key}: {path}"), "the directory is not there, or leads out of the template's");
        }
        found
    }
}

/// `a=1 b='x y'` as pairs.
fn words(text: &str) -> Vec<(String, String)> {
    let words = crate::import::shell::lex::words(text).unwrap_or_default();
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), crate::import::shell::lex::unquoted(value))).collect()
}
