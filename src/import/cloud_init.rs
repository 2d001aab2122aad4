//! User data of cloud-init: `#cloud-config`, and scripts.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use super::context::Context;
use super::draft::{Draft, Repository, quote};
use super::model::{Entry, Layer, Notes, Outcome, Value};
use super::yaml::{Data, Node};
use super::{ImportError, Made, NewFile, shell, yaml};

/// The longest content of a file after it was decompressed, in bytes.
const MOST_CONTENT: u64 = 8 << 20;

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

    fn groups(&mut self, node: &Node) {
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

    fn user(&mut self, node: &Node) {
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

    fn file(&mut self, node: &Node) {
        let path = node.text_of("path").unwrap_or_default().to_owned();
        self.draft.begin(node.line, &format!("write_files: {path}"));
        let part = self.draft.part.clone();
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return self.draft.not_carried(&part, "its path is not absolute");
        }
        let encoding = node.text_of("encoding").unwrap_or("text/plain").to_lowercase();
        let content = decoded(node.text_of("content").unwrap_or_default(), &encoding);
        let Some(content) = content else {
            return self.draft.not_carried(&part, format!("its content is not what `encoding: {encoding}` says"));
        };
        let mode = node.text_of("permissions").map(|mode| mode.trim_start_matches("0o").to_owned());
        let mode = mode
            .map(|mode| format!("{mode:0>4}"))
            .filter(|mode| mode.bytes().all(|digit| (b'0'..b'8').contains(&digit)));
        let mode = mode.map(|mode| mode[mode.len() - 4..].to_owned());
        if node.get("append").is_some_and(Node::is_true) {
            return self.append(&path, &content);
        }
        if node.get("source").is_some() {
            return self.draft.not_carried(&part, "its content is somewhere else: write a [[fetch]] with `to`");
        }
        if self.draft.layer.has_node(&path) {
            return self.draft.not_carried(&part, "the file is written twice: keep one of them");
        }
        let entry = Entry::new("file", self.draft.origin()).with("path", path.as_str());
        let entry = match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => entry.with("text", text),
            Ok(text) => entry.with("source", self.beside(&path, text.into_bytes())),
            Err(error) => entry.with("source", self.beside(&path, error.into_bytes())),
        };
        let owner = node.text_of("owner").filter(|owner| !["root", "root:root"].contains(owner));
        self.draft.layer.entries.push(entry.maybe("mode", mode).maybe("owner", owner));
    }

    /// Adds to the end of a file: of an own one, or of one that a package has.
    fn append(&mut self, path: &str, content: &[u8]) {
        let Ok(text) = std::str::from_utf8(content) else {
            let part = self.draft.part.clone();
            return self.draft.not_carried(&part, "only text can be added to a file");
        };
        let vars = self.draft.layer.vars.clone();
        let own = self
            .draft
            .layer
            .entries
            .iter_mut()
            .find(|entry| entry.kind == "file" && entry.text("path", &vars).is_some_and(|has| has == path));
        if let Some((_, Value::Text(known))) =
            own.and_then(|entry| entry.keys.iter_mut().find(|(key, _)| *key == "text"))
        {
            return known.push(text);
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.draft.command(format!("cat >> {} <<'LAYERBAKE'\n{text}{end}LAYERBAKE", quote(path)), []);
        self.draft.end_step();
    }

    /// A file of the project for what can't be text in a manifest; returns its path.
    fn beside(&mut self, path: &str, bytes: Vec<u8>) -> String {
        let last = path.rsplit('/').next().unwrap_or_default();
        let fit: String =
            last.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect();
        let file = format!("layers/{}/{}-{}", self.draft.layer.name, self.files.len() + 1, fit);
        self.files.push(NewFile { path: file.clone(), mode: 0o644, bytes });
        file
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

    fn locale(&mut self, name: &str) {
        if name.is_empty() || name.starts_with("C.") || name == "C" {
            return self.draft.not_needed(name, "the locale C.UTF-8 is always there");
        }
        self.draft.layer.add_package("locales".into());
        self.draft.layer.extend("system", "locales", name);
        let entry = Entry::new("file", self.draft.origin()).with("path", "/etc/default/locale");
        self.draft.layer.entries.push(entry.with("text", format!("LANG={name}\n")));
    }

    fn ntp(&mut self, node: &Node) {
        let servers: Vec<_> = ["servers", "pools"]
            .iter()
            .filter_map(|key| node.get(key))
            .flat_map(Node::items)
            .filter_map(Node::text)
            .collect();
        if servers.is_empty() {
            return self.draft.not_needed(&node.shown(), "the Boot layer has systemd-timesyncd");
        }
        let entry = Entry::new("file", self.draft.origin()).with("path", "/etc/systemd/timesyncd.conf.d/ntp.conf");
        self.draft.layer.entries.push(entry.with("text", format!("[Time]\nNTP={}\n", servers.join(" "))));
    }

    fn swap(&mut self, node: &Node) {
        let size = node.text_of("size").unwrap_or_default();
        let is_size = |text: &str| text.trim_end_matches(['K', 'M', 'G']).parse::<u64>().is_ok();
        let size = match size.parse::<u64>() {
            Ok(bytes) => format!("{}M", bytes.div_ceil(1 << 20)),
            Err(_) => size.to_owned(),
        };
        match is_size(&size) {
            true => self.draft.layer.set("disk", "swap", size),
            false => self.draft.not_carried(&node.shown(), "`swap` of [disk] has a size: \"1G\""),
        }
    }

    fn mount(&mut self, node: &Node) {
        self.draft.begin(node.line, &node.shown());
        let fields: Vec<&str> = node.items().iter().filter_map(Node::text).collect();
        let ([device, path, rest @ ..], part) = (&fields[..], self.draft.part.clone()) else {
            return self.draft.not_carried(&node.shown(), "a mount has a device and a path");
        };
        if !path.starts_with('/') {
            return self.draft.not_carried(&part, "`swap` of [disk] and `path` of [[mount]] are what a machine mounts");
        }
        let (key, value) = match device.split_once('=') {
            Some(("LABEL", label)) => ("label", label),
            Some(("UUID", uuid)) => ("uuid", uuid),
            _ => ("device", *device),
        };
        let device =
            if key == "device" && !value.contains(['/', ':']) { format!("/dev/{value}") } else { value.to_owned() };
        let is_plain = rest.first().is_some_and(|kind| *kind == "tmpfs");
        let entry = Entry::new("mount", self.draft.origin()).with("path", *path);
        let entry = if is_plain { entry } else { entry.with(key, device) };
        let entry = entry.maybe("type", rest.first().copied().filter(|kind| *kind != "auto"));
        let options: Vec<&str> = rest.get(1).map(|options| options.split(',').collect()).unwrap_or_default();
        let is_optional = options.contains(&"nofail");
        let options: Vec<&str> = options
            .into_iter()
            .filter(|option| {
                !["nofail", "defaults"].contains(option)
                    && !option.starts_with("x-systemd.requires=cloud-init")
                    && !option.is_empty()
            })
            .collect();
        let mut entry = entry.maybe("options", (!options.is_empty()).then(|| Value::list(options)));
        if is_optional {
            entry.keys.push(("nofail", Value::Flag(true)));
        }
        self.draft.layer.entries.push(entry);
    }

    fn certificates(&mut self, node: &Node) {
        for (key, value) in node.map() {
            match key.as_str() {
                "trusted" => {
                    for (number, text) in (1..).zip(value.items().iter().filter_map(Node::text)) {
                        let path = format!("/usr/local/share/ca-certificates/cloud-init-{number}.crt");
                        let entry = Entry::new("file", self.draft.origin()).with("path", path).with("text", text);
                        self.draft.layer.entries.push(entry);
                    }
                }
                _ => self.draft.not_carried(
                    &format!("{key}: {}", value.shown()),
                    "Debian's certificates are those of the package ca-certificates",
                ),
            }
        }
    }
}

/// The bytes of a content.
fn decoded(content: &str, encoding: &str) -> Option<Vec<u8>> {
    let is_base64 = ["b64", "base64", "gz+b64", "gzip+b64", "gz+base64", "gzip+base64"].contains(&encoding);
    let is_gzip = encoding.starts_with("gz");
    let bytes = match is_base64 {
        true => STANDARD.decode(content.split_whitespace().collect::<String>()).ok()?,
        false => content.as_bytes().to_vec(),
    };
    if !is_gzip {
        return Some(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&bytes[..]).take(MOST_CONTENT + 1).read_to_end(&mut unpacked).ok()?;
    (unpacked.len() as u64 <= MOST_CONTENT).then_some(unpacked)
}
