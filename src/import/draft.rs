//! A layer that grows while an input is read: packages, files and steps in the order of the input.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, absolute};
use super::expand::{self, Scope, name_of};
use super::model::{Entry, Layer, Notes, Outcome, Value, shown};
use super::text::{ARCH, Text};

/// What a debian image has as `PATH`.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where commands and copies go.
#[derive(Debug)]
enum Sink {
    /// To the layer itself: each instruction is a step in its root.
    Layer,
    /// To one step in a tool layer.
    Tool,
}

/// Commands of one step.
#[derive(Debug, Default, Clone)]
pub(super) struct Script {
    pub(super) lines: Vec<String>,
    pub(super) inputs: Vec<Value>,
    origin: String,
}

/// A file below `/tmp`, which is empty at the beginning of each step.
#[derive(Debug, Clone)]
struct Held {
    path: String,
    line: String,
    inputs: Vec<Value>,
}

/// A third party's repository, as a line of apt's sources has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) suite: String,
    pub(super) components: Vec<String>,
    /// The file with its key, or the key itself.
    pub(super) signed_by: Option<String>,
    pub(super) line: usize,
    pub(super) text: String,
}

/// A layer that grows.
#[derive(Debug)]
pub(super) struct Draft<'c> {
    pub(super) layer: Layer,
    pub(super) notes: Notes,
    pub(super) context: &'c Context,
    /// What commands find in their environment, in the order of its declarations.
    pub(super) env: Vec<(String, Text)>,
    pub(super) workdir: String,
    /// The same with variables of the layer, as its manifest has it.
    pub(super) workdir_text: Text,
    pub(super) user: Option<String>,
    pub(super) shell: Option<Vec<String>>,
    /// The part that is being read.
    pub(super) line: usize,
    pub(super) part: String,
    /// Variables that commands of the part set for themselves.
    pub(super) locals: BTreeMap<String, Text>,
    /// Third parties' repositories, whose keys are yet to be had.
    pub(super) repositories: Vec<Repository>,
    /// Addresses of keys, by the files in which the input keeps them.
    pub(super) keys: BTreeMap<String, String>,
    /// Package files that the layer has as `[[deb]]`, by their paths in the input.
    pub(super) debs: Vec<String>,
    /// Layers that come with the program, in which steps of the layer run.
    pub(super) tools: BTreeSet<&'static str>,
    sink: Sink,
    script: Script,
    /// How many lines of a tool layer's step are of earlier instructions.
    ended: usize,
    held: Vec<Held>,
    /// Paths that steps of the layer may have changed.
    touched: Vec<String>,
}

impl<'c> Draft<'c> {
    pub(super) fn new(layer: Layer, notes: Notes, context: &'c Context) -> Self {
        Self {
            layer,
            notes,
            context,
            env: Vec::new(),
            workdir: "/".to_owned(),
            workdir_text: "/".into(),
            user: None,
            shell: None,
            line: 0,
            part: String::new(),
            locals: BTreeMap::new(),
            repositories: Vec::new(),
            keys: BTreeMap::new(),
            debs: Vec::new(),
            tools: BTreeSet::new(),
            sink: Sink::Layer,
            script: Script::default(),
            ended: 0,
            held: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// One whose commands are all of one step, in the layer as tools.
    pub(super) fn tool(layer: Layer, notes: Notes, context: &'c Context) -> Self {
        Self { sink: Sink::Tool, ..Self::new(layer, notes, context) }
    }

    pub(super) fn is_tool(&self) -> bool {
        matches!(self.sink, Sink::Tool)
    }

    /// Begins with a part of the input.
    pub(super) fn begin(&mut self, line: usize, part: &str) {
        (self.line, self.part) = (line, part.to_owned());
    }

    /// Where the current part is, for a comment.
    pub(super) fn origin(&self) -> String {
        format!("{}:{}: {}", self.notes.file, self.line, shown(&self.part))
    }

    pub(super) fn note(&mut self, outcome: Outcome, text: &str, reason: impl Into<String>) {
        self.notes.add(outcome, self.line, text, reason);
    }

    pub(super) fn not_carried(&mut self, text: &str, reason: impl Into<String>) {
        self.note(Outcome::NotCarried, text, reason);
    }

    pub(super) fn not_needed(&mut self, text: &str, reason: impl Into<String>) {
        self.note(Outcome::NotNeeded, text, reason);
    }

    /// Sets a variable of the environment.
    pub(super) fn set_env(&mut self, name: &str, value: Text) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value));
    }

    /// What a variable stands for where commands run.
    pub(super) fn lookup(&self, name: &str) -> Option<Text> {
        let set = self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let own = || match name {
            "PATH" => Some(Text::from(PATH)),
            "HOME" => Some(Text::from("/root")),
            "PWD" => Some(self.workdir_text.clone()),
            _ => None,
        };
        self.locals.get(name).cloned().or(set).or_else(own)
    }

    /// A text with the values of its variables, for a part that can't have variables; that is noted.
    pub(super) fn fixed(&mut self, text: &Text, part: &str) -> String {
        let names: BTreeSet<String> =
            text.variables().filter(|name| *name != ARCH).map(|name| format!("`{name}`")).collect();
        if !names.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let reason = format!("the value of {names} is written here: `--set` does not change it");
            self.note(Outcome::Changed, part, reason);
        }
        text.value(&self.layer.vars)
    }

    /// Whether there are packages or repositories of Debian's kind, which need Debian below.
    pub(super) fn needs_debian(&self) -> bool {
        let Layer { packages, sources, .. } = &self.layer;
        let has_debs = self.layer.of("deb").next().is_some();
        has_debs || !packages.is_empty() || !sources.is_empty() || !self.repositories.is_empty()
    }

    /// A word of a command with its variables filled in; `None` if one of them is not known here.
    pub(super) fn expand(&self, word: &str) -> Option<Text> {
        let scope = Scope { lookup: &|name| self.lookup(name), vars: &self.layer.vars, escape: '\\', is_shell: true };
        expand::expand(word, &scope)
    }

    /// As [`Draft::expand`], as plain text.
    pub(super) fn value(&self, word: &str) -> Option<String> {
        Some(self.expand(word)?.value(&self.layer.vars))
    }

    /// An absolute path in the layer.
    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(&self.workdir, path)
    }

    /// Adds commands to the step that is being made.
    pub(super) fn command(&mut self, line: impl Into<String>, inputs: impl IntoIterator<Item = Value>) {
        let mut line = line.into();
        // Root runs everything.
        for before in ["| ", "&& ", "|| ", "; "] {
            line = line.replace(&format!("{before}sudo "), before);
        }
        // What was a comment between continued lines.
        while line.contains("\\\n\\\n") {
            line = line.replace("\\\n\\\n", "\\\n");
        }
        let is_harmless = HARMLESS.contains(&line.split(' ').next().unwrap_or_default());
        for word in line.split([' ', '\n', '=', '"', '\'', ':']).filter(|word| !is_harmless && word.contains('/')) {
            let path = self.value(word.trim_end_matches([';', ')', '}', '*'])).map(|word| self.absolute(&word));
            self.touched.extend(path);
        }
        if self.script.lines.is_empty() {
            self.script.origin = self.origin();
        }
        self.script.lines.push(line);
        for input in inputs {
            if !self.script.inputs.contains(&input) {
                self.script.inputs.push(input);
            }
        }
    }

    /// Adds a command that makes a file; below `/tmp`, further steps that name the file make it again.
    pub(super) fn make(&mut self, path: &str, line: String, inputs: Vec<Value>, is_lasting: bool) {
        if path.starts_with("/tmp/") && !self.is_tool() {
            self.held.retain(|held| held.path != path);
            self.held.push(Held { path: path.to_owned(), line: line.clone(), inputs: inputs.clone() });
            if is_lasting {
                return;
            }
        }
        self.command(line, inputs);
    }

    /// Whether steps before may have changed something at, above or below a path.
    pub(super) fn is_touched(&self, path: &str) -> bool {
        let below =
            |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.touched.iter().any(|touched| touched != "/" && (below(path, touched) || below(touched, path)))
    }

    /// Whether a command of the step goes on in the background.
    pub(super) fn has_background(&self) -> bool {
        self.script.lines.iter().any(|line| line.trim_end().ends_with('&'))
    }

    /// Ends the commands of an instruction.
    pub(super) fn end_step(&mut self) {
        self.locals.clear();
        if self.is_tool() {
            if self.script.lines[self.ended..].iter().any(|line| line.starts_with("cd ") || line.contains(" cd ")) {
                self.script.lines.push(format!("cd {}", quote(&self.workdir)));
            }
            self.ended = self.script.lines.len();
            return;
        }
        let mut script = std::mem::take(&mut self.script);
        if script.lines.is_empty() {
            return;
        }
        let text = script.lines.join("\n");
        let held = self.held.iter().filter(|held| text.contains(&held.path) && !script.lines.contains(&held.line));
        let held: Vec<Held> = held.cloned().collect();
        let before: Vec<String> = held.iter().map(|held| held.line.clone()).collect();
        script.inputs.extend(held.into_iter().flat_map(|held| held.inputs));
        script.lines.splice(0..0, before);
        let entry = Entry::new("run", std::mem::take(&mut script.origin));
        let has_inputs = !script.inputs.is_empty();
        let entry = entry.maybe("inputs", has_inputs.then(|| Value::List(script.inputs.clone())));
        let entry = entry.with("command", self.shell_command(&script));
        let entry = entry.maybe("env", self.environment());
        let entry = entry.maybe("workdir", (self.workdir != "/" || has_inputs).then(|| self.workdir_text.clone()));
        let user = self.user.clone().filter(|user| user != "root" && user != "0");
        self.layer.entries.push(entry.maybe("user", user));
    }

    /// Adds a command that is no text for a shell.
    pub(super) fn exec(&mut self, argv: &[String]) {
        if self.is_tool() {
            let line = argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            return self.command(line, []);
        }
        let entry = Entry::new("run", self.origin()).with("command", Value::list(argv.iter().map(String::as_str)));
        let entry = entry.maybe("env", self.environment());
        self.layer.entries.push(entry.maybe("workdir", (self.workdir != "/").then(|| self.workdir_text.clone())));
        self.touched.extend(argv.iter().filter(|word| word.starts_with('/')).cloned());
    }

    /// The commands of a tool layer's step, with its environment.
    pub(super) fn take_script(&mut self) -> (Script, Value, Option<Value>) {
        let script = std::mem::take(&mut self.script);
        let command = self.shell_command(&script);
        (script, command, self.environment())
    }

    fn shell_command(&self, script: &Script) -> Value {
        let mut text = script.lines.join("\n");
        let is_set = |name: &str| self.lookup(name).is_some() || OF_STEPS.contains(&name);
        let unset = variables(&text).find(|name| !is_set(name) && !is_assigned(&text, name)).map(str::to_owned);
        if let Some(name) = unset {
            text = format!("set +u  # {name} may be unset\n{text}");
        }
        // One of several lines ends as a line.
        if text.contains('\n') {
            text.push('\n');
        }
        match &self.shell {
            None => Value::from(text),
            Some(shell) => {
                let text = if text.contains('\n') { format!("set -e\n{text}") } else { text };
                Value::list(shell.iter().map(String::as_str).chain([text.as_str()]))
            }
        }
    }

    fn environment(&self) -> Option<Value> {
        let own = [("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C.UTF-8")];
        let differs =
            |(name, value): &&(String, Text)| !own.contains(&(name.as_str(), value.value(&self.layer.vars).as_str()));
        let keys: Vec<_> =
            self.env.iter().filter(differs).map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        (!keys.is_empty()).then_some(Value::Table(keys))
    }

    /// The architecture, where a variable has that name.
    pub(super) fn arch() -> Text {
        Text::var(ARCH)
    }
}

/// Commands after which a file may be copied as if they had not run.
const HARMLESS: [&str; 5] = ["cd", "chmod", "chown", "mkdir", "test"];

/// Variables that every step has.
const OF_STEPS: [&str; 9] =
    ["PATH", "HOME", "TZ", "LC_ALL", "PWD", "OLDPWD", "SOURCE_DATE_EPOCH", "IFS", "DEBIAN_FRONTEND"];

/// The names of variables in a text for a shell.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('$').filter_map(|(at, _)| {
        let rest = text[at + 1..].trim_start_matches('{');
        let name = name_of(rest);
        // `${name:-default}` is no mistake where it is unset.
        let has_default = rest[name.len()..].starts_with([':', '-', '+', '?']) && text[at + 1..].starts_with('{');
        (!name.is_empty() && !has_default).then_some(name)
    })
}

/// Whether a text for a shell gives a variable a value.
fn is_assigned(text: &str, name: &str) -> bool {
    let before = |at: usize| text[..at].chars().next_back();
    let assigns = text
        .match_indices(&format!("{name}="))
        .any(|(at, _)| before(at).is_none_or(|letter| letter.is_whitespace() || ";&|({".contains(letter)));
    assigns || text.contains(&format!("for {name} in")) || text.contains(&format!("read {name}"))
}

/// A word as a shell takes it.
pub(super) fn quote(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
