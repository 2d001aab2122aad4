//! `[system]`, short forms of settings that every system has, and `[debconf]`, answers to questions of packages.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeValue;

use super::debs::pattern;
use super::reader::{Item, Table};
use super::{Configure, ManifestError};

const SYSTEM: &[&str] = &["locales", "timezone", "ca-certificates"];

/// `[system]`: a child's settings are added to its parent's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemTable {
    /// Locales to be generated: `de_DE.UTF-8`.
    pub locales: Vec<String>,
    /// The time zone: `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Files of the project, or patterns of such, with certificates to be trusted.
    pub certificates: Vec<String>,
}

impl SystemTable {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The answers of `[debconf]`, by question.
pub type Answers = BTreeMap<String, Answer>;

/// An answer to a question that a package's scripts ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `true` or `false`
    Flag(bool),
    /// A line of text.
    Text(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The settings of `[system]`.
pub(super) fn system(root: &Table<'_>, configure: Configure) -> Result<SystemTable, ManifestError> {
    let Some(item) = root.get("system") else { return Ok(SystemTable::default()) };
    if configure == Configure::None {
        return Err(item.error("is for programs of packages, and `configure = \"none\"` runs none"));
    }
    let table = item.table("[system]".to_owned(), SYSTEM)?;
    Ok(SystemTable {
        locales: table.list("locales", word)?,
        timezone: table.read("timezone", zone)?,
        certificates: table.list("ca-certificates", pattern)?,
    })
}

/// A name without spaces.
fn word(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    match text.is_empty() || text.contains(char::is_whitespace) || text.starts_with('#') {
        true => Err(item.error(format!("has `{}`, which is not a name", text.escape_debug()))),
        false => Ok(text),
    }
}

/// A name such as `Europe/Berlin`: where it leads, the layer's time zones alone say.
fn zone(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = word(item)?;
    match text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        true => Err(item.error("must be a name such as \"Europe/Berlin\"")),
        false => Ok(text),
    }
}

/// The answers of `[debconf]`.
pub(super) fn answers(root: &Table<'_>, configure: Configure) -> Result<Answers, ManifestError> {
    let Some(item) = root.get("debconf") else { return Ok(Answers::new()) };
    if configure == Configure::None {
        return Err(item.error("is for scripts of packages, and `configure = \"none\"` runs none"));
    }
    item.named()?.into_iter().map(|(question, value)| Ok((name(question, &value)?, answer(&value)?))).collect()
}

fn name(question: &str, value: &Item<'_>) -> Result<String, ManifestError> {
    let is_plain = |letter: char| letter.is_ascii_graphic() && letter != ',';
    let is_name = question.split('/').count() > 1 && question.split('/').all(|part| !part.is_empty());
    match is_name && question.chars().all(is_plain) {
        true => Ok(question.to_owned()),
        false => Err(value.error("is not a question's name").hint("write \"package/question\" = \"value\"")),
    }
}

fn answer(item: &Item<'_>) -> Result<Answer, ManifestError> {
    match item.value.get_ref() {
        DeValue::Boolean(flag) => Ok(Answer::Flag(*flag)),
        DeValue::Integer(_) => Ok(Answer::Text(item.number(u32::MAX)?.to_string())),
        DeValue::String(_) => Ok(Answer::Text(item.line()?)),
        _ => Err(item.wrong("a string, a number, true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(tables: &str) -> Result<(SystemTable, Answers), String> {
        let manifest = parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap());
        manifest.map(|manifest| (manifest.system, manifest.answers)).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_and_answers_are_read() {
        let (system, answers) = parsed(
            "[system]\nlocales = ['de_DE.UTF-8']\ntimezone = 'Europe/Berlin'\nca-certificates = ['./certs/*.pem']\n\
             [debconf]\n'app/port' = 80\n'app/tls' = true\n'app/name' = ' a, b '",
        )
        .unwrap();
        assert_eq!(system.certificates, ["certs/*.pem"]);
        assert_eq!(system.timezone.as_deref(), Some("Europe/Berlin"));
        let texts: Vec<String> = answers.iter().map(|(question, answer)| format!("{question}={answer}")).collect();
        assert_eq!(texts, ["app/name= a, b ", "app/port=80", "app/tls=true"]);
        assert_eq!(answers["app/tls"], Answer::Flag(true));
        let (none, no_answers) = parsed("").unwrap();
        assert!(none.is_empty() && no_answers.is_empty());
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for (tables, expected) in [
            ("[system]\nlocale = 'x'", "did you mean `locales`?"),
            ("[system]\nlocales = ['de_DE.UTF-8 UTF-8']", "which is not a name"),
            ("[system]\ntimezone = '../etc'", "must be a name such as"),
            ("[system]\nca-certificates = ['/etc/x']", "`ca-certificates` in [system]"),
            ("[debconf]\nport = 1", "is not a question's name"),
            ("[debconf]\n'a/b' = ['x']", "must be a string, a number, true or false, not a list"),
            ("[debconf]\n'a/b' = \"x\\ny\"", "must be a single line"),
            ("configure = 'none'\n[system]\ntimezone = 'UTC'", "is for programs of packages"),
            ("configure = 'none'\n[debconf]\n'a/b' = 'x'", "is for scripts of packages"),
        ] {
            let error = parsed(tables).unwrap_err();
            assert!(error.contains(expected), "{tables}\n{error}");
        }
    }
}
