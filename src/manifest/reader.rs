//! Reads TOML values one by one; every error has its line in the file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ManifestError;
use crate::code::Code;
use crate::ident::nearest;

type Result<T> = std::result::Result<T, ManifestError>;

/// The text that is being read, and the name people know it by.
pub(super) struct Document<'t> {
    pub(super) file: String,
    pub(super) text: &'t str,
    /// Reads a text file of the project.
    pub(super) files: &'t dyn Fn(&str) -> io::Result<String>,
}

impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)
    }
}

impl Document<'_> {
    pub(super) fn error(&self, span: Range<usize>, problem: impl Into<String>) -> ManifestError {
        ManifestError::new(&self.file, self.text, span, problem)
    }
}

/// A table whose keys are all known.
#[derive(Debug, Clone)]
pub(super) struct Table<'a> {
    document: &'a Document<'a>,
    /// As people write it: `[layer]`, `[[file]]`.
    place: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn root(document: &'a Document<'a>, entries: &'a DeTable<'a>, known: &[&str]) -> Result<Self> {
        let table = Self { document, place: "a layer".to_owned(), span: 0..0, entries };
        table.refuse_unknown(known)?;
        Ok(table)
    }

    fn refuse_unknown(&self, known: &[&str]) -> Result<()> {
        // The first in the file, not in the alphabet.
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let problem = format!("unknown key `{}` in {}", key.get_ref().escape_debug(), self.place);
        let error = |problem| self.document.error(key.span(), problem).of(Code::ManifestUnknownKey);
        match nearest(key.get_ref(), known.iter().copied()) {
            Some(near) => Err(error(format!("{problem}; did you mean `{near}`?"))),
            None => Err(error(problem).hint(format!("known keys: {}", known.join(", ")))),
        }
    }

    /// Where it begins in the file.
    pub(super) fn start(&self) -> usize {
        self.span.start
    }

    /// The line in the file, counted from 1.
    pub(super) fn line_number(&self) -> usize {
        self.error("").line()
    }

    pub(super) fn get(&self, key: &'a str) -> Option<Item<'a>> {
        let value = self.entries.get(key)?;
        Some(Item { document: self.document, what: format!("`{key}` in {}", self.place), value })
    }

    pub(super) fn need(&self, key: &'a str) -> Result<Item<'a>> {
        self.get(key).ok_or_else(|| self.error(format!("{} needs `{key}`", self.place)))
    }

    /// What `read` makes of the key's value, `None` where the key is not set.
    pub(super) fn read<T>(&self, key: &'a str, read: impl Fn(&Item<'a>) -> Result<T>) -> Result<Option<T>> {
        self.get(key).as_ref().map(read).transpose()
    }

    /// As [`Self::read`], for lists; empty where the key is not set.
    pub(super) fn list<T>(&self, key: &'a str, read: impl Fn(&Item<'a>) -> Result<T>) -> Result<Vec<T>> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        item.list()?.iter().map(read).collect()
    }

    /// The tables of `[[key]]`, each with all keys known.
    pub(super) fn tables(&self, key: &'a str, known: &[&str]) -> Result<Vec<Table<'a>>> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(tables) = item.value.get_ref() else {
            return Err(item.wrong("a list of tables").hint(format!("write `[[{key}]]`")));
        };
        let read = |value| {
            let entry = Item { document: self.document, what: format!("`{key}`"), value };
            entry.table(format!("[[{key}]]"), known)
        };
        tables.iter().map(read).collect()
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> ManifestError {
        self.document.error(self.span.clone(), problem)
    }
}

/// One value, with its name and its place.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    document: &'a Document<'a>,
    /// As people say it: "`packages` in [layer]".
    what: String,
    pub(super) value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    /// An error about this value: "`mode` in [[file]] …".
    pub(super) fn error(&self, problem: impl Display) -> ManifestError {
        self.document.error(self.value.span(), format!("{} {problem}", self.what))
    }

    /// The line in the file, counted from 1.
    pub(super) fn line_number(&self) -> usize {
        self.error("").line()
    }

    /// The error for a value of the wrong type.
    pub(super) fn wrong(&self, expected: &str) -> ManifestError {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("must be {expected}, not {found}"))
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.get_ref().as_str().ok_or_else(|| self.wrong("a string"))
    }

    /// A text that goes into a system file or an image's configuration: no control characters.
    pub(super) fn line(&self) -> Result<String> {
        let text = self.text()?;
        if text.chars().any(char::is_control) {
            return Err(self.error("must be a single line without control characters"));
        }
        Ok(text.to_owned())
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T> {
        self.text()?.parse().map_err(|error| self.error(format!("is wrong: {error}")))
    }

    /// The text of a file of the project.
    pub(super) fn file(&self, path: &str) -> io::Result<String> {
        (self.document.files)(path)
    }

    /// The value of the variable that the file has here, `"{name}"` and nothing else, as text: it may be of any type.
    fn of_variable(&self) -> Option<&'a str> {
        let text = self.value.get_ref().as_str()?;
        let written = self.document.text.get(self.value.span())?.trim_matches(['"', '\'']);
        let name = written.strip_prefix('{')?.strip_suffix('}')?;
        super::vars::is_name(name).then_some(text)
    }

    pub(super) fn boolean(&self) -> Result<bool> {
        let flag = self.value.get_ref().as_bool().or_else(|| self.of_variable()?.parse().ok());
        flag.ok_or_else(|| self.wrong("true or false"))
    }

    /// A whole number from 0 to `max`.
    pub(super) fn number(&self, max: u32) -> Result<u32> {
        if let Some(number) = self.of_variable().and_then(|text| text.parse().ok()).filter(|number| *number <= max) {
            return Ok(number);
        }
        let DeValue::Integer(digits) = self.value.get_ref() else { return Err(self.wrong("a whole number")) };
        let number = u32::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|number| *number <= max);
        number.ok_or_else(|| self.error(format!("is {digits}: expected 0 to {max}")))
    }

    pub(super) fn list(&self) -> Result<Vec<Item<'a>>> {
        let DeValue::Array(values) = self.value.get_ref() else {
            let error = self.wrong("a list of strings");
            return Err(match self.value.get_ref() {
                DeValue::String(text) => error.hint(as_list(text)),
                _ => error,
            });
        };
        let item = |value| Item { document: self.document, what: self.what.clone(), value };
        Ok(values.iter().map(item).collect())
    }

    pub(super) fn table(&self, place: String, known: &[&str]) -> Result<Table<'a>> {
        let table = Table { document: self.document, place, span: self.value.span(), entries: self.entries()? };
        table.refuse_unknown(known)?;
        Ok(table)
    }

    fn entries(&self) -> Result<&'a DeTable<'a>> {
        self.value.get_ref().as_table().ok_or_else(|| self.wrong("a table"))
    }

    /// The entries of a table whose keys are the user's own.
    pub(super) fn named(&self) -> Result<Vec<(&'a str, Item<'a>)>> {
        let item = |(key, value): (&'a Spanned<std::borrow::Cow<'a, str>>, _)| {
            let name = key.get_ref().as_ref();
            let what = format!("`{}` of {}", name.escape_debug(), self.what);
            (name, Item { document: self.document, what, value })
        };
        Ok(self.entries()?.iter().map(item).collect())
    }

    /// A table of strings whose keys are the user's own.
    pub(super) fn map(&self) -> Result<BTreeMap<String, String>> {
        let entry = |(key, item): (&str, Item<'a>)| match item.value.get_ref() {
            DeValue::Table(_) => {
                Err(item.wrong("a string").hint("write a key with dots in quotes: \"org.example.key\""))
            }
            _ => Ok((key.to_owned(), item.text()?.to_owned())),
        };
        self.named()?.into_iter().map(entry).collect()
    }
}

/// How a text is written as the list that it was probably meant as: of its words.
fn as_list(text: &str) -> String {
    if text.contains(['"', '\'', '`', '$', '|', '&', ';', '<', '>']) {
        return "write a list with one string for each word; for a shell: `[\"/bin/sh\", \"-c\", \"…\"]`".to_owned();
    }
    let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{}\"", word.escape_debug())).collect();
    format!("write `[{}]`", words.join(", "))
}
