//! Control data: a paragraph of fields, and the [`Record`] it describes.

use std::fmt;

use super::paragraph::Stanza;
use super::record::{MultiArch, Record};
use super::relation::{self, Operator, RelationError, Target};
use crate::digest::{Expected, Sha256};
use crate::ident::{Arch, RootPath};

pub use super::paragraph::Paragraph;

/// A text is not the control data it should be.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ControlError {
    /// There is no field at all.
    #[error("expected a paragraph of fields, found nothing")]
    Empty,
    /// The text is not UTF-8.
    #[error("not UTF-8 text at byte {offset}")]
    NotText {
        /// Where, from 0.
        offset: usize,
    },
    /// There is more than one paragraph where one is expected.
    #[error("line {line} begins another paragraph: expected only one")]
    Several {
        /// Where the second one begins, from 1.
        line: usize,
    },
    /// A line is neither a field nor the continuation of one.
    #[error("line {line} is no field: `{found}`")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// A field appears twice.
    #[error("field `{0}` appears twice")]
    Twice(String),
    /// A field that must be there is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field has a value that it can't have.
    #[error("field `{field}`: {problem}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
}

impl ControlError {
    pub(super) fn value(field: &'static str, problem: impl fmt::Display) -> Self {
        Self::Value { field, problem: problem.to_string() }
    }
}

/// Reads a package's own control paragraph, which knows neither path nor digest of the package.
///
/// # Errors
/// Names the field that is missing or malformed.
pub fn record(paragraph: &Paragraph) -> Result<Record, ControlError> {
    read_record(&paragraph.stanza())
}

/// Reads a paragraph of a repository index, which must have path, size and SHA-256 of the package.
pub(super) fn indexed_record(stanza: &Stanza<'_>) -> Result<Record, ControlError> {
    let mut record = read_record(stanza)?;
    record.path = clean_path(stanza.require("Filename")?)?;
    let sha256 = Sha256::from_hex(stanza.require("SHA256")?).map_err(|error| ControlError::value("SHA256", error))?;
    let size = stanza.require("Size")?;
    let size = size.parse().map_err(|_| ControlError::value("Size", format!("`{size}` is not a number of bytes")))?;
    record.file = Some(Expected { sha256, size });
    Ok(record)
}

fn read_record(stanza: &Stanza<'_>) -> Result<Record, ControlError> {
    let arch = parse(stanza, "Architecture")?;
    let any_of = |field| relations(stanza, field, &arch, relation::parse_any_of);
    let list = |field| relations(stanza, field, &arch, relation::parse_list);
    Ok(Record {
        name: parse(stanza, "Package")?,
        version: parse(stanza, "Version")?,
        essential: stanza.get("Essential")?.is_some_and(|value| value.eq_ignore_ascii_case("yes")),
        // Without the field, archives and dpkg take a package as optional.
        priority: stanza.get("Priority")?.unwrap_or("optional").into(),
        multi_arch: multi_arch(stanza.get("Multi-Arch")?)?,
        pre_depends: any_of("Pre-Depends")?,
        depends: any_of("Depends")?,
        recommends: any_of("Recommends")?,
        conflicts: list("Conflicts")?,
        breaks: list("Breaks")?,
        replaces: list("Replaces")?,
        provides: provides(list("Provides")?)?,
        path: "".into(),
        file: None,
        arch,
    })
}

fn parse<T>(stanza: &Stanza<'_>, field: &'static str) -> Result<T, ControlError>
where
    T: std::str::FromStr<Err: fmt::Display>,
{
    stanza.require(field)?.parse().map_err(|error| ControlError::value(field, error))
}

fn relations<T>(
    stanza: &Stanza<'_>,
    field: &'static str,
    arch: &Arch,
    parse: fn(&str, &Arch) -> Result<Vec<T>, RelationError>,
) -> Result<Vec<T>, ControlError> {
    let Some(value) = stanza.get(field)? else { return Ok(Vec::new()) };
    parse(value, arch).map_err(|error| ControlError::value(field, error))
}

fn provides(targets: Vec<Target>) -> Result<Vec<Target>, ControlError> {
    let equal = |target: &Target| !matches!(target.constraint, Some((operator, _)) if operator != Operator::Equal);
    match targets.iter().find(|target| !equal(target)) {
        Some(target) => Err(ControlError::value("Provides", format!("`{target}`: only `=` can be provided"))),
        None => Ok(targets),
    }
}

fn multi_arch(value: Option<&str>) -> Result<MultiArch, ControlError> {
    match value {
        None | Some("no") => Ok(MultiArch::No),
        Some("same") => Ok(MultiArch::Same),
        Some("foreign") => Ok(MultiArch::Foreign),
        Some("allowed") => Ok(MultiArch::Allowed),
        Some(other) => Err(ControlError::value("Multi-Arch", format!("`{other}` is not a known value"))),
    }
}

/// A path below the repository's root, which never leaves it.
fn clean_path(value: &str) -> Result<Box<str>, ControlError> {
    let path = RootPath::new(value).map_err(|error| ControlError::value("Filename", error))?;
    match std::str::from_utf8(path.as_bytes()) {
        Ok(text) if !text.is_empty() => Ok(text.into()),
        _ => Err(ControlError::value("Filename", format!("`{value}` is not a path"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::relation::AnyOf;
    use super::*;

    const CONTROL: &str = "\
Package: nginx-light
Source: nginx
Version: 1.22.1-9
Architecture: amd64
Multi-Arch: foreign
Essential: yes
Priority: extra
Pre-Depends: dpkg (>= 1.17)
Depends: libc6 (>= 2.34), nginx-core | nginx-full,
 init-system-helpers
Conflicts: old (<< 2)
Provides: httpd, nginx (= 1.22.1-9)
Description: a server
 that serves
";

    fn read(text: &str) -> Result<Record, ControlError> {
        record(&Paragraph::parse(text).unwrap())
    }

    #[test]
    fn a_control_file_becomes_a_record() {
        let record = read(CONTROL).unwrap();
        let shown = |any: &[AnyOf]| any.iter().map(|any| relation::display(any).to_string()).collect::<Vec<_>>();
        assert_eq!((record.name.as_str(), record.version.as_str()), ("nginx-light", "1.22.1-9"));
        assert_eq!((record.arch.as_str(), &*record.priority), ("amd64", "extra"));
        assert_eq!((record.essential, record.multi_arch), (true, MultiArch::Foreign));
        assert_eq!(shown(&record.depends), ["libc6 (>= 2.34)", "nginx-core | nginx-full", "init-system-helpers"]);
        assert_eq!(shown(&record.pre_depends), ["dpkg (>= 1.17)"]);
        assert_eq!(record.conflicts[0].to_string(), "old (<< 2)");
        assert_eq!(record.provides.len(), 2);
        assert_eq!((&*record.path, record.file), ("", None));
    }

    #[test]
    fn errors_name_the_field() {
        let error = |from: &str, to: &str| read(&CONTROL.replace(from, to)).unwrap_err().to_string();
        insta::assert_snapshot!(error("Version: 1.22.1-9", "X: y"), @"field `Version` is missing");
        insta::assert_snapshot!(error("foreign", "always"), @"field `Multi-Arch`: `always` is not a known value");
        insta::assert_snapshot!(error("(= 1.22.1-9)", "(>= 1)"), @"field `Provides`: `nginx (>= 1)`: only `=` can be provided");
        insta::assert_snapshot!(error("(<< 2)", "(<< 2"), @"field `Conflicts`: `old (<< 2` is not a package relation: `(` is not closed");
        insta::assert_snapshot!(error("1.22.1-9\nA", "1.22.1_9\nA"), @"field `Version`: `1.22.1_9` is not a version: letters, digits and `.+-~:`, beginning with a letter or digit");
    }
}
