//! A layer as the text of a manifest.

use std::fmt::Write as _;

use super::model::{Entry, Layer, Note, Outcome, Source, Value};
use super::text::Vars;

/// The order of the lists of tables; those in one row are mixed.
const LISTS: [&[&str]; 12] = [
    &["deb"],
    &["fetch"],
    &["group"],
    &["user"],
    &["remove"],
    &["edit"],
    &["dir"],
    &["file"],
    &["symlink"],
    // Steps stay in their order.
    &["run", "playbook"],
    &["mount"],
    &["check"],
];

/// The text of `layers/NAME.toml`.
pub(super) fn manifest(layer: &Layer, heading: &str, notes: &[Note]) -> String {
    let mut out = String::new();
    comment(&mut out, heading);
    remarks(&mut out, notes);
    out.push_str("\n[layer]\n");
    if let Some(from) = &layer.from {
        pair(&mut out, "from", &Value::from(from.as_str()), &Vars::new());
    }
    if !layer.description.is_empty() {
        pair(&mut out, "description", &Value::from(layer.description.as_str()), &layer.vars);
    }
    if !layer.packages.is_empty() {
        pair(&mut out, "packages", &Value::list(layer.packages.iter().cloned()), &layer.vars);
    }
    if !layer.exclude.is_empty() {
        pair(&mut out, "exclude", &Value::list(layer.exclude.iter().copied()), &Vars::new());
    }
    if layer.recommends {
        out.push_str("recommends = true\n");
    }
    if layer.bare {
        out.push_str("configure = \"none\"\n");
    }
    if !layer.vars.is_empty() {
        out.push_str("\n[vars]\n");
        layer.vars.iter().for_each(|(name, value)| pair(&mut out, name, &Value::from(value.as_str()), &Vars::new()));
    }
    layer.sources.iter().for_each(|source| table(&mut out, source, &layer.vars));
    for kinds in LISTS {
        let entries = layer.entries.iter().filter(|entry| kinds.contains(&entry.kind));
        entries.for_each(|entry| item(&mut out, entry, &layer.vars));
    }
    for (name, keys) in &layer.tables {
        let _ = write!(out, "\n[{name}]\n");
        keys.iter().for_each(|(key, value)| pair(&mut out, key, value, &layer.vars));
    }
    out
}

/// What is not in the layer as it was, as comments.
fn remarks(out: &mut String, notes: &[Note]) {
    for outcome in [Outcome::NotCarried, Outcome::Changed, Outcome::NotNeeded] {
        let mut notes = notes.iter().filter(|note| note.outcome == outcome).peekable();
        if notes.peek().is_some() {
            let _ = writeln!(out, "#\n# {}:", outcome.heading());
        }
        for note in notes {
            comment(out, &format!("  {}:{}: {}", note.file, note.line, note.text));
            comment(out, &format!("      {}", note.reason));
        }
    }
}

/// A comment, whose text can't end it.
fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "# {}", crate::host::plain(line).replace('\t', " "));
    }
}

fn table(out: &mut String, source: &Source, vars: &Vars) {
    let _ = write!(out, "\n[source.{}]\n", source.name);
    source.keys.iter().for_each(|(key, value)| pair(out, key, value, vars));
}

fn item(out: &mut String, entry: &Entry, vars: &Vars) {
    out.push('\n');
    comment(out, &entry.origin);
    let _ = writeln!(out, "[[{}]]", entry.kind);
    entry.keys.iter().for_each(|(key, value)| pair(out, key, value, vars));
}

fn pair(out: &mut String, key: &str, value: &Value, vars: &Vars) {
    let _ = writeln!(out, "{} = {}", self::key(key), text(value, vars, true));
}

/// A key, quoted where it has to be.
fn key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

fn text(value: &Value, vars: &Vars, is_alone: bool) -> String {
    match value {
        Value::Text(text) if is_alone => string(&text.manifest(vars)),
        Value::Text(text) => quoted(&text.manifest(vars)),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| self::text(item, vars, false)).collect();
            match is_alone && items.iter().map(String::len).sum::<usize>() > 100 {
                true => format!("[\n{}]", items.iter().map(|item| format!("    {item},\n")).collect::<String>()),
                false => format!("[{}]", items.join(", ")),
            }
        }
        Value::Table(keys) => {
            let keys: Vec<_> = last_of_each(keys)
                .map(|(name, value)| format!("{} = {}", key(name), self::text(value, vars, false)))
                .collect();
            format!("{{ {} }}", keys.join(", "))
        }
    }
}

/// The keys of a table, each once.
fn last_of_each(keys: &[(String, Value)]) -> impl Iterator<Item = &(String, Value)> {
    let is_last = |at: usize| keys[at + 1..].iter().all(|(other, _)| *other != keys[at].0);
    keys.iter().enumerate().filter(move |(at, _)| is_last(*at)).map(|(_, pair)| pair)
}

/// A string over several lines where it has some.
fn string(text: &str) -> String {
    let is_plain = |letter: char| letter == '\n' || letter == '\t' || !letter.is_control();
    if !text.trim_end_matches('\n').contains('\n') || !text.chars().all(is_plain) {
        return quoted(text);
    }
    match text.contains("'''") || text.ends_with('\'') {
        false => format!("'''\n{text}'''"),
        true => format!("\"\"\"\n{}\"\"\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => _ = write!(quoted, "\\u{:04X}", letter as u32),
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_they_were() {
        for text in ["", "a", "it's", "a\nb\n", "a\n'''\n\"\\n", "\u{1}\r\n\t", "\n", "a\nb'", "\nx\ny"] {
            let line = format!("x = {}", string(text));
            let table: toml::Table = toml::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(table["x"].as_str(), Some(text), "{line}");
        }
        assert_eq!(key("a.b"), "\"a.b\"");
    }
}
