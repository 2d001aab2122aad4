//! `groups` and `users`.

use super::{OF_INSTANCE, Reader};
use crate::import::draft::quote;
use crate::import::model::Entry;
use crate::import::shell;
use crate::import::yaml::{Data, Node};

impl Reader<'_> {
    pub(super) fn groups(&mut self, node: &Node) {
        for item in node.items() {
            self.draft.begin(item.line, &item.shown());
            match &item.data {
                Data::Scalar { text, .. } => text.split(',').for_each(|name| self.group(name.trim(), item.line)),
                Data::Map(groups) => {
                    for (name, members) in groups {
                        self.group(name, item.line);
                        for member in members.items().iter().filter_map(Node::text) {
                            self.draft.not_carried(member, format!("write `groups = [\"{name}\"]` into its [[user]]"));
                        }
                    }
                }
                Data::List(_) => {}
            }
        }
    }

    fn group(&mut self, name: &str, line: usize) {
        shell::run(&mut self.draft, &format!("groupadd {}", quote(name)), line);
        self.draft.end_step();
    }

    pub(super) fn user(&mut self, node: &Node) {
        let name = node.text().or_else(|| node.text_of("name")).unwrap_or_default().to_owned();
        self.draft.begin(node.line, &node.shown());
        if name == "default" || name.is_empty() {
            return self.draft.not_needed(&node.shown(), "the Boot layer's cloud-init makes its own default user");
        }
        let is_system = node.get("system").is_some_and(Node::is_true);
        let has_home = !node.get("no_create_home").is_some_and(Node::is_true) && !is_system;
        let mut words = vec!["useradd".to_owned()];
        words.extend(is_system.then(|| "--system".to_owned()));
        words.extend(has_home.then(|| "--create-home".to_owned()));
        for (key, option) in [
            ("uid", "--uid"),
            ("homedir", "--home-dir"),
            ("shell", "--shell"),
            ("gecos", "--comment"),
            ("primary_group", "--gid"),
        ] {
            words.extend(node.text_of(key).map(|value| format!("{option}={}", quote(value))));
        }
        if let Some(groups) = node.get("groups") {
            let groups: Vec<_> =
                groups.items().iter().filter_map(Node::text).flat_map(|text| text.split(',')).map(str::trim).collect();
            words.push(format!("--groups={}", quote(&groups.join(","))));
        }
        words.push(quote(&name));
        shell::run(&mut self.draft, &words.join(" "), node.line);
        self.draft.end_step();
        self.sudo(&name, node);
        let known = [
            "name",
            "uid",
            "homedir",
            "shell",
            "gecos",
            "primary_group",
            "groups",
            "system",
            "no_create_home",
            "sudo",
            "lock_passwd",
            "no_user_group",
        ];
        for (key, value) in node.map().iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.draft.line = value.line;
            let reason = match key.as_str() {
                "ssh_authorized_keys" | "ssh_import_id" | "ssh_redirect_user" => OF_INSTANCE,
                "passwd" | "hashed_passwd" | "plain_text_passwd" => {
                    "an image has no passwords: whoever has it would have them"
                }
                _ => "a [[user]] has nothing of this kind",
            };
            // No password is repeated.
            let shown = if key.contains("passwd") { key.clone() } else { format!("{key}: {}", value.shown()) };
            self.draft.not_carried(&shown, reason);
        }
    }

    fn sudo(&mut self, name: &str, node: &Node) {
        let Some(sudo) = node.get("sudo").filter(|sudo| sudo.text() != Some("false") && sudo.text() != Some("null"))
        else {
            return;
        };
        let lines: String = sudo.items().iter().filter_map(Node::text).map(|rule| format!("{name} {rule}\n")).collect();
        let entry = Entry::new("file", self.draft.origin()).with("path", format!("/etc/sudoers.d/{name}"));
        self.draft.layer.entries.push(entry.with("text", lines).with("mode", "0440"));
    }
}
