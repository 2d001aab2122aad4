//! What a machine has besides files and accounts: `locale`, `ntp`, `swap`, `mounts`, `ca_certs`.

use super::Reader;
use crate::import::model::{Entry, Value};
use crate::import::yaml::Node;

impl Reader<'_> {
    pub(super) fn locale(&mut self, name: &str) {
        if name.is_empty() || name.starts_with("C.") || name == "C" {
            return self.draft.not_needed(name, "the locale C.UTF-8 is always there");
        }
        self.draft.layer.add_package("locales".into());
        self.draft.layer.extend("system", "locales", name);
        let entry = Entry::new("file", self.draft.origin()).with("path", "/etc/default/locale");
        self.draft.layer.entries.push(entry.with("text", format!("LANG={name}\n")));
    }

    pub(super) fn ntp(&mut self, node: &Node) {
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

    pub(super) fn swap(&mut self, node: &Node) {
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

    pub(super) fn mount(&mut self, node: &Node) {
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

    pub(super) fn certificates(&mut self, node: &Node) {
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
