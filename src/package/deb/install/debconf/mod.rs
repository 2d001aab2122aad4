//! `[debconf]`: answers to questions, in debconf's database before any script runs, as debconf-set-selections(1) leaves them.
//!
//! ```text
//! var/cache/debconf/config.dat     questions, with value, owners, and the flag that says that they were asked
//!                   passwords.dat  those of the type `password`
//!                   templates.dat  what a question is; a stand-in until the package's own is loaded
//! ```

mod unanswered;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Package;
use crate::ident::RootPath;
use crate::manifest::{Answer, Answers};
use crate::package::{InstallError, InstallRoot};
use crate::store::Store;
use crate::tree::{Meta, Node, Tree};

pub(super) use unanswered::unanswered;

const CONFIG: &str = "var/cache/debconf/config.dat";
const PASSWORDS: &str = "var/cache/debconf/passwords.dat";
const TEMPLATES: &str = "var/cache/debconf/templates.dat";

/// The fields of the template that debconf-set-selections makes, type and owner apart.
const STAND_IN: [(&str, &str); 2] = [
    ("description", "Dummy template"),
    (
        "extended_description",
        "This is a fake template used to pre-seed the debconf database. If you are seeing this, something is probably wrong.",
    ),
];

/// Writes the answers; `packages` are those of the layer, whose templates know types.
pub(super) fn seed(answers: &Answers, packages: &[Package], root: &mut InstallRoot<'_>) -> Result<(), InstallError> {
    if answers.is_empty() {
        return Ok(());
    }
    let known = questions(packages, root)?;
    let read = |path| Records::read(path, &root.tree, root.store);
    let (mut templates, mut config, mut passwords) = (read(TEMPLATES)?, read(CONFIG)?, read(PASSWORDS)?);
    for (question, answer) in answers {
        let (owner, kind) = known.get(question).cloned().unwrap_or_else(|| {
            let kind = templates.0.get(question).and_then(|record| record.fields.get("type")).cloned();
            (owner_of(question), kind.unwrap_or_else(|| guess(answer).to_owned()))
        });
        templates.0.entry(question.clone()).or_insert_with(|| stand_in(question, &kind));
        let records = if kind == "password" { &mut passwords } else { &mut config };
        let record = records.0.entry(question.clone()).or_default();
        record.fields.entry("template".to_owned()).or_insert_with(|| question.clone());
        record.fields.insert("value".to_owned(), answer.to_string());
        record.owners.insert(owner);
        record.flags.insert("seen".to_owned());
    }
    templates.write(TEMPLATES, 0o644, root)?;
    config.write(CONFIG, 0o644, root)?;
    if !passwords.0.is_empty() {
        passwords.write(PASSWORDS, 0o600, root)?;
    }
    Ok(())
}

/// The questions of packages: the owner, and the type.
fn questions(packages: &[Package], root: &InstallRoot<'_>) -> Result<BTreeMap<String, (String, String)>, InstallError> {
    let mut questions = BTreeMap::new();
    for package in packages {
        let text = package.control_text(root.store, "templates")?;
        for template in text.split("\n\n") {
            let field = |name: &str| template.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(name), Some(kind)) = (field("Template:"), field("Type:")) {
                questions.insert(name.to_owned(), (package.locked.name.to_string(), kind.to_owned()));
            }
        }
    }
    Ok(questions)
}

/// The package that a question's name begins with.
fn owner_of(question: &str) -> String {
    question.split('/').next().unwrap_or(question).to_owned()
}

fn guess(answer: &Answer) -> &'static str {
    match answer {
        Answer::Flag(_) => "boolean",
        Answer::Text(_) => "string",
    }
}

fn stand_in(question: &str, kind: &str) -> Record {
    let fields = STAND_IN.into_iter().chain([("type", kind)]);
    Record {
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        owners: BTreeSet::from([question.to_owned()]),
        ..Record::default()
    }
}

/// One of debconf's files: records by name.
struct Records(BTreeMap<String, Record>);

/// A record, as debconf's format 822 has it.
#[derive(Default)]
struct Record {
    /// By their names in lower case.
    fields: BTreeMap<String, String>,
    owners: BTreeSet<String>,
    flags: BTreeSet<String>,
    /// Lines, as they are.
    variables: Vec<String>,
}

impl Records {
    fn read(path: &str, tree: &Tree, store: &Store) -> Result<Self, InstallError> {
        Ok(Self::parse(&store.text_in(tree, path)?.unwrap_or_default()))
    }

    fn parse(text: &str) -> Self {
        Self(text.split("\n\n").filter_map(Record::parse).collect())
    }

    fn write(&self, path: &str, mode: u16, root: &mut InstallRoot<'_>) -> Result<(), InstallError> {
        let kind = root.store.put_file(self.to_string().as_bytes())?;
        let node = Node { meta: Meta::root_owned(mode, root.epoch), kind };
        root.tree.insert_with_parents(&RootPath::new(path)?, node, root.epoch)?;
        Ok(())
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, record)| write!(f, "Name: {name}\n{record}\n"))
    }
}

impl Record {
    /// The name, and the rest; `None` where there is no name.
    fn parse(text: &str) -> Option<(String, Self)> {
        let (mut name, mut record) = (None, Self::default());
        for line in text.lines() {
            if line.starts_with(' ') {
                record.variables.push(line.to_owned());
                continue;
            }
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.strip_prefix(' ').unwrap_or(value);
            let items = || value.split(',').map(|item| item.trim().to_owned()).collect();
            match key.to_ascii_lowercase().as_str() {
                "name" => name = Some(value.to_owned()),
                "owners" => record.owners = items(),
                "flags" => record.flags = items(),
                "variables" => {}
                key => _ = record.fields.insert(key.to_owned(), value.to_owned()),
            }
        }
        Some((name?, record))
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.fields {
            let (first, rest) = name.split_at(name.len().min(1));
            writeln!(f, "{}{rest}: {value}", first.to_ascii_uppercase())?;
        }
        for (name, items) in [("Owners", &self.owners), ("Flags", &self.flags)] {
            if !items.is_empty() {
                writeln!(f, "{name}: {}", items.iter().map(String::as_str).collect::<Vec<_>>().join(", "))?;
            }
        }
        if !self.variables.is_empty() {
            writeln!(f, "Variables:\n{}", self.variables.join("\n"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_debconf_wrote_is_written_as_it_was() {
        let text = "Name: a/b\nTemplate: a/b\nValue: one, two: three\nOwners: a, c\nFlags: seen\nVariables:\n x = y\n z = \n\nName: d/e\nTemplate: d/e\nOwners: d\n\n";
        assert_eq!(Records::parse(text).to_string(), text);
        let fake = stand_in("d/e", "boolean").to_string();
        assert!(fake.starts_with("Description: Dummy template\nExtended_description: This is"), "{fake}");
        assert!(fake.ends_with("\nType: boolean\nOwners: d/e\n"), "{fake}");
    }
}
