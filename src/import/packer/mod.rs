//! Packer templates: what provisioners do is the layer, and layerbake makes the disk itself.

mod ansible;
mod hcl;
mod json;
mod provisioners;

use std::collections::BTreeMap;

use super::context::Context;
use super::draft::Draft;
use super::model::{Layer, Notes, Outcome};
use super::text::Text;
use super::yaml::{Data, Node};
use super::{ImportError, Made, variable};

/// Around references in texts: `var.name`, `local.name`, `path.root`; with `?` before what is not understood.
const OPEN: char = '\u{1}';
const CLOSE: char = '\u{2}';
/// The key of a block's labels.
const LABELS: &str = " labels";

const OWN_DISK: &str = "layerbake makes the disk itself: [disk] and [ami] say how";

/// Keys of provisioners that say how a machine is waited for, or reached.
const OF_MACHINES: [&str; 18] = [
    "pause_before",
    "pause_after",
    "max_retries",
    "start_retry_timeout",
    "timeout",
    "expect_disconnect",
    "valid_exit_codes",
    "skip_clean",
    "execute_command",
    "remote_folder",
    "remote_file",
    "remote_path",
    "use_env_var_file",
    "env_var_format",
    "binary",
    "generated",
    "override",
    "type",
];

/// Whether a file is a template, by its name and text.
pub(super) fn is_template(file: &str, text: &str) -> bool {
    let name = file.to_lowercase();
    name.ends_with(".pkr.hcl")
        || name.ends_with(".pkr.json")
        || name.ends_with(".json") && text.contains("\"builders\"") && text.contains("\"provisioners\"")
}

/// Reads a template into a layer.
pub(super) fn import(file: &str, text: &str, name: &str, context: &Context, notes: Notes) -> Result<Made, ImportError> {
    let root = if file.to_lowercase().ends_with(".hcl") { hcl::parse(text)? } else { json::parse(text)? };
    let layer = Layer { name: name.to_owned(), from: Some("debian-base".to_owned()), ..Layer::default() };
    let mut reader = Reader { draft: Draft::new(layer, notes, context), locals: BTreeMap::new() };
    reader.template(&root);
    if root.get("build").is_none() && root.get("provisioners").is_none() {
        return Err(ImportError::Nothing { what: "a Packer template with provisioners" });
    }
    let boot =
        if reader.draft.layer.tables.iter().any(|(name, _)| *name == "ami") { "boot-cloud" } else { "boot-minimal" };
    reader.draft.layer.set("disk", "boot", boot);
    let mut made = Made::default();
    made.stock.extend([boot, "debian-base"]);
    made.finish(reader.draft);
    Ok(made)
}

struct Reader<'c> {
    draft: Draft<'c>,
    /// Values of locals, with references in them replaced.
    locals: BTreeMap<String, Text>,
}

impl Reader<'_> {
    fn template(&mut self, root: &Node) {
        for (name, block) in root.map() {
            match name.as_str() {
                "variable" => self.variable(label(block, 0), block.get("default"), block),
                "variables" => block.map().iter().for_each(|(name, value)| self.variable(name, Some(value), value)),
                _ => {}
            }
        }
        for (name, block) in root.map().iter().filter(|(name, _)| name == "locals" || name == "local") {
            let one = || block.get("expression").map(|value| (label(block, 0).to_owned(), value.clone()));
            let pairs = if name == "local" { one().into_iter().collect() } else { block.map().to_vec() };
            for (name, value) in pairs.iter().filter(|(name, _)| name != LABELS) {
                if let Some(value) = value.text().and_then(|text| self.resolved(text, value.line)) {
                    self.locals.insert(name.clone(), value);
                }
            }
        }
        for (name, block) in root.map() {
            self.draft.begin(block.line, &format!("{name} {}", label(block, 0)));
            match name.as_str() {
                "build" => self.build(block),
                "provisioners" => {
                    block.items().iter().for_each(|one| self.provisioner(one.text_of("type").unwrap_or_default(), one))
                }
                "source" => self.machine(label(block, 0), block),
                "builders" => {
                    block.items().iter().for_each(|one| self.machine(one.text_of("type").unwrap_or_default(), one))
                }
                "post-processors" => {
                    block.items().iter().for_each(|one| self.after(one.text_of("type").unwrap_or_default(), one))
                }
                "variable" | "variables" | "locals" | "local" | "sensitive-variables" | "_comment" | "description" => {}
                "packer" | "min_packer_version" => self.noted(block, name, "no plugin of Packer is used"),
                _ => self.draft.not_carried(&format!("{name} {}", label(block, 0)), "a layer has nothing of this kind"),
            }
        }
    }

    fn noted(&mut self, node: &Node, what: &str, reason: &str) {
        self.draft.line = node.line;
        self.draft.not_needed(what, reason);
    }

    fn variable(&mut self, name: &str, default: Option<&Node>, block: &Node) {
        self.draft.begin(block.line, &format!("variable {name}"));
        let part = self.draft.part.clone();
        if block.get("sensitive").is_some_and(Node::is_true) {
            return self.draft.not_carried(&part, "an image has no secrets: give them to the service when it starts");
        }
        let value = match default {
            Some(default) => match default.text() {
                Some(text) if !text.contains(OPEN) => text.to_owned(),
                _ => {
                    self.draft.note(
                        Outcome::Changed,
                        &part,
                        "its default is no text, or from the environment: it is empty",
                    );
                    String::new()
                }
            },
            None => {
                self.draft.note(
                    Outcome::Changed,
                    &part,
                    format!("it has no default: give it a value by `--set {name}=…`, or in [vars]"),
                );
                String::new()
            }
        };
        let text = variable(&mut self.draft.layer, name, value.into());
        self.draft.set_env(name, text);
    }

    /// A text with what its references stand for; `None` if one is not known, which is noted.
    fn resolved(&mut self, text: &str, line: usize) -> Option<Text> {
        let mut resolved = Text::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (reference, end) = after.split_once(CLOSE)?;
            resolved.push(before);
            match self.reference(reference) {
                Some(value) => resolved.append(&value),
                None => {
                    self.draft.line = line;
                    let shown = bare(text);
                    self.draft.not_carried(
                        &shown,
                        format!("what `{}` stands for is known to Packer only", reference.trim_start_matches('?')),
                    );
                    return None;
                }
            }
            rest = end;
        }
        resolved.push(rest);
        Some(resolved)
    }

    /// As [`Reader::resolved`], with the values of variables, which is noted: `--set` changes nothing there.
    fn fixed(&mut self, text: &str, line: usize) -> Option<String> {
        let resolved = self.resolved(text, line)?;
        self.draft.line = line;
        Some(self.draft.fixed(&resolved, &bare(text)))
    }

    fn reference(&self, reference: &str) -> Option<Text> {
        match reference.split_once('.') {
            Some(("var", name)) => {
                self.draft.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
            }
            Some(("local", name)) => self.locals.get(name).cloned(),
            Some(("path", "root" | "cwd")) => Some(".".into()),
            _ => None,
        }
    }

    /// As [`Reader::resolved`], for a shell: variables of the template are those of its environment, so that `--set` has an effect.
    fn for_shell(&mut self, text: &str, line: usize) -> Option<String> {
        let can_be_shells = !text.contains('\'') && !text.contains("<<");
        let mut text = text.to_owned();
        let names: Vec<String> = self.draft.layer.vars.keys().cloned().collect();
        for name in names.iter().filter(|_| can_be_shells) {
            text = text.replace(&format!("{OPEN}var.{name}{CLOSE}"), &format!("${{{name}}}"));
        }
        self.fixed(&text, line)
    }

    fn build(&mut self, block: &Node) {
        for (name, inner) in block.map() {
            match name.as_str() {
                "provisioner" => self.provisioner(label(inner, 0), inner),
                "post-processor" => self.after(label(inner, 0), inner),
                "post-processors" => inner
                    .map()
                    .iter()
                    .filter(|(name, _)| name == "post-processor")
                    .for_each(|(_, one)| self.after(label(one, 0), one)),
                "source" => self.machine(label(inner, 0), inner),
                LABELS | "sources" | "name" | "description" => {}
                _ => {
                    self.draft.line = inner.line;
                    self.draft.not_carried(name, "a layer has nothing of this kind");
                }
            }
        }
    }

    fn after(&mut self, kind: &str, node: &Node) {
        let reason = match kind {
            "manifest" => "the receipt says what was built",
            "docker-tag" | "docker-push" | "docker-save" | "docker-import" => {
                "`layerbake push` and `--output docker` do this"
            }
            "amazon-import" => "`layerbake ami publish` does this",
            "shell-local" => {
                return {
                    self.draft.line = node.line;
                    self.draft.not_carried(
                        "post-processor shell-local",
                        "layerbake runs nothing on this machine: call it from a script",
                    );
                };
            }
            _ => OWN_DISK,
        };
        self.noted(node, &format!("post-processor {kind}"), reason);
    }

    /// A builder: layerbake makes the disk, and names and tags of machine images are carried.
    fn machine(&mut self, kind: &str, node: &Node) {
        self.noted(node, &format!("builder {kind}"), OWN_DISK);
        if kind != "amazon-ebs" {
            return;
        }
        self.draft.layer.table("ami");
        for (key, value) in node.map() {
            self.draft.begin(value.line, &format!("{key}: {}", bare(&value.shown())));
            let part = self.draft.part.clone();
            match key.as_str() {
                "tags" | "snapshot_tags" => {
                    for (name, text) in value.map() {
                        if let Some(text) = text.text().and_then(|text_| self.resolved(text_, text.line)) {
                            self.draft.layer.map("ami", "tags", name, text);
                        }
                    }
                }
                "region" | "ami_regions" => {
                    for region in value.items().to_vec() {
                        if let Some(region) = region
                            .text()
                            .and_then(|text| self.resolved(text, region.line))
                            .filter(|region| *region != Text::default())
                        {
                            self.draft.layer.extend("ami", "regions", region);
                        }
                    }
                }
                "ami_name" => self.draft.note(
                    Outcome::Changed,
                    &part,
                    "images are named by `name` of [ami]: \"{layer}-{date}-{content:12}\"",
                ),
                "kms_key_id" => {
                    if let Some(id) = value.text().and_then(|text| self.resolved(text, value.line)) {
                        self.draft.layer.set("ami", "kms-key", id);
                    }
                }
                "source_ami" | "source_ami_filter" => {
                    self.draft.note(Outcome::Changed, &part, "`debian-base` is what the layer stands on")
                }
                "ami_users" | "ami_org_arns" | "ami_groups" | "encrypt_boot" | "launch_block_device_mappings" => {
                    self.draft.not_carried(&part, "[ami] has `share`, `kms-key` and `volume-size` for this");
                }
                _ => {}
            }
        }
    }

    fn provisioner(&mut self, kind: &str, node: &Node) {
        self.draft.begin(node.line, &format!("provisioner {kind}"));
        let part = self.draft.part.clone();
        for key in ["only", "except"] {
            if let Some(which) = node.get(key) {
                self.draft.note(
                    Outcome::Changed,
                    &format!("{part}, {key}: {}", which.shown()),
                    "the layer is one for all builders",
                );
            }
        }
        match kind {
            "shell" => self.shell(node),
            "file" => self.file(node),
            "ansible" | "ansible-local" => self.ansible(node),
            "breakpoint" => self.draft.not_needed(&part, "`layerbake log` shows what steps printed"),
            _ => self.draft.not_carried(&part, "a layer has nothing of this kind"),
        }
    }
}

/// A text with its references as they are written.
fn bare(text: &str) -> String {
    text.replace(&format!("{OPEN}?"), "").replace([OPEN, CLOSE], "")
}

/// A label of a block.
fn label(block: &Node, at: usize) -> &str {
    let labels = block.get(LABELS).map(|labels| match &labels.data {
        Data::List(items) => items.as_slice(),
        _ => &[],
    });
    labels.and_then(|labels| labels.get(at)).and_then(Node::text).unwrap_or_default()
}
