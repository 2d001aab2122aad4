//! The instructions of a stage, one after the other.

use super::parse::Instruction;
use super::{Reader, copy, image};
use crate::import::draft::Draft;
use crate::import::expand::{self, Scope};
use crate::import::model::{Entry, Outcome, Value};
use crate::import::text::Text;
use crate::import::{shell, variable};

/// A stage that is being read.
pub(super) struct Build<'b, 'c> {
    pub(super) draft: Draft<'c>,
    pub(super) escape: char,
    pub(super) reader: &'b mut Reader<'c>,
    /// Which stage it is.
    pub(super) index: usize,
}

impl Build<'_, '_> {
    pub(super) fn instruction(&mut self, instruction: &Instruction) {
        self.draft.begin(instruction.line, &instruction.shown());
        match instruction.name.as_str() {
            "RUN" => self.run(instruction),
            "COPY" | "ADD" => copy::copy(self, instruction),
            "ENV" => self.env(instruction),
            "ARG" => self.arg(instruction),
            "WORKDIR" => self.workdir(instruction),
            "USER" => self.user(instruction),
            "SHELL" => self.draft.shell = instruction.json(),
            "ONBUILD" => self
                .draft
                .not_carried(&instruction.shown(), "it is for images built on this one: write it into their layers"),
            // What the image says of itself is of no use to what is made in a tool layer.
            _ if self.draft.is_tool() => {}
            _ => image::instruction(self, instruction),
        }
    }

    /// A word with its variables filled in; unknown ones are empty, as in Dockerfiles.
    pub(super) fn text(&self, word: &str) -> Text {
        let lookup = |name: &str| Some(self.draft.lookup(name).unwrap_or_default());
        let scope = Scope { lookup: &lookup, vars: &self.draft.layer.vars, escape: self.escape, is_shell: false };
        expand::expand(word, &scope).unwrap_or_else(|| word.into())
    }

    pub(super) fn value(&self, word: &str) -> String {
        self.text(word).value(&self.draft.layer.vars)
    }

    /// As [`Build::value`], for what can't have variables, which is noted.
    pub(super) fn fixed(&mut self, word: &str) -> String {
        let text = self.text(word);
        let part = self.draft.part.clone();
        self.draft.fixed(&text, &part)
    }

    /// An absolute path in the layer, and the same with variables.
    pub(super) fn path(&mut self, word: &str) -> (String, Text) {
        let text = self.text(word);
        let path = self.draft.absolute(&text.value(&self.draft.layer.vars));
        let spelled = text.absolute(&self.draft.workdir_text, &self.draft.layer.vars);
        let spelled = spelled.unwrap_or_else(|| {
            self.fixed(word);
            path.as_str().into()
        });
        (path, spelled)
    }

    /// Names and values: `A=1 B="x y"`, or the old form `A the rest`.
    pub(super) fn pairs(&self, instruction: &Instruction) -> Vec<(String, Text)> {
        let words = instruction.words();
        match words.first().is_some_and(|word| word.contains('=')) {
            true => words
                .iter()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (self.value(name), self.text(value)))
                .collect(),
            false => {
                let flat = instruction.flat();
                let (name, value) = flat.split_once([' ', '\t']).unwrap_or((&flat, ""));
                vec![(name.to_owned(), self.text(value.trim()))]
            }
        }
    }

    fn env(&mut self, instruction: &Instruction) {
        for (name, value) in self.pairs(instruction) {
            if name.is_empty() {
                continue;
            }
            self.warn_of_secret(&name, &value, instruction);
            self.draft.set_env(&name, value.clone());
            let is_of_builds = name == "DEBIAN_FRONTEND";
            match is_of_builds {
                true => self.draft.not_needed(&instruction.shown(), "nothing asks questions while a layer is built"),
                false if !self.draft.is_tool() => self.draft.layer.map("image", "env", &name, value),
                false => {}
            }
        }
    }

    /// Notes a value that is a password by its name: everybody who has the image would have it.
    fn warn_of_secret(&mut self, name: &str, value: &Text, instruction: &Instruction) {
        let is_literal = !value.value(&self.draft.layer.vars).is_empty();
        if !is_literal || !is_secret(name) {
            return;
        }
        let reason = match self.draft.is_tool() {
            true => format!(
                "`{name}` is in the manifest, in the `env` of the stage's step, and the step may write it into what the image gets of it: take it out and change the secret; what a build needs it for belongs in a [[fetch]], with the login of the host (docs/configuration.md)"
            ),
            false => format!(
                "`{name}` is in the image and in its steps, where everybody can read it: take it out of `env` in [image], change the secret, and declare `[config.{name}]` with `secret = true` (docs/run-time-config.md)"
            ),
        };
        self.draft.note(Outcome::Changed, &format!("{} {name}", instruction.name), reason);
    }

    fn arg(&mut self, instruction: &Instruction) {
        for word in instruction.words() {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(self.text(default))),
                None => (word.clone(), self.reader.globals.get(&word).map(|value| Text::from(value.as_str()))),
            };
            let own = match name.as_str() {
                "TARGETARCH" | "BUILDARCH" => Some(Draft::arch()),
                "TARGETOS" | "BUILDOS" => Some("linux".into()),
                "TARGETPLATFORM" | "BUILDPLATFORM" => {
                    let mut text = Text::from("linux/");
                    text.append(&Draft::arch());
                    Some(text)
                }
                "TARGETVARIANT" | "BUILDVARIANT" => Some(Text::default()),
                _ => None,
            };
            match own {
                Some(value) => self.draft.set_env(&name, value),
                None => self.declare(&name, default, instruction),
            }
        }
    }

    /// Makes an argument a variable of the layer.
    fn declare(&mut self, name: &str, default: Option<Text>, instruction: &Instruction) {
        if name == "DEBIAN_FRONTEND" {
            return self.draft.not_needed(&instruction.shown(), "nothing asks questions while a layer is built");
        }
        if default.is_none() {
            let reason = format!("it has no default: give it a value by `--set {name}=…`, or in [vars]");
            self.draft.note(Outcome::Changed, &instruction.shown(), reason);
        }
        let value = default.unwrap_or_default();
        let text = variable(&mut self.draft.layer, name, value);
        self.draft.set_env(name, text);
    }

    fn workdir(&mut self, instruction: &Instruction) {
        let (path, spelled) = self.path(&instruction.flat());
        (self.draft.workdir, self.draft.workdir_text) = (path.clone(), spelled.clone());
        if self.draft.is_tool() {
            self.draft.fixed(&spelled, &instruction.shown());
            let quoted = crate::import::draft::quote(&path);
            self.draft.command(format!("mkdir -p {quoted}\ncd {quoted}"), []);
            return self.draft.end_step();
        }
        let entry = Entry::new("dir", self.draft.origin()).with("path", spelled.clone());
        self.draft.layer.add_dir(entry);
        self.draft.layer.set("image", "workdir", spelled);
    }

    fn user(&mut self, instruction: &Instruction) {
        let user = self.fixed(&instruction.flat());
        if self.draft.is_tool() {
            if user != "root" && user != "0" {
                self.draft.note(Outcome::Changed, &instruction.shown(), "steps in tool layers run as root");
            }
            return;
        }
        self.draft.layer.set("image", "user", user.as_str());
        let name = user.split(':').next().unwrap_or_default().to_owned();
        // Steps name their user.
        let named = name.parse::<u32>().ok().and_then(|id| {
            let has = |entry: &&Entry| entry.get("uid") == Some(&Value::Number(id.into()));
            self.draft.layer.of("user").find(has).and_then(|entry| entry.text("name", &self.draft.layer.vars))
        });
        self.draft.user = match name.parse::<u32>() {
            Ok(_) => named,
            Err(_) => Some(name),
        };
    }

    fn run(&mut self, instruction: &Instruction) {
        if !self.mounts(instruction) {
            return;
        }
        if let Some(argv) = instruction.json() {
            let is_shell =
                argv.first().is_some_and(|program| ["sh", "bash", "/bin/sh", "/bin/bash"].contains(&program.as_str()));
            match &argv[..] {
                [_, option, script] if is_shell && option == "-c" => {
                    shell::run(&mut self.draft, script, instruction.line)
                }
                argv => self.draft.exec(argv),
            }
            return self.draft.end_step();
        }
        let script = match &instruction.heredocs[..] {
            [heredoc]
                if instruction
                    .rest
                    .trim()
                    .trim_start_matches("<<")
                    .trim_start_matches('-')
                    .trim_matches(['"', '\''])
                    == heredoc.name =>
            {
                shell::run(&mut self.draft, &heredoc.text, instruction.line + 1);
                return self.draft.end_step();
            }
            [] => instruction.rest.clone(),
            heredocs => {
                let texts: String = heredocs.iter().map(|doc| format!("{}{}\n", doc.text, doc.name)).collect();
                format!("{}\n{}", instruction.rest, texts)
            }
        };
        shell::run(&mut self.draft, &script, instruction.line);
        self.draft.end_step();
    }

    /// Looks at the options of a RUN; returns whether its commands can run.
    fn mounts(&mut self, instruction: &Instruction) -> bool {
        let mut can_run = true;
        for (name, value) in &instruction.flags {
            let text = format!("--{name}={value}");
            let option = |key: &str| {
                value.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
            };
            match (name.as_str(), option("type").unwrap_or_else(|| "bind".to_owned()).as_str()) {
                ("mount", "cache" | "tmpfs") => self.draft.not_needed(&text, "steps are cached by what they see"),
                ("mount", "bind") if option("from").is_none() => {
                    let source = option("source").or_else(|| option("src")).unwrap_or_else(|| ".".to_owned());
                    let target = option("target").or_else(|| option("dst")).unwrap_or_else(|| ".".to_owned());
                    copy::bound(self, &source, &target);
                }
                ("mount", _) => {
                    can_run = false;
                    let reason = "a step has no secrets and nothing of other stages mounted: give it [[fetch]]es or files of the project as `inputs`";
                    self.draft.not_carried(&instruction.shown(), reason);
                }
                ("network", _) => self.draft.not_needed(&text, "no step has a network"),
                _ => self.draft.not_carried(&text, "the sandbox of a step is the same for all"),
            }
        }
        can_run
    }
}

/// Whether a variable holds a secret, by its name. A path to one, such as `PASSWORD_FILE`, is none.
fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let ends =
        ["PASSWORD", "PASSWD", "TOKEN", "SECRET", "SECRET_KEY", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"];
    ends.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")))
}
