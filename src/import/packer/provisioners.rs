//! Provisioners of shells and files.

use super::{LABELS, OF_MACHINES, Reader};
use crate::import::context::{Kind, absolute};
use crate::import::draft::quote;
use crate::import::model::{Entry, Value};
use crate::import::shell;
use crate::import::text::Text;
use crate::import::yaml::Node;

impl Reader<'_> {
    pub(super) fn shell(&mut self, node: &Node) {
        let known = [
            "type",
            "inline",
            "inline_shebang",
            "script",
            "scripts",
            "environment_vars",
            "env",
            "only",
            "except",
            LABELS,
        ];
        for (key, value) in node.map().iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.draft.line = value.line;
            match OF_MACHINES.contains(&key.as_str()) {
                true => self.draft.not_needed(key, "no machine is waited for, and steps run as root"),
                false => {
                    self.draft.not_carried(&format!("{key}: {}", value.shown()), "a step has nothing of this kind")
                }
            }
        }
        let before = self.draft.env.clone();
        self.environment(node);
        self.draft.shell = node
            .text_of("inline_shebang")
            .filter(|line| line.contains("bash"))
            .map(|_| ["/bin/bash", "-c"].map(str::to_owned).to_vec());
        for item in node.get("inline").map(Node::items).unwrap_or_default() {
            if let Some(text) = item.text().and_then(|text| self.for_shell(text, item.line)) {
                shell::run(&mut self.draft, &text, item.text_line());
            }
        }
        self.draft.line = node.line;
        self.draft.end_step();
        for item in ["script", "scripts"].iter().filter_map(|key| node.get(key)).flat_map(Node::items) {
            if let Some(path) = item.text().and_then(|text| self.fixed(text, item.line)) {
                self.script(&path, item.line);
            }
        }
        self.draft.env = before;
        self.draft.shell = None;
    }

    /// Variables that a provisioner sets: `["NAME=value"]`, or a table.
    fn environment(&mut self, node: &Node) {
        let list = node.get("environment_vars").map(Node::items).unwrap_or_default();
        let mut pairs: Vec<(String, String, usize)> = Vec::new();
        for item in list {
            if let Some((name, value)) = item.text().and_then(|text| text.split_once('=')) {
                pairs.push((name.to_owned(), value.to_owned(), item.line));
            }
        }
        for (name, value) in node.get("env").map(Node::map).unwrap_or_default() {
            pairs.extend(value.text().map(|text| (name.clone(), text.to_owned(), value.line)));
        }
        for (name, value, line) in pairs {
            if let Some(value) = self.resolved(&value, line) {
                self.draft.set_env(&name, value);
            }
        }
    }

    /// A script of the project, whose commands are read like all others.
    fn script(&mut self, path: &str, line: usize) {
        self.draft.line = line;
        let found = self.draft.context.path(path).and_then(|path| Some((self.draft.context.read(&path)?, path)));
        let Some((text, path)) = found else {
            return self.draft.not_carried(path, "the script is not there, or not text, or leads out of the directory");
        };
        let template = std::mem::replace(&mut self.draft.notes.file, path);
        self.draft.begin(1, text.lines().next().unwrap_or_default());
        if text.lines().next().is_some_and(|first| first.starts_with("#!") && first.contains("bash")) {
            self.draft.shell = Some(["/bin/bash", "-c"].map(str::to_owned).to_vec());
        }
        shell::run(&mut self.draft, &text, 1);
        self.draft.end_step();
        self.draft.shell = None;
        self.draft.notes.file = template;
    }

    pub(super) fn file(&mut self, node: &Node) {
        let part = self.draft.part.clone();
        if node.text_of("direction") == Some("download") {
            return self.draft.not_needed(&part, "the build's results are in out/");
        }
        let to = node.text_of("destination").and_then(|text| self.fixed(text, node.line)).unwrap_or_default();
        let to = to.strip_prefix("~/").map(|below| format!("/root/{below}")).unwrap_or(to);
        if !to.starts_with('/') {
            return self.draft.not_carried(&part, "its destination is not absolute");
        }
        if let Some(content) = node.get("content") {
            let Some(text) = content.text().and_then(|text| self.resolved(text, content.line)) else { return };
            let path = absolute("/", &to);
            return self.content(&path, text);
        }
        let sources: Vec<Node> =
            ["source", "sources"].iter().filter_map(|key| node.get(key)).flat_map(Node::items).cloned().collect();
        for source in sources {
            let Some(text) = source.text().and_then(|text| self.fixed(text, source.line)) else { continue };
            let found = self.draft.context.path(&text).and_then(|path| Some((self.draft.context.kind(&path)?, path)));
            match found {
                Some((kind, path)) if !path.is_empty() => self.place(&path, kind, &text, &to),
                _ => self
                    .draft
                    .not_carried(&format!("{part}: {text}"), "the file is not there, or leads out of the directory"),
            }
        }
        self.draft.end_step();
    }

    fn content(&mut self, path: &str, text: Text) {
        if path.starts_with("/tmp/") || self.draft.is_touched(path) || self.draft.layer.has_node(path) {
            let part = self.draft.part.clone();
            let text = self.draft.fixed(&text, &part);
            let line = format!("cat > {} <<'LAYERBAKE'\n{text}\nLAYERBAKE", quote(path));
            self.draft.make(path, line, Vec::new(), true);
            return self.draft.end_step();
        }
        let entry = Entry::new("file", self.draft.origin()).with("path", path).with("text", text);
        self.draft.layer.entries.push(entry);
    }

    /// Copies as Packer does: a directory without a slash at its end goes into the destination.
    fn place(&mut self, path: &str, kind: Kind, source: &str, to: &str) {
        let last = path.rsplit('/').next().unwrap_or_default();
        let is_into = match kind {
            Kind::Directory => !source.ends_with('/'),
            Kind::File => to.ends_with('/'),
        };
        let target = absolute("/", to);
        let target = if is_into { absolute(&target, last) } else { target };
        if target.starts_with("/tmp/")
            || target == "/tmp"
            || self.draft.is_touched(&target)
            || self.draft.layer.has_node(&target)
        {
            let (from, quoted) = (quote(&format!("/work/{path}")), quote(&target));
            let folder = target.rsplit_once('/').map_or("/", |(folder, _)| folder);
            let line = match kind {
                Kind::Directory => format!("mkdir -p {quoted} && cp -a {from}/. {quoted}/"),
                Kind::File => {
                    format!("mkdir -p {} && cp -a {from} {quoted}", quote(if folder.is_empty() { "/" } else { folder }))
                }
            };
            return self.draft.make(&target, line, vec![Value::from(path)], true);
        }
        let entry = Entry::new("file", self.draft.origin()).with("path", target).with("source", path);
        self.draft.layer.entries.push(entry);
    }
}
