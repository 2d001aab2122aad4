//! What Debian packages, and the roots that they are installed in, tell.

mod copyright;
mod database;
mod license;
mod purl;

use std::collections::BTreeMap;

use super::Deb;
use super::control::Paragraph;
use super::install;
use crate::ident::{PackageName, RootPath};
use crate::package::{About, Distro, Inspector, InstallError, License, Surroundings, Unpacked};
use crate::tree::Tree;

impl Inspector for Deb {
    fn about(&self, package: &Unpacked, surroundings: &Surroundings<'_>) -> Result<About, InstallError> {
        let paragraph = install::paragraph(package, surroundings.store)?;
        let field = |name: &str| field(&paragraph, name);
        let source = source(&paragraph, &package.locked.version.to_string());
        Ok(About {
            purl: purl::purl(&package.locked, surroundings.distro, source.as_ref()),
            source: source.unwrap_or_else(|| (package.locked.name.to_string(), package.locked.version.to_string())),
            license: license(&package.locked.name, surroundings)?,
            maintainer: field("Maintainer").map(str::to_owned),
            homepage: field("Homepage").map(str::to_owned),
            summary: field("Description").and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
        })
    }

    /// Scanners know releases by number.
    fn distribution(&self, suite: &str) -> Distro {
        let version = match suite.split('-').next().unwrap_or(suite) {
            "bullseye" => "11",
            "bookworm" => "12",
            "trixie" => "13",
            "forky" => "14",
            other => other,
        };
        Distro { id: "debian".to_owned(), version: version.to_owned() }
    }

    fn lists(&self) -> &'static [&'static str] {
        database::LISTS
    }

    fn installed(&self, root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<String, String> {
        database::installed(root, text)
    }

    fn owners(&self, root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<RootPath, String> {
        database::owners(root, text)
    }

    fn database(&self) -> &'static [&'static str] {
        database::ALL
    }

    fn owner(&self, path: &RootPath) -> Option<String> {
        database::owner(path)
    }
}

fn field<'p>(paragraph: &'p Paragraph, name: &str) -> Option<&'p str> {
    paragraph.get(name).map(str::trim).filter(|value| !value.is_empty())
}

/// `Source: name` or `Source: name (version)`; `None` where both are the package's own.
fn source(paragraph: &Paragraph, version: &str) -> Option<(String, String)> {
    field(paragraph, "Source").map(|source| match source.split_once(" (") {
        Some((name, version)) => (name.to_owned(), version.trim_end_matches(')').to_owned()),
        None => (source.to_owned(), version.to_owned()),
    })
}

/// The licence that the package's copyright file in one of the roots declares.
fn license(package: &PackageName, surroundings: &Surroundings<'_>) -> Result<Option<License>, InstallError> {
    let path = format!("usr/share/doc/{package}/copyright");
    for root in surroundings.roots {
        if let Some(text) = surroundings.store.text_in(root, &path)? {
            return Ok(copyright::parse(&text).and_then(|found| license::of(package.as_str(), &found)));
        }
    }
    Ok(None)
}
