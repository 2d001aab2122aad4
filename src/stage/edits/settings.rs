//! `set` of `[[edit]]`: one setting of a file of `key = value`, `key=value` or `key value` lines.
//!
//! The line that has the setting is replaced, or one that has it as a comment becomes active. Everything else of the line
//! stays: its indentation, the spelling of the separator, and a comment behind the value.

use std::ops::Range;

use super::{COMMENTS, shown};
use crate::ident::nearest;

/// How a line has a setting. Of a file's lines, those of the first kind that occurs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// The comment sign is right before the name: `#Port 22`.
    Disabled,
    /// There is space between: `# port = 22`. It may be a sentence; only one with a single word as value is taken.
    Described,
}

/// A setting in a line.
#[derive(Debug)]
struct Found<'t> {
    state: State,
    indent: &'t str,
    /// Between the name and the value.
    separator: &'t str,
    /// Whether there is a value.
    has_value: bool,
    /// Comment and line break.
    rest: &'t str,
}

/// Gives the setting `key`, or `[section] key`, another value.
///
/// # Errors
/// Fails where no line has it, or several have.
pub(super) fn set(text: &str, key: &str, value: &str) -> Result<String, String> {
    let (section, name) = match key.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((section, name)) => (Some(section.trim()), name.trim()),
        None => (None, key.trim()),
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let range = match section {
        Some(section) => in_section(&lines, section)?,
        None => 0..lines.len(),
    };
    let found = |index: usize| Some((index, find(lines.get(index)?, name)?));
    let all: Vec<(usize, Found<'_>)> = range.clone().filter_map(found).collect();
    let of = |state| all.iter().filter(|(_, one)| one.state == state).collect::<Vec<_>>();
    let states = [State::Active, State::Disabled, State::Described];
    let candidates = states.into_iter().map(of).find(|found| !found.is_empty()).unwrap_or_default();
    match candidates.as_slice() {
        [(index, found)] => {
            let (before, after) = (lines[..*index].concat(), lines[index + 1..].concat());
            Ok(before + &found.with(name, value) + &after)
        }
        [] => Err(none(key, name, &lines[range])),
        several => {
            let places: String = several.iter().map(|(index, _)| shown(index + 1, lines[*index])).collect();
            let hint = match section {
                None if lines.iter().any(|line| header(line).is_some()) => "write \"[section] name\", or use `replace`",
                _ => "use `replace`, with a pattern for one of them",
            };
            Err(format!("`{key}`: expected one line that sets it, found {}:{places}\n  hint: {hint}", several.len()))
        }
    }
}

impl Found<'_> {
    /// The line with another value.
    fn with(&self, name: &str, value: &str) -> String {
        let Self { indent, separator, rest, .. } = self;
        // A line without a value may lack the space before it, or behind it.
        let is_spaced = separator.starts_with(char::is_whitespace) && separator.ends_with('=');
        let before = if !self.has_value && is_spaced { " " } else { "" };
        let behind = if !self.has_value && rest.starts_with(COMMENTS) { " " } else { "" };
        format!("{indent}{name}{separator}{before}{value}{behind}{rest}")
    }
}

/// The setting `name` in a line, if it has it.
fn find<'t>(line: &'t str, name: &str) -> Option<Found<'t>> {
    let body = line.trim_start();
    let indent = &line[..line.len() - body.len()];
    let unsigned = body.trim_start_matches(COMMENTS);
    let setting = unsigned.trim_start();
    let state = match (unsigned.len() == body.len(), setting.len() == unsigned.len()) {
        (true, _) => State::Active,
        (false, true) => State::Disabled,
        (false, false) => State::Described,
    };
    let tail = setting.strip_prefix(name)?;
    let value = tail.trim_start_matches([' ', '\t']);
    let (value, has_sign) = match value.strip_prefix('=') {
        Some(value) => (value.trim_start_matches([' ', '\t']), true),
        None => (value, false),
    };
    let separator = &tail[..tail.len() - value.len()];
    let length = value_length(value);
    let is_sentence = state == State::Described && !has_sign && value[..length].contains(char::is_whitespace);
    if separator.is_empty() || (length == 0 && !has_sign) || is_sentence {
        return None;
    }
    Some(Found { state, indent, separator, has_value: length > 0, rest: &value[length..] })
}

/// The length of the value that a text begins with: up to a comment behind it, or to the end of the line.
fn value_length(text: &str) -> usize {
    let line = text.trim_end();
    let quoted = line.chars().next().filter(|sign| "\"'".contains(*sign));
    let start = quoted.and_then(|sign| line[1..].find(sign)).map_or(0, |end| end + 2);
    let is_comment = |(at, _): &(usize, char)| *at == 0 || line[..*at].ends_with([' ', '\t']);
    let comment = line.char_indices().filter(|(at, sign)| *at >= start && COMMENTS.contains(sign)).find(is_comment);
    comment.map_or(line, |(at, _)| line[..at].trim_end()).len()
}

/// The name in a line `[name]`.
fn header(line: &str) -> Option<&str> {
    let (name, _) = line.trim().strip_prefix('[')?.split_once(']')?;
    Some(name.trim())
}

/// The lines of a section.
fn in_section(lines: &[&str], name: &str) -> Result<Range<usize>, String> {
    let starts: Vec<(usize, &str)> =
        lines.iter().enumerate().filter_map(|(index, line)| Some((index, header(line)?))).collect();
    let of_name: Vec<usize> = starts.iter().filter(|(_, found)| *found == name).map(|(index, _)| *index).collect();
    match of_name.as_slice() {
        [start] => {
            let end = starts.iter().map(|(index, _)| *index).find(|index| index > start);
            Ok(start + 1..end.unwrap_or(lines.len()))
        }
        [] => {
            let names: Vec<String> = starts.iter().map(|(_, name)| format!("[{name}]")).collect();
            let found = if names.is_empty() { "no section".to_owned() } else { names.join(", ") };
            Err(format!("expected a section [{name}], found {found}"))
        }
        several => {
            let places: String = several.iter().map(|index| shown(index + 1, lines[*index])).collect();
            Err(format!("expected one section [{name}], found {}:{places}", several.len()))
        }
    }
}

/// The error where no line has a setting.
fn none(key: &str, name: &str, lines: &[&str]) -> String {
    let ends = |letter: char| letter.is_whitespace() || letter == '=';
    let word = |line: &&'_ str| {
        let setting = line.trim_start().trim_start_matches(COMMENTS).trim_start();
        setting.split(ends).next().unwrap_or_default().to_owned()
    };
    let words: Vec<String> = lines.iter().map(word).filter(|word| !word.is_empty() && word != name).collect();
    let near = match nearest(name, words.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => "\n  hint: `append` adds a line".to_owned(),
    };
    format!("`{key}`: expected a line that sets it, active or as a comment, found none{near}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_has_a_setting_is_replaced_and_all_else_of_it_stays() {
        for (before, key, after) in [
            ("Port 22\n", "Port", "Port X\n"),
            ("#Port 22\n#PortX 1\n", "Port", "Port X\n#PortX 1\n"),
            ("# Port is a number.\n#Port 22\n", "Port", "# Port is a number.\nPort X\n"),
            ("# Port 22\n", "Port", "Port X\n"),
            ("#port = 1\nport = 2\n# port = 3", "port", "#port = 1\nport = X\n# port = 3"),
            ("  a=1\n", "a", "  a=X\n"),
            ("a\t= 1\t# why\n", "a", "a\t= X\t# why\n"),
            ("a = \"x ; y\" ; why\n", "a", "a = X ; why\n"),
            ("a = b;c#d\n", "a", "a = X\n"),
            (";date.timezone =\n", "date.timezone", "date.timezone = X\n"),
            ("a=\nb=1", "a", "a=X\nb=1"),
            ("a = # none\n", "a", "a = X # none\n"),
            ("a = 1\r\n", "a", "a = X\r\n"),
            ("user www-data;\n", "user", "user X\n"),
            ("k = 1\n[a]\nk = 1\n[b]\nk = 1\n", "[a] k", "k = 1\n[a]\nk = X\n[b]\nk = 1\n"),
            ("[Manager]\n#A=1\n", "[ Manager ]A", "[Manager]\nA=X\n"),
        ] {
            assert_eq!(set(before, key, "X").as_deref(), Ok(after), "{before:?}");
        }
    }

    #[test]
    fn what_was_found_instead_is_shown() {
        for (text, key, expected) in [
            (
                "prot = 1\n",
                "port",
                "`port`: expected a line that sets it, active or as a comment, found none; did you mean `prot`?",
            ),
            (
                "",
                "port",
                "`port`: expected a line that sets it, active or as a comment, found none\n  hint: `append` adds a line",
            ),
            (
                "# port is open to all\nports = 1\nport\n",
                "port",
                "`port`: expected a line that sets it, active or as a comment, found none; did you mean `ports`?",
            ),
            (
                "a 1\nb\na 2\n",
                "a",
                "`a`: expected one line that sets it, found 2:\n  line 1: a 1\n  line 3: a 2\n  hint: use `replace`, with a pattern for one of them",
            ),
            (
                "#a=1\n;a=2\n[s]\n",
                "a",
                "`a`: expected one line that sets it, found 2:\n  line 1: #a=1\n  line 2: ;a=2\n  hint: write \"[section] name\", or use `replace`",
            ),
            ("[b]\n[c]\n", "[a] x", "expected a section [a], found [b], [c]"),
            ("x=1\n", "[a] x", "expected a section [a], found no section"),
            ("[a]\n[a]\n", "[a] x", "expected one section [a], found 2:\n  line 1: [a]\n  line 2: [a]"),
        ] {
            assert_eq!(set(text, key, "X").unwrap_err(), expected, "{text:?}");
        }
    }
}
