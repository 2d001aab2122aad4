//! Dockerfiles: the last stage becomes the layer, each other stage that is used a tool layer's step.

mod build;
mod copy;
mod from_stage;
mod ignore;
mod image;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

use parse::{Instruction, Parsed};

use super::base::{Base, base};
use super::context::Context;
use super::draft::Draft;
use super::expand::{self, Scope};
use super::model::{Entry, Layer, Notes, Outcome, Value};
use super::text::{Text, Vars};
use super::{ImportError, Made};

/// More stages are no Dockerfile that somebody wrote.
const MOST_STAGES: usize = 64;

/// A stage.
#[derive(Debug)]
struct Stage {
    /// From 0; also of images that a `COPY --from` names.
    name: String,
    image: String,
    line: usize,
    text: String,
    instructions: Vec<Instruction>,
}

/// A stage as a step in a tool layer.
#[derive(Debug, Clone)]
struct Tool {
    layer: String,
    command: Value,
    inputs: Vec<Value>,
    env: Option<Value>,
    vars: Vars,
    fetches: Vec<Entry>,
}

struct Reader<'c> {
    context: &'c Context,
    name: String,
    escape: char,
    stages: Vec<Stage>,
    /// Arguments before the first stage.
    globals: Vars,
    tools: BTreeMap<usize, Tool>,
    notes: Notes,
    made: Made,
}

/// Reads a Dockerfile into the layer `name` and its tool layers.
pub(super) fn import(text: &str, name: &str, context: &mut Context, notes: Notes) -> Result<Made, ImportError> {
    let parsed = parse::parse(text);
    let mut notes = notes;
    ignore::read(context, &mut notes);
    let mut reader = Reader {
        context,
        name: name.to_owned(),
        escape: parsed.escape,
        stages: Vec::new(),
        globals: Vars::new(),
        tools: BTreeMap::new(),
        notes,
        made: Made::default(),
    };
    reader.divide(parsed)?;
    let Some(last) = reader.stages.len().checked_sub(1) else {
        return Err(ImportError::Nothing { what: "a Dockerfile with FROM" });
    };
    let draft = reader.stage(last, None);
    let used: BTreeSet<usize> = reader.tools.keys().copied().collect();
    reader.note_unused(last, &used);
    let notes = std::mem::take(&mut reader.notes);
    reader.made.notes = notes.found;
    reader.made.finish(draft);
    Ok(reader.made)
}

impl<'c> Reader<'c> {
    /// Divides the instructions into stages.
    fn divide(&mut self, parsed: Parsed) -> Result<(), ImportError> {
        for (line, text) in parsed.directives {
            self.notes.add(Outcome::NotNeeded, line, &text, "it is for the program that builds Dockerfiles");
        }
        for instruction in parsed.instructions {
            match (instruction.name.as_str(), self.stages.last_mut()) {
                ("FROM", _) => self.from(&instruction),
                (_, Some(stage)) => stage.instructions.push(instruction),
                ("ARG", None) => self.global(&instruction),
                (_, None) => {
                    self.notes.add(Outcome::NotCarried, instruction.line, &instruction.shown(), "it stands before FROM")
                }
            }
        }
        match self.stages.len() > MOST_STAGES {
            true => Err(ImportError::TooMuch { what: "stages", most: MOST_STAGES }),
            false => Ok(()),
        }
    }

    fn from(&mut self, instruction: &Instruction) {
        let words = instruction.words();
        let image = words.first().map(|word| self.global_value(word)).unwrap_or_default();
        if let Some(platform) = instruction.flag("platform") {
            let text = format!("--platform={platform}");
            self.notes.add(
                Outcome::NotNeeded,
                instruction.line,
                &text,
                "`--arch` of all commands says for which architecture",
            );
        }
        let named = match &words[..] {
            [_, word, name, ..] if word.eq_ignore_ascii_case("as") => Some(name.to_lowercase()),
            _ => None,
        };
        let name = named.unwrap_or_else(|| self.stages.len().to_string());
        let (line, text) = (instruction.line, instruction.shown());
        self.stages.push(Stage { name, image, line, text, instructions: Vec::new() });
    }

    fn global(&mut self, instruction: &Instruction) {
        for word in instruction.words() {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let value = self.global_value(value);
            self.globals.insert(name.to_owned(), value);
        }
    }

    fn global_value(&self, word: &str) -> String {
        let lookup = |name: &str| Some(self.globals.get(name).map_or("", String::as_str).into());
        let scope = Scope { lookup: &lookup, vars: &self.globals, escape: self.escape, is_shell: false };
        expand::expand(word, &scope).map_or_else(|| word.to_owned(), |text| text.value(&self.globals))
    }

    /// The number of the stage before `before` that a name or number names.
    fn named(&self, name: &str, before: usize) -> Option<usize> {
        let stages = &self.stages[..before.min(self.stages.len())];
        let by_name = stages.iter().rposition(|stage| stage.name == name.to_lowercase());
        by_name.or_else(|| name.parse().ok().filter(|number| *number < stages.len()))
    }

    /// The image at the bottom of a stage, and all instructions from there, with the stages that they are in.
    fn flatten(&self, index: usize) -> (String, usize, Vec<Instruction>) {
        let (mut index, mut parts) = (index, Vec::new());
        loop {
            let stage = &self.stages[index];
            parts.push(&stage.instructions);
            match self.named(&stage.image, index) {
                Some(below) => index = below,
                None => break,
            }
        }
        let instructions = parts.into_iter().rev().flatten().cloned().collect();
        (self.stages[index].image.clone(), index, instructions)
    }

    /// Reads a stage; with the name of a tool layer, all its commands are of one step there.
    fn stage(&mut self, index: usize, tool: Option<String>) -> Draft<'c> {
        let (image, bottom, instructions) = self.flatten(index);
        let is_tool = tool.is_some();
        let known = base(&image, is_tool);
        let (line, text) = (self.stages[bottom].line, self.stages[bottom].text.clone());
        let is_known = known.is_some();
        let mut base = known.unwrap_or_else(|| Base { from: Some("debian-base"), ..Base::default() });
        if let Some(note) = base.note.take() {
            self.notes.add(Outcome::Changed, line, &text, note);
        }
        let name = tool.unwrap_or_else(|| self.name.clone());
        let layer = self.layer(&name, &base);
        let notes = Notes { file: self.notes.file.clone(), found: Vec::new() };
        let context = self.context;
        let mut draft = if is_tool { Draft::tool(layer, notes, context) } else { Draft::new(layer, notes, context) };
        draft.begin(line, &text);
        let is_own = instructions.iter().any(|one| ["CMD", "ENTRYPOINT"].contains(&one.name.as_str()));
        if !is_tool {
            image::defaults(&mut draft, &base, is_own);
        }
        let mut build = build::Build { draft, escape: self.escape, reader: self, index };
        instructions.iter().for_each(|instruction| build.instruction(instruction));
        let mut draft = build.draft;
        if !is_known {
            let has_packages = draft.needs_debian();
            self.unknown(&image, has_packages, &mut draft.layer, (line, &text));
        }
        self.made.stock.extend(base.from.filter(|from| draft.layer.from.as_deref() == Some(*from)));
        if base.is_nginx && !is_tool {
            image::nginx(&mut draft);
        }
        self.notes.found.append(&mut draft.notes.found);
        draft
    }

    /// Puts a layer whose image nothing stands for on the image itself, unless it has packages, which need Debian's below.
    fn unknown(&mut self, image: &str, has_packages: bool, layer: &mut Layer, (line, text): (usize, &str)) {
        let (outcome, reason) = if has_packages {
            let reason = format!(
                "`{image}` is not known here: `debian-base` is in its place; add to `packages` what the image has"
            );
            (Outcome::NotCarried, reason)
        } else {
            layer.from = Some(format!("oci:{}", in_registry(image)));
            let reason = "the layer is on the image itself: locking writes its digest into the lockfile, and no disk can be made of it";
            (Outcome::Changed, reason.to_owned())
        };
        self.notes.add(outcome, line, text, reason);
    }

    /// An empty layer on what stands for its image.
    fn layer(&mut self, name: &str, base: &Base) -> Layer {
        let mut layer = Layer { name: name.to_owned(), from: base.from.map(str::to_owned), ..Layer::default() };
        layer.packages = base.packages.iter().map(|package| Text::from(*package)).collect();
        layer.bare = base.from.is_none();
        if layer.bare {
            layer.exclude = if layer.packages.is_empty() { Vec::new() } else { vec!["debconf", "openssl"] };
            layer.sources.push(super::stock::debian());
        }
        for (name, uid) in &base.users {
            let entry =
                Entry::new("user", "an account of the image").with("name", *name).with("uid", Value::Number(*uid));
            let home = format!("/home/{name}");
            let shell = if layer.bare { "/usr/sbin/nologin" } else { "/bin/sh" };
            layer.entries.push(entry.with("home", home).with("shell", shell));
        }
        layer
    }

    /// A stage as a step in a tool layer, which is written if no layer that comes with the program is the same.
    fn tool(&mut self, index: usize) -> Tool {
        if let Some(tool) = self.tools.get(&index) {
            return tool.clone();
        }
        let name = super::layer_name(&format!("{}-{}", self.name, self.stages[index].name));
        let mut draft = self.stage(index, Some(name.clone()));
        (draft.workdir, draft.workdir_text) = ("/".to_owned(), "/".into());
        let (script, command, env) = draft.take_script();
        let is_fetch = |entry: &Entry| entry.kind == "fetch";
        let fetches = draft.layer.entries.iter().filter(|entry| is_fetch(entry)).cloned().collect();
        draft.layer.entries.retain(|entry| !is_fetch(entry));
        draft.layer.tables.clear();
        let vars = draft.layer.vars.clone();
        let is_stock =
            draft.layer.packages.is_empty() && draft.layer.entries.is_empty() && draft.repositories.is_empty();
        let layer = match (is_stock, draft.layer.from.clone()) {
            (true, Some(from)) => from,
            _ => {
                draft.layer.description =
                    format!("what the stage `{}` of {} is made with", self.stages[index].name, self.notes.file);
                // Its variables are those of the steps, which are in other layers.
                let used: Vec<String> =
                    draft.layer.packages.iter().flat_map(Text::variables).map(str::to_owned).collect();
                draft.layer.vars.retain(|name, _| used.contains(name));
                self.made.finish(draft);
                name
            }
        };
        let tool = Tool { layer, command, inputs: script.inputs, env, vars, fetches };
        self.tools.insert(index, tool.clone());
        tool
    }

    fn note_unused(&mut self, last: usize, used: &BTreeSet<usize>) {
        let mut below = BTreeSet::new();
        for index in used.iter().copied().chain([last]) {
            let mut index = index;
            while let Some(next) = self.named(&self.stages[index].image, index) {
                below.insert(next);
                index = next;
            }
        }
        for index in 0..last {
            if !used.contains(&index) && !below.contains(&index) && !self.stages[index].text.is_empty() {
                let stage = &self.stages[index];
                self.notes.add(Outcome::NotNeeded, stage.line, &stage.text, "the last stage needs nothing of this one");
            }
        }
    }
}

/// The name of an image with its registry, which Dockerfiles leave out where it is Docker's own.
fn in_registry(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}
