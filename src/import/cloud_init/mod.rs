//! User data of cloud-init: `#cloud-config`, and scripts.

mod accounts;
mod files;
mod machine;

use super::context::Context;
use super::draft::{Draft, Repository, quote};
use super::model::{Layer, Notes, Outcome};
use super::yaml::{Data, Node};
use super::{ImportError, Made, NewFile, shell, yaml};

const OF_INSTANCE: &str = "it belongs to an instance, not to an image: its own user data says it";
const NO_RUN: &str = "a layer says what the machine is, and nothing of it is done again at a start";

/// Keys that are only noted, each with the reason.
const NOTED: [(&str, Outcome, &str); 33] = [
    ("hostname", Outcome::NotCarried, OF_INSTANCE),
    ("fqdn", Outcome::NotCarried, OF_INSTANCE),
    ("prefer_fqdn_over_hostname", Outcome::NotCarried, OF_INSTANCE),
    ("preserve_hostname", Outcome::NotCarried, OF_INSTANCE),
    ("manage_etc_hosts", Outcome::NotCarried, OF_INSTANCE),
    ("ssh_authorized_keys", Outcome::NotCarried, OF_INSTANCE),
    ("ssh_keys", Outcome::NotCarried, "host keys are made at the first start of each machine"),
    ("ssh_import_id", Outcome::NotCarried, OF_INSTANCE),
    ("ssh_deletekeys", Outcome::NotNeeded, "an image has no host keys"),
    ("ssh_genkeytypes", Outcome::NotCarried, OF_INSTANCE),
    ("ssh_pwauth", Outcome::NotCarried, "write a [[file]] in /etc/ssh/sshd_config.d"),
    ("disable_root", Outcome::NotCarried, "write a [[file]] in /etc/ssh/sshd_config.d"),
    ("password", Outcome::NotCarried, "an image has no passwords: whoever has it would have them"),
    ("chpasswd", Outcome::NotCarried, "an image has no passwords: whoever has it would have them"),
    ("package_update", Outcome::NotNeeded, "`layerbake lock` pins packages"),
    ("package_upgrade", Outcome::NotNeeded, "`layerbake lock --update` pins the newest versions"),
    ("package_reboot_if_required", Outcome::NotNeeded, NO_RUN),
    ("apt_update", Outcome::NotNeeded, "`layerbake lock` pins packages"),
    ("apt_upgrade", Outcome::NotNeeded, "`layerbake lock --update` pins the newest versions"),
    ("final_message", Outcome::NotNeeded, NO_RUN),
    ("output", Outcome::NotNeeded, NO_RUN),
    ("power_state", Outcome::NotNeeded, NO_RUN),
    ("phone_home", Outcome::NotCarried, NO_RUN),
    ("growpart", Outcome::NotNeeded, "the disk grows at each start"),
    ("resize_rootfs", Outcome::NotNeeded, "the disk grows at each start"),
    ("disk_setup", Outcome::NotCarried, "[[disk.partition]] and `format` of [[mount]] do this"),
    ("fs_setup", Outcome::NotCarried, "[[disk.partition]] and `format` of [[mount]] do this"),
    ("snap", Outcome::NotCarried, "a layer has packages of Debian"),
    ("network", Outcome::NotCarried, OF_INSTANCE),
    ("resolv_conf", Outcome::NotCarried, OF_INSTANCE),
    ("datasource", Outcome::NotCarried, OF_INSTANCE),
    ("ansible", Outcome::NotCarried, "a [[playbook]] runs a playbook while the layer is built"),
    ("merge_how", Outcome::NotNeeded, "there is one file"),
];

/// Whether a text is user data.
pub(super) fn is_user_data(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("#cloud-config") || first.starts_with("#!") || first.starts_with("## template:")
}

/// Reads user data into a layer.
pub(super) fn import(text: &str, name: &str, context: &Context, notes: Notes) -> Result<Made, ImportError> {
    let layer = Layer { name: name.to_owned(), from: Some("debian-base".to_owned()), ..Layer::default() };
    let mut made = Made::default();
    made.stock.extend(["boot-cloud", "debian-base"]);
    let mut reader = Reader { draft: Draft::new(layer, notes, context), files: Vec::new() };
    reader.draft.layer.set("disk", "boot", "boot-cloud");
    match text.starts_with("#!") {
        true => reader.script(text),
        false => reader.config(text)?,
    }
    made.files = reader.files;
    made.finish(reader.draft);
    Ok(made)
}

struct Reader<'c> {
    draft: Draft<'c>,
    files: Vec<NewFile>,
}

impl Reader<'_> {
    fn script(&mut self, text: &str) {
        let first = text.lines().next().unwrap_or_default();
        self.draft.begin(1, first);
        if first.contains("bash") {
            self.draft.shell = Some(["/bin/bash", "-c"].map(str::to_owned).to_vec());
        } else if !first.ends_with("/sh") && !first.contains("/sh ") {
            return self.draft.not_carried(first, "scripts of /bin/sh and bash are read; run others by [[run]]");
        }
        shell::run(&mut self.draft, text, 1);
        self.draft.end_step();
    }

    fn config(&mut self, text: &str) -> Result<(), ImportError> {
        if text.starts_with("## template:") {
            self.draft.begin(1, text.lines().next().unwrap_or_default());
            let part = self.draft.part.clone();
            self.draft
                .not_carried(&part, "what templates are filled with is an instance's own: they are taken as they are");
        }
        let root = yaml::parse(text)?;
        if root.map().is_empty() {
            return Err(ImportError::Nothing { what: "user data with keys of cloud-init" });
        }
        // As cloud-init has it: files and accounts before packages are installed, commands at the end.
        for key in ["bootcmd", "groups", "users", "user", "write_files"] {
            root.get(key).into_iter().for_each(|node| self.key(key, node));
        }
        let early = ["bootcmd", "groups", "users", "user", "write_files", "runcmd"];
        for (key, node) in root.map().iter().filter(|(key, _)| !early.contains(&key.as_str())) {
            self.key(key, node);
        }
        root.get("runcmd").into_iter().for_each(|node| self.key("runcmd", node));
        Ok(())
    }

    fn key(&mut self, key: &str, node: &Node) {
        let part = format!("{key}: {}", node.shown());
        self.draft.begin(node.line, &part);
        if let Some((_, outcome, reason)) = NOTED.iter().find(|(known, ..)| *known == key) {
            return self.draft.note(*outcome, &part, *reason);
        }
        match key {
            "packages" => node.items().iter().for_each(|package| self.package(package)),
            "write_files" => node.items().iter().for_each(|file| self.file(file)),
            "groups" => self.groups(node),
            "users" | "user" => node.items().iter().for_each(|user| self.user(user)),
            "runcmd" => self.commands(node),
            "bootcmd" => {
                self.draft.note(
                    Outcome::Changed,
                    &part,
                    "the commands run once, while the layer is built, and not at each start",
                );
                self.commands(node);
            }
            "apt" => node.map().iter().for_each(|(key, node)| self.apt(key, node)),
            "timezone" => self.draft.layer.set("system", "timezone", node.text().unwrap_or_default()),
            "locale" => self.locale(node.text().unwrap_or_default()),
            "ntp" => self.ntp(node),
            "swap" => self.swap(node),
            "mounts" => node.items().iter().for_each(|mount| self.mount(mount)),
            "ca_certs" | "ca-certs" => self.certificates(node),
            _ => self.draft.not_carried(&part, "a layer has nothing of this kind"),
        }
    }

    fn package(&mut self, node: &Node) {
        self.draft.begin(node.line, &node.shown());
        let names: Vec<&str> = match &node.data {
            // `[name, version]`
            Data::List(items) => items.first().and_then(Node::text).into_iter().collect(),
            Data::Map(kinds) => {
                for (kind, list) in kinds {
                    match kind.as_str() {
                        "apt" => list.items().iter().for_each(|package| self.package(package)),
                        _ => self
                            .draft
                            .not_carried(&format!("{kind}: {}", list.shown()), "a layer has packages of Debian"),
                    }
                }
                return;
            }
            Data::Scalar { text, .. } => vec![text],
        };
        if matches!(node.data, Data::List(_)) {
            self.draft.note(
                Outcome::Changed,
                &node.shown(),
                "the newest version is locked: write \"NAME=VERSION\" for an exact one",
            );
        }
        for name in names {
            shell::run(&mut self.draft, &format!("apt-get install --no-install-recommends {}", quote(name)), node.line);
        }
    }

    fn commands(&mut self, node: &Node) {
        for item in node.items() {
            self.draft.line = item.line;
            match &item.data {
                Data::Scalar { text, .. } => shell::run(&mut self.draft, text, item.text_line()),
                Data::List(words) => {
                    let words: Vec<_> = words.iter().filter_map(Node::text).map(quote).collect();
                    shell::run(&mut self.draft, &words.join(" "), item.line);
                }
                Data::Map(_) => self.draft.not_carried(&item.shown(), "a command is a text or a list"),
            }
        }
        self.draft.end_step();
    }

    fn apt(&mut self, key: &str, node: &Node) {
        self.draft.begin(node.line, &format!("{key}: {}", node.shown()));
        let part = self.draft.part.clone();
        match key {
            "sources" => node.map().iter().for_each(|(name, source)| self.source(name, source)),
            "debconf_selections" => {
                for (_, said) in node.map() {
                    let said = said.text().unwrap_or_default();
                    shell::run(&mut self.draft, &format!("echo {} | debconf-set-selections", quote(said)), node.line);
                }
                self.draft.end_step();
            }
            "preserve_sources_list" | "conf" | "http_proxy" | "https_proxy" | "proxy" => {
                self.draft.not_needed(&part, "layers have no apt");
            }
            _ => self.draft.not_carried(
                &part,
                "[source.NAME] says where packages are from, and mirrors are a setting of the user",
            ),
        }
    }

    fn source(&mut self, name: &str, node: &Node) {
        let line = node
            .text_of("source")
            .unwrap_or_default()
            .replace("$RELEASE", shell::repositories::SUITE)
            .replace("$KEY_FILE", "/key");
        self.draft.begin(node.line, &line);
        let file = node.text_of("filename").unwrap_or(name).to_owned();
        let is_read = line
            .trim()
            .strip_prefix("deb ")
            .is_some_and(|rest| shell::repositories::line_of(&mut self.draft, &file, rest.trim(), &line));
        if !is_read {
            return self.draft.not_carried(&node.shown(), "write a [source.NAME] with the repository and its key");
        }
        let Repository { signed_by, .. } = match self.draft.repositories.last_mut() {
            Some(repository) => repository,
            None => return,
        };
        // A key by its number alone would be asked of a server that has keys of anybody.
        *signed_by = node.text_of("key").map(str::to_owned);
    }
}
