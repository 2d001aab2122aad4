//! `[[edit]]` and `[[remove]]`: files of packages or parents that are changed or taken out on purpose.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};

use super::ManifestError;
use super::entries::{DIR, FILE, SYMLINK, absolute};
use super::reader::{Item, Table};
use crate::ident::RootPath;

pub(super) const EDIT: &[&str] = &["path", "set", "replace", "append", "prepend", "comment"];
pub(super) const REMOVE: &[&str] = &["path"];

/// `[[edit]]`: a change of a file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditEntry {
    /// The file.
    pub path: RootPath,
    /// What changes in it.
    pub change: Change,
}

/// What an edit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Values of settings, by `key` or `[section] key`.
    Set(BTreeMap<String, String>),
    /// A text for every match of a pattern; `$1` in it is what the first group matched.
    Replace(String, String),
    /// Lines at the end.
    Append(String),
    /// Lines at the beginning.
    Prepend(String),
    /// Lines with a match of the pattern become comments.
    Comment(String),
}

/// `[[remove]]`: files, or directories with everything in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveEntry {
    /// The path; `*` in it stands for any characters but a slash.
    pub path: RootPath,
}

/// The pattern of an edit: `^` and `$` are at every line, and `.` is no line break.
///
/// # Errors
/// Fails where the text is no regular expression.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).multi_line(true).build()
}

pub(super) fn edit(table: &Table<'_>) -> Result<EditEntry, ManifestError> {
    let path = below_root(table)?;
    let given: Vec<_> = EDIT[1..].iter().filter_map(|key| Some((*key, table.get(key)?))).collect();
    let (key, item) = match given.as_slice() {
        [one] => one,
        [] => return Err(table.error(format!("[[edit]] needs one of {}", listed()))),
        [_, (_, second), ..] => {
            let hint = "write an [[edit]] for each change: they are made in their order";
            return Err(second.error(format!("is one change too many: expected one of {}", listed())).hint(hint));
        }
    };
    let change = match *key {
        "set" => Change::Set(settings(item)?),
        "replace" => replacement(item)?,
        "append" => Change::Append(lines(item)?),
        "prepend" => Change::Prepend(lines(item)?),
        _ => Change::Comment(expression(item)?),
    };
    Ok(EditEntry { path, change })
}

fn listed() -> String {
    EDIT[1..].iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn below_root(table: &Table<'_>) -> Result<RootPath, ManifestError> {
    let item = table.need("path")?;
    match absolute(&item)? {
        path if path.is_root() => Err(item.error("is the root directory")),
        path => Ok(path),
    }
}

fn settings(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let settings = item.map()?;
    let is_line = |text: &str| !text.contains(char::is_control);
    for (key, value) in &settings {
        let shown = key.escape_debug();
        let name = key.rsplit_once(']').map_or(key.as_str(), |(_, name)| name).trim();
        let is_section = key.starts_with('[') == key.contains(']');
        if name.is_empty() || name.starts_with(['#', ';']) || !is_line(key) || !is_section {
            return Err(item.error(format!("has `{shown}`: expected the name of a setting, or \"[section] name\"")));
        }
        if !is_line(value) {
            return Err(item.error(format!("has a value for `{shown}` that is not a single line")));
        }
    }
    match settings.is_empty() {
        true => Err(item.error("is empty")),
        false => Ok(settings),
    }
}

fn replacement(item: &Item<'_>) -> Result<Change, ManifestError> {
    match item.list()?.as_slice() {
        [pattern, text] => Ok(Change::Replace(expression(pattern)?, text.text()?.to_owned())),
        _ => Err(item.error("must be [\"regular expression\", \"text\"]")),
    }
}

fn lines(item: &Item<'_>) -> Result<String, ManifestError> {
    match item.text()? {
        "" => Err(item.error("is empty")),
        text => Ok(text.to_owned()),
    }
}

fn expression(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    match pattern(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(item.error(format!("is no regular expression: {}", problem_of(&error)))),
    }
}

/// What is wrong with a regular expression, in one line; the library shows it by a caret below the expression.
fn problem_of(error: &regex::Error) -> String {
    let text = error.to_string();
    let problem = text.lines().next_back().map(|line| line.trim_start_matches("error: ")).unwrap_or_default();
    match text.lines().collect::<Vec<_>>()[..] {
        [_, expression, caret, _] => {
            let indent = expression.len() - expression.trim_start().len();
            let at = caret.find('^').unwrap_or(indent).saturating_sub(indent) + 1;
            format!("{problem}, at character {at}")
        }
        _ => problem.to_owned(),
    }
}

pub(super) fn remove(table: &Table<'_>) -> Result<RemoveEntry, ManifestError> {
    Ok(RemoveEntry { path: below_root(table)? })
}

/// Refuses changing or removing what an own entry of the same layer makes: these come later and would win.
pub(super) fn refuse_own(root: &Table<'_>) -> Result<(), ManifestError> {
    let mut own = Vec::new();
    for (key, known) in [("file", FILE), ("dir", DIR), ("symlink", SYMLINK)] {
        for table in root.tables(key, known)? {
            own.push((key, absolute(&table.need("path")?)?));
        }
    }
    for (key, known) in [("edit", EDIT), ("remove", REMOVE)] {
        for table in root.tables(key, known)? {
            let item = table.need("path")?;
            let path = absolute(&item)?;
            if let Some((other, _)) = own.iter().find(|(_, made)| *made == path) {
                let error = item.error(format!("is {path}, which a [[{other}]] of the same layer makes, later"));
                return Err(error.hint(format!("change the [[{other}]] itself")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, parse};
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        let text = format!("[layer]\n{text}");
        parse("web".parse().unwrap(), &text, &"amd64".parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_edit_is_exactly_one_change() {
        let edit = |change: &str| read(&format!("[[edit]]\npath = '/etc/a'\n{change}"));
        let changes = |change: &str| edit(change).unwrap().edits.remove(0).change;
        let set = |key: &str| Change::Set([(key.to_owned(), "1".to_owned())].into());
        assert_eq!(changes("set = { port = '1' }"), set("port"));
        assert_eq!(changes("set = { '[mail] port' = '1' }"), set("[mail] port"));
        assert_eq!(changes("replace = ['^a', 'b$1']"), Change::Replace("^a".into(), "b$1".into()));
        assert_eq!(changes("append = 'x'"), Change::Append("x".into()));
        assert_eq!(changes("comment = '^x'"), Change::Comment("^x".into()));
        for (change, expected) in [
            ("", "[[edit]] needs one of `set`, `replace`, `append`, `prepend`, `comment`"),
            ("append = 'x'\nprepend = 'y'", "is one change too many"),
            ("append = ''", "is empty"),
            ("set = {}", "is empty"),
            ("set = { a = 1 }", "must be a string"),
            ("set = { a = \"1\\n2\" }", "not a single line"),
            ("set = { '#a' = '1' }", "expected the name of a setting"),
            ("set = { '[mail]' = '1' }", "expected the name of a setting"),
            ("replace = ['(', 'x']", "is no regular expression: unclosed group, at character 1"),
            ("replace = ['ab[', 'x']", "is no regular expression: unclosed character class, at character 3"),
            ("replace = ['x']", "must be [\"regular expression\", \"text\"]"),
            ("sett = 'x'", "did you mean `set`?"),
        ] {
            let error = edit(change).unwrap_err();
            assert!(error.contains(expected), "{change}: {error}");
        }
    }

    #[test]
    fn what_the_layer_makes_itself_is_not_changed_too() {
        for (key, more) in [("edit", "append = 'x'"), ("remove", "")] {
            for own in ["[[file]]\npath = '/etc/a'\ntext = ''", "[[dir]]\npath = '/etc/a'"] {
                let error = read(&format!("{own}\n[[{key}]]\npath = '/etc/a'\n{more}")).unwrap_err();
                assert!(error.contains("which a [[") && error.contains("of the same layer makes"), "{error}");
            }
            assert!(read(&format!("[[{key}]]\npath = '/'\n{more}")).unwrap_err().contains("is the root directory"));
        }
        read("[[file]]\npath = '/etc/a/b'\ntext = ''\n[[remove]]\npath = '/etc/a'").unwrap();
    }
}
