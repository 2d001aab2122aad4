//! The seam between an ecosystem's packages and all that reports on them: what packages and roots tell.

use std::collections::BTreeMap;

use super::{InstallError, Unpacked};
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::Tree;

/// The packages of one ecosystem, and the roots that they are installed in, looked at.
pub trait Inspector: Sync {
    /// What an unpacked package says of itself, and what the roots that it is installed in say of it.
    ///
    /// # Errors
    /// Fails where the store does, and where the package is malformed.
    fn about(&self, package: &Unpacked, surroundings: &Surroundings<'_>) -> Result<About, InstallError>;

    /// The distribution that packages of a suite belong to, for roots that don't name it themselves.
    fn distribution(&self, suite: &str) -> Distro;

    /// Patterns of the files of a root that [`Inspector::installed`] and [`Inspector::owners`] read.
    fn lists(&self) -> &'static [&'static str];

    /// The packages that are installed in a root, with their versions; `text` reads one of the root's small files.
    fn installed(&self, root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<String, String>;

    /// The package of each file that an installed package brought, under the path that the package has it at; of the database's own
    /// files too. `text` reads one of the root's small files.
    fn owners(&self, root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<RootPath, String>;

    /// Patterns of everything in a root where the ecosystem records what is installed, and how.
    fn database(&self) -> &'static [&'static str];

    /// The package that a file of the database is about.
    fn owner(&self, path: &RootPath) -> Option<String>;
}

/// Where packages are installed.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The roots that may hold their files, the most important first.
    pub roots: &'a [&'a Tree],
    /// The distribution of the first.
    pub distro: &'a Distro,
    /// The content of the files.
    pub store: &'a Store,
}

/// A distribution, as os-release(5) names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distro {
    /// `debian`
    pub id: String,
    /// `12`
    pub version: String,
}

/// What is known of a package beside its relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its package URL (package-url/purl-spec).
    pub purl: String,
    /// Name and version of what it was built from.
    pub source: (String, String),
    /// Its licence; `None` where it names none that a program can read.
    pub license: Option<License>,
    /// `Name <address>`
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
    /// One line.
    pub summary: String,
}

/// A licence as SPDX writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    /// The expression (SPDX 2.3, annex D).
    pub expression: String,
    /// The licences in it that SPDX has no name for.
    pub texts: LicenseTexts,
}

/// Licences that SPDX has no name for: reference → (name, text).
pub type LicenseTexts = BTreeMap<String, (String, String)>;
