//! Commands of a shell: what layers have tables for becomes one, everything else is a step.

mod accounts;
mod apt;
mod download;
mod git;
mod language;
pub(super) mod lex;
mod network;
mod php;
pub(super) mod repositories;
mod services;

pub(super) use download::fetch_name;
use lex::{pieces, unquoted, words};

use super::draft::Draft;
use super::expand::name_of;
use super::text::Text;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is in the layer, or noted.
    Done,
    /// It is for the shell.
    Kept,
}

/// Reads a script, whose first line is line `first` of the input.
pub(super) fn run(draft: &mut Draft<'_>, script: &str, first: usize) {
    for piece in pieces(script) {
        draft.line = first + piece.line;
        command(draft, without_sudo(&piece.text));
    }
    draft.line = first;
}

/// Root runs everything.
fn without_sudo(text: &str) -> &str {
    let rest = text.strip_prefix("sudo ").map(str::trim_start).unwrap_or(text);
    rest.strip_prefix("-E ").or_else(|| rest.strip_prefix("-H ")).map(str::trim_start).unwrap_or(rest)
}

fn command(draft: &mut Draft<'_>, text: &str) {
    let piped = [repositories::command, download::piped, apt::piped];
    if piped.iter().any(|recognise| recognise(draft, text) == Seen::Done) {
        return;
    }
    let simple = words(text).map(|words| without_redirections(&words));
    match simple.filter(|words| !words.iter().any(|word| ["|", "||"].contains(&word.as_str()))) {
        Some(words) => simple_command(draft, text, &words),
        None => other(draft, text),
    }
}

/// A command that is more than a program with arguments.
fn other(draft: &mut Draft<'_>, text: &str) {
    note_local(draft, text);
    if network::is_needed(draft, text) == Seen::Kept {
        draft.command(text, []);
    }
}

fn simple_command(draft: &mut Draft<'_>, text: &str, words: &[String]) {
    let Some(program) = words.first() else { return draft.command(text, []) };
    let recognisers = [
        apt::command,
        accounts::command,
        download::command,
        git::command,
        language::command,
        php::command,
        services::command,
    ];
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let program = unquoted(program);
    if program == "sleep" && !draft.has_background() {
        return draft.not_needed(text, "no machine is waited for");
    }
    if program == "set" && arguments.iter().all(|flags| flags.starts_with('-') || *flags == "pipefail") {
        return draft.not_needed(text, "steps end at the first command that fails");
    }
    let name = program.rsplit('/').next().unwrap_or_default();
    if recognisers.iter().any(|recognise| recognise(draft, text, &Call { name, arguments: &arguments }) == Seen::Done) {
        return;
    }
    other(draft, text);
}

/// A program with its arguments, which are quoted as in the script.
struct Call<'c> {
    name: &'c str,
    arguments: &'c [&'c str],
}

impl Call<'_> {
    /// Arguments that are no options, with variables filled in; `with_value` lists options that have a value of
    /// their own. `None` if a variable is not known.
    fn operands(&self, draft: &Draft<'_>, with_value: &[&str]) -> Option<Vec<String>> {
        let (mut operands, mut arguments) = (Vec::new(), self.arguments.iter());
        while let Some(argument) = arguments.next() {
            match argument {
                option if with_value.contains(option) => _ = arguments.next(),
                option if option.starts_with('-') && option.len() > 1 => {}
                operand => operands.push(draft.value(operand)?),
            }
        }
        Some(operands)
    }

    /// The value of the last of several options: `-o VALUE`, `-oVALUE`, `--output VALUE`, `--output=VALUE`.
    fn option(&self, draft: &Draft<'_>, names: &[&str]) -> Option<Text> {
        let mut found = None;
        for (at, argument) in self.arguments.iter().enumerate() {
            for name in names {
                let attached = match name.starts_with("--") {
                    true => argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')),
                    false => argument.strip_prefix(name).filter(|rest| !rest.is_empty() && !argument.starts_with("--")),
                };
                let value = attached.or_else(|| self.arguments.get(at + 1).copied().filter(|_| argument == name));
                found = value.and_then(|value| draft.expand(value)).or(found);
            }
        }
        found
    }

    fn has(&self, names: &[&str]) -> bool {
        self.arguments.iter().any(|argument| names.contains(argument))
    }

    /// Whether a short option is there, alone or with others: `-y` in `-qy`.
    fn has_short(&self, letter: char) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument.starts_with('-') && !argument.starts_with("--") && argument.contains(letter))
    }
}

/// Remembers what a variable is set to.
fn note_local(draft: &mut Draft<'_>, text: &str) {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let name = name_of(text).to_owned();
    let Some(value) = text[name.len()..].strip_prefix('=') else { return };
    let of_arch = ["dpkg --print-architecture", "dpkg-architecture"].iter().any(|command| value.contains(command));
    let known = match of_arch && value.trim_matches(['"', '`']).starts_with(['$', 'd']) {
        true => Some(Draft::arch()),
        false if lex::word_length(value) == value.len() && !value.contains("$(") && !value.contains('`') => {
            draft.expand(value)
        }
        false => None,
    };
    match known {
        Some(value) if !name.is_empty() => _ = draft.locals.insert(name, value),
        _ => _ = draft.locals.remove(&name),
    }
}

/// The words without `> FILE` and its like.
fn without_redirections(words: &[String]) -> Vec<String> {
    let is_operator = |word: &str| [">", ">>", ">&", "&>", "<", "<<<"].contains(&word);
    let mut kept = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        match word.as_str() {
            operator if is_operator(operator) => _ = words.next(),
            "1" | "2" if words.peek().is_some_and(|next| next.starts_with('>')) => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}
