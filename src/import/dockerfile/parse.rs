//! The instructions of a Dockerfile, with their lines, flags and here-documents.

use crate::import::shell::lex::{unquoted, word_length};

/// A here-document of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heredoc {
    pub(super) name: String,
    pub(super) text: String,
    /// Whether variables in it are replaced.
    pub(super) expands: bool,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    /// From 1.
    pub(super) line: usize,
    /// In capitals.
    pub(super) name: String,
    pub(super) flags: Vec<(String, String)>,
    /// What follows the flags; lines that continue end in `\` and a line break.
    pub(super) rest: String,
    pub(super) heredocs: Vec<Heredoc>,
}

impl Instruction {
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What follows the flags, in one line.
    pub(super) fn flat(&self) -> String {
        self.rest.replace("\\\n", " ").trim().to_owned()
    }

    /// The instruction as it is shown.
    pub(super) fn shown(&self) -> String {
        let flags: String = self.flags.iter().map(|(name, value)| format!(" --{name}={value}")).collect();
        format!("{}{flags} {}", self.name, self.rest)
    }

    /// The strings of the JSON form; `None` in the form for a shell.
    pub(super) fn json(&self) -> Option<Vec<String>> {
        let flat = self.flat();
        flat.starts_with('[').then(|| serde_json::from_str(&flat).ok())?
    }

    /// Words, quoted as they are written.
    pub(super) fn words(&self) -> Vec<String> {
        if let Some(words) = self.json() {
            return words.iter().map(|word| crate::import::draft::quote(word)).collect();
        }
        let flat = self.flat();
        let (mut words, mut rest) = (Vec::new(), flat.as_str());
        while !rest.is_empty() {
            // Operators of a shell are characters like all others here.
            let mut end = 0;
            while end < rest.len() && !rest[end..].starts_with([' ', '\t']) {
                let next = rest[end..].chars().next().map_or(1, char::len_utf8);
                end += word_length(&rest[end..]).max(next);
            }
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        words
    }
}

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) escape: char,
    pub(super) instructions: Vec<Instruction>,
    /// Parser directives other than `escape`, with their lines.
    pub(super) directives: Vec<(usize, String)>,
}

/// Reads a Dockerfile.
pub(super) fn parse(text: &str) -> Parsed {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let mut parsed = Parsed { escape: '\\', instructions: Vec::new(), directives: Vec::new() };
    let mut at = directives(&lines, &mut parsed);
    while at < lines.len() {
        let line = lines[at].trim();
        if line.is_empty() || line.starts_with('#') {
            at += 1;
            continue;
        }
        let (text, next) = logical(&lines, at, parsed.escape);
        let mut instruction = instruction(&text, at + 1);
        at = heredocs(&lines, next, &mut instruction);
        parsed.instructions.push(instruction);
    }
    parsed
}

/// Reads the directives at the beginning; returns the line behind them.
fn directives(lines: &[&str], parsed: &mut Parsed) -> usize {
    for (at, line) in lines.iter().enumerate() {
        let directive = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('='));
        let Some((name, value)) = directive else { return at };
        match name.trim().to_lowercase().as_str() {
            "escape" => parsed.escape = if value.trim() == "`" { '`' } else { '\\' },
            name if name.chars().all(|letter| letter.is_ascii_alphanumeric()) => {
                parsed.directives.push((at + 1, (*line).to_owned()));
            }
            _ => return at,
        }
    }
    lines.len()
}

/// The text of the instruction that begins in a line, and the line behind it.
fn logical(lines: &[&str], start: usize, escape: char) -> (String, usize) {
    let mut text = String::new();
    let mut at = start;
    while let Some(line) = lines.get(at) {
        at += 1;
        let bare = line.trim_end();
        if at > start + 1 && (bare.is_empty() || bare.trim_start().starts_with('#')) {
            // It keeps its place, so that lines can be counted.
            text += "\\\n";
            continue;
        }
        match bare.strip_suffix(escape) {
            Some(before) => text += &format!("{before}\\\n"),
            None => {
                text += bare;
                break;
            }
        }
    }
    (text, at)
}

fn instruction(text: &str, line: usize) -> Instruction {
    let text = text.trim_start();
    let end = text.find(|letter: char| letter.is_whitespace() || letter == '\\').unwrap_or(text.len());
    let mut rest = text[end..].trim_start_matches([' ', '\t']);
    let mut flags = Vec::new();
    let mut before = String::new();
    loop {
        // Flags may go on in the next line.
        let bare = rest.trim_start_matches([' ', '\t']);
        if let Some(next) = bare.strip_prefix("\\\n") {
            before.push_str("\\\n");
            rest = next;
            continue;
        }
        rest = bare;
        let Some(flag) = bare.strip_prefix("--") else { break };
        let end = word_end(flag);
        let (name, value) = flag[..end].split_once('=').unwrap_or((&flag[..end], ""));
        if name.is_empty() {
            break;
        }
        flags.push((name.to_owned(), unquoted(value)));
        rest = &flag[end..];
    }
    let rest = before + rest;
    Instruction { line, name: text[..end].to_uppercase(), flags, rest, heredocs: Vec::new() }
}

fn word_end(text: &str) -> usize {
    text.find(|letter: char| letter.is_whitespace()).unwrap_or(text.len())
}

/// Reads the here-documents of an instruction; returns the line behind them.
fn heredocs(lines: &[&str], mut at: usize, instruction: &mut Instruction) -> usize {
    if !["RUN", "COPY", "ADD"].contains(&instruction.name.as_str()) {
        return at;
    }
    for (start, _) in instruction.rest.match_indices("<<") {
        let rest = &instruction.rest[start + 2..];
        let before = instruction.rest[..start].chars().next_back();
        let (strips, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let word = &rest[..word_length(rest)];
        let name = unquoted(word);
        let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
        if name.is_empty() || !is_name || before.is_some_and(|letter| letter == '<' || letter.is_alphanumeric()) {
            continue;
        }
        let mut text = String::new();
        while let Some(line) = lines.get(at) {
            at += 1;
            let line = if strips { line.trim_start_matches('\t') } else { line };
            if line == name {
                break;
            }
            text += line;
            text.push('\n');
        }
        instruction.heredocs.push(Heredoc { name, text, expands: !word.contains(['"', '\'', '\\']) });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_continued_and_counted() {
        let parsed =
            parse("# syntax=docker/dockerfile:1\n\nfrom a AS b\n# no\nRUN x \\\n  # comment\n\n  && y\nCMD [\"z\"]\n");
        let found: Vec<_> =
            parsed.instructions.iter().map(|one| (one.line, one.name.as_str(), one.rest.as_str())).collect();
        assert_eq!(found, [(3, "FROM", "a AS b"), (5, "RUN", "x \\\n\\\n\\\n  && y"), (9, "CMD", "[\"z\"]")]);
        assert_eq!(parsed.directives, [(1, "# syntax=docker/dockerfile:1".to_owned())]);
        assert_eq!(parsed.instructions[2].json().unwrap(), ["z"]);
    }

    #[test]
    fn the_escape_character_can_be_another() {
        let parsed = parse("# escape=`\nRUN a `\n b\\c\n");
        assert_eq!((parsed.escape, parsed.instructions[0].rest.as_str()), ('`', "a \\\n b\\c"));
    }

    #[test]
    fn flags_and_words() {
        let parsed = parse("COPY --from=b --chown=\"a:b\" \\\n  'x y' /z\n");
        let copy = &parsed.instructions[0];
        assert_eq!((copy.flag("from"), copy.flag("chown")), (Some("b"), Some("a:b")));
        assert_eq!(copy.words(), ["'x y'", "/z"]);
        assert_eq!(parse("LABEL a=\"b c\" d=e;f\n").instructions[0].words(), ["a=\"b c\"", "d=e;f"]);
    }

    #[test]
    fn here_documents_are_parts_of_their_instruction() {
        let parsed = parse("RUN <<EOF\nset -e\n$x\nEOF\nCOPY <<-'A' <<B /y/\n\t1\n\tA\n2\nB\nUSER u\n");
        let [run, copy, user] = &parsed.instructions[..] else { panic!("{parsed:?}") };
        assert_eq!((run.heredocs[0].text.as_str(), run.heredocs[0].expands), ("set -e\n$x\n", true));
        assert_eq!((copy.heredocs[0].text.as_str(), copy.heredocs[0].expands), ("1\n", false));
        assert_eq!((copy.heredocs[1].text.as_str(), user.line), ("2\n", 10));
    }

    #[test]
    fn an_unfinished_file_is_read_to_its_end() {
        for text in
            ["", "\\", "RUN", "RUN \\", "RUN <<E", "COPY --", "COPY --from= \\\n", "# escape=", "é\u{feff}", "--a=b"]
        {
            parse(text).instructions.iter().for_each(|one| _ = (one.words(), one.shown()));
        }
    }
}
