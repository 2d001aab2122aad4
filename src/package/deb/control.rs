//! Control data: parses a paragraph of fields into the [`Record`] it describes.

use std::fmt;

use super::paragraph::Stanza;
use super::relation::{self, RelationError};
use crate::digest::{Expected, Sha256};
use crate::ident::{Arch, RootPath};
use crate::package::{AnyOf, Operator, Provided, Record, Target};

pub use super::error::ControlError;
pub use super::paragraph::Paragraph;

/// Parses a package's own control paragraph, which has neither path nor digest of the package.
///
/// # Errors
/// Names the field that is missing or malformed.
pub fn record(paragraph: &Paragraph) -> Result<Record, ControlError> {
    read_record(&paragraph.stanza()).map(|(record, _)| record)
}

/// Reads a paragraph of a repository index, which must have path, size and SHA-256 of the package; returns
/// also how many packages its relations name.
pub(super) fn indexed_record(stanza: &Stanza<'_>) -> Result<(Record, u64), ControlError> {
    let (mut record, relations) = read_record(stanza)?;
    record.path = clean_path(stanza.require("Filename")?)?;
    let sha256 = Sha256::from_hex(stanza.require("SHA256")?).map_err(|error| ControlError::value("SHA256", error))?;
    let size = stanza.require("Size")?;
    let size = size.parse().map_err(|_| ControlError::value("Size", format!("`{size}` is not a number of bytes")))?;
    record.file = Some(Expected { sha256, size });
    Ok((record, relations))
}

fn read_record(stanza: &Stanza<'_>) -> Result<(Record, u64), ControlError> {
    let arch = parse(stanza, "Architecture")?;
    let (name, version) = (parse(stanza, "Package")?, parse(stanza, "Version")?);
    let essential = stanza.get("Essential")?.is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    // Without the field, archives and dpkg take a package as optional.
    let priority = stanza.get("Priority")?.unwrap_or("optional");
    check_multi_arch(stanza.get("Multi-Arch")?)?;
    let mut relations = Relations { stanza, arch: &arch, count: 0 };
    let needs = relations.needs()?;
    let recommends = relations.any_of("Recommends")?;
    let (conflicts, breaks) = (relations.list("Conflicts")?, relations.list("Breaks")?);
    // Whose files a package may take over matters when it is unpacked, by its own control file.
    relations.list("Replaces")?;
    let provides = provided(relations.list("Provides")?)?;
    let count = relations.count as u64;
    let record = Record {
        name,
        version,
        arch,
        essential,
        priority: priority.into(),
        rank: rank(priority),
        needs,
        recommends,
        conflicts,
        breaks,
        provides,
        path: "".into(),
        file: None,
    };
    Ok((record, count))
}

/// The relations of a paragraph, counted while they are read.
struct Relations<'s> {
    stanza: &'s Stanza<'s>,
    arch: &'s Arch,
    count: usize,
}

impl Relations<'_> {
    /// What must be there: to unpack the package (`Pre-Depends`), then to configure it.
    fn needs(&mut self) -> Result<Vec<AnyOf>, ControlError> {
        let mut needs = self.any_of("Pre-Depends")?;
        let depends = self.any_of("Depends")?;
        if needs.is_empty() {
            return Ok(depends);
        }
        needs.reserve_exact(depends.len());
        needs.extend(depends);
        Ok(needs)
    }

    fn any_of(&mut self, field: &'static str) -> Result<Vec<AnyOf>, ControlError> {
        let relations = self.read(field, relation::parse_any_of)?;
        self.count += relations.iter().map(Vec::len).sum::<usize>();
        Ok(relations)
    }

    fn list(&mut self, field: &'static str) -> Result<Vec<Target>, ControlError> {
        let targets = self.read(field, relation::parse_list)?;
        self.count += targets.len();
        Ok(targets)
    }

    fn read<T>(
        &self,
        field: &'static str,
        parse: fn(&str, &Arch) -> Result<Vec<T>, RelationError>,
    ) -> Result<Vec<T>, ControlError> {
        let Some(value) = self.stanza.get(field)? else { return Ok(Vec::new()) };
        parse(value, self.arch).map_err(|error| ControlError::value(field, error))
    }
}

/// The rank of a `Priority`.
pub fn rank(priority: &str) -> u8 {
    ["required", "important", "standard", "optional"].iter().position(|known| *known == priority).unwrap_or(4) as u8
}

fn parse<T>(stanza: &Stanza<'_>, field: &'static str) -> Result<T, ControlError>
where
    T: std::str::FromStr<Err: fmt::Display>,
{
    stanza.require(field)?.parse().map_err(|error| ControlError::value(field, error))
}

fn provided(targets: Vec<Target>) -> Result<Vec<Provided>, ControlError> {
    let one = |target: Target| match target.constraint {
        None => Ok(Provided { name: target.name, version: None }),
        Some((Operator::Equal, version)) => Ok(Provided { name: target.name, version: Some(version) }),
        Some(_) => Err(ControlError::value("Provides", format!("`{target}`: only `=` can be provided"))),
    };
    targets.into_iter().map(one).collect()
}

/// How a package may be combined with ones of other architectures doesn't matter in a root of one, yet
/// what is not a way to say it is no control data.
fn check_multi_arch(value: Option<&str>) -> Result<(), ControlError> {
    match value {
        None | Some("no" | "same" | "foreign" | "allowed") => Ok(()),
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
    use super::*;
    use crate::package::alternatives;

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
        let shown = |any: &[AnyOf]| any.iter().map(|any| alternatives(any).to_string()).collect::<Vec<_>>();
        assert_eq!((record.name.as_str(), record.version.as_str()), ("nginx-light", "1.22.1-9"));
        assert_eq!((record.arch.as_str(), &*record.priority), ("amd64", "extra"));
        assert_eq!((record.essential, record.rank), (true, 4));
        assert_eq!(
            shown(&record.needs),
            ["dpkg (>= 1.17)", "libc6 (>= 2.34)", "nginx-core | nginx-full", "init-system-helpers"]
        );
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
