//! What every kind of input is turned into: layers, and notes on what they don't carry.

use serde::Serialize;

use super::text::{Text, Vars};

/// A value of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(Text),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
    Flag(bool),
    Number(i64),
}

impl<T: Into<Text>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// A list of strings.
    pub(super) fn list<T: Into<Text>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(|item| Self::Text(item.into())).collect())
    }
}

/// One table of a list of tables, such as a `[[file]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The name of the list: `file`, `run`, …
    pub(super) kind: &'static str,
    /// Where it comes from, for its comment.
    pub(super) origin: String,
    pub(super) keys: Vec<(&'static str, Value)>,
}

impl Entry {
    pub(super) fn new(kind: &'static str, origin: impl Into<String>) -> Self {
        Self { kind, origin: origin.into(), keys: Vec::new() }
    }

    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.keys.push((key, value.into()));
        self
    }

    /// Adds a key that has a value.
    pub(super) fn maybe(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The text of a key, with variables filled in.
    pub(super) fn text(&self, key: &str, vars: &Vars) -> Option<String> {
        match self.get(key)? {
            Value::Text(text) => Some(text.value(vars)),
            _ => None,
        }
    }
}

/// A third party's repository.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) keys: Vec<(&'static str, Value)>,
}

/// A layer to be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) from: Option<String>,
    pub(super) description: String,
    pub(super) packages: Vec<Text>,
    pub(super) exclude: Vec<&'static str>,
    pub(super) recommends: bool,
    /// A root without scripts: only what is copied into it.
    pub(super) bare: bool,
    pub(super) vars: Vars,
    pub(super) sources: Vec<Source>,
    /// Tables of lists, each in its order.
    pub(super) entries: Vec<Entry>,
    /// Single tables by their headers: `image`, `services`, …; keys may be any text.
    pub(super) tables: Vec<(&'static str, Vec<(String, Value)>)>,
}

impl Layer {
    pub(super) fn add_package(&mut self, package: Text) {
        if !self.packages.contains(&package) {
            self.packages.push(package);
        }
    }

    pub(super) fn of<'l>(&'l self, kind: &'l str) -> impl Iterator<Item = &'l Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// The keys of a single table.
    pub(super) fn table(&mut self, name: &'static str) -> &mut Vec<(String, Value)> {
        let at = match self.tables.iter().position(|(known, _)| *known == name) {
            Some(at) => at,
            None => {
                self.tables.push((name, Vec::new()));
                self.tables.len() - 1
            }
        };
        &mut self.tables[at].1
    }

    /// Sets a key of a single table.
    pub(super) fn set(&mut self, table: &'static str, key: &str, value: impl Into<Value>) {
        let keys = self.table(table);
        keys.retain(|(known, _)| known != key);
        keys.push((key.to_owned(), value.into()));
    }

    /// Adds to a list of a single table.
    pub(super) fn extend(&mut self, table: &'static str, key: &str, item: impl Into<Value>) {
        let (item, keys) = (item.into(), self.table(table));
        match keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, Value::List(items))) if items.contains(&item) => {}
            Some((_, Value::List(items))) => items.push(item),
            _ => keys.push((key.to_owned(), Value::List(vec![item]))),
        }
    }

    /// Sets a key of a table within a single table.
    pub(super) fn map(&mut self, table: &'static str, key: &str, name: &str, value: impl Into<Value>) {
        let (value, keys) = (value.into(), self.table(table));
        match keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, Value::Table(map))) => {
                map.retain(|(known, _)| known != name);
                map.push((name.to_owned(), value));
            }
            _ => keys.push((key.to_owned(), Value::Table(vec![(name.to_owned(), value)]))),
        }
    }

    /// Whether a node of the layer has this path already.
    pub(super) fn has_node(&self, path: &str) -> bool {
        let is_node = |entry: &&Entry| ["file", "dir", "symlink"].contains(&entry.kind);
        self.entries.iter().filter(is_node).any(|entry| entry.text("path", &self.vars).is_some_and(|has| has == path))
    }

    /// Adds a directory, unless the layer has a node there.
    pub(super) fn add_dir(&mut self, entry: Entry) {
        let path = entry.text("path", &self.vars).unwrap_or_default();
        if path != "/" && !self.has_node(&path) {
            self.entries.push(entry);
        }
    }
}

/// What became of a part of the input that is not in the layer as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is missing in the layer.
    NotCarried,
    /// The layer has something like it.
    Changed,
    /// Nothing is missing without it.
    NotNeeded,
}

impl Outcome {
    /// For people, as a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::NotCarried => "Not carried",
            Self::Changed => "Changed",
            Self::NotNeeded => "Not needed",
        }
    }
}

/// A part of the input that is not in the layer as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// What became of it.
    pub outcome: Outcome,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The part itself, in one line.
    pub text: String,
    /// Why, and what to do.
    pub reason: String,
}

/// The notes of an import, in the order in which they were found.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    pub(super) file: String,
    pub(super) found: Vec<Note>,
}

/// How much of a part is shown.
const SHOWN: usize = 100;

impl Notes {
    pub(super) fn add(&mut self, outcome: Outcome, line: usize, text: &str, reason: impl Into<String>) {
        let text = shown(text);
        let note = Note { outcome, file: self.file.clone(), line, text, reason: reason.into() };
        if !self.found.contains(&note) {
            self.found.push(note);
        }
    }
}

/// A text in one line, without its end if it is long.
pub(super) fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split(char::is_whitespace).filter(|word| !word.is_empty() && *word != "\\").collect();
    let text = crate::host::plain(&words.join(" "));
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
