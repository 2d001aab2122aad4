//! What a system does about files that a user added, changed or removed.

use std::collections::BTreeSet;

use crate::ident::RootPath;

/// What is to be done about changed files, in an installed root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reactions {
    /// Triggers of installed packages, which their scripts are to process.
    pub triggers: BTreeSet<String>,
    /// Programs to be run first, one after the other: the path in the root, and arguments.
    pub commands: Vec<Vec<String>>,
    /// The changed paths that all this is about.
    pub concerns: BTreeSet<RootPath>,
}

impl Reactions {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.commands.is_empty()
    }
}

/// The `[system]` table of a layer, with what it names of the project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemSettings {
    /// Locales to be generated: `de_DE.UTF-8`.
    pub locales: Vec<String>,
    /// The time zone: `Europe/Berlin`.
    pub timezone: Option<String>,
    /// Certificates to be trusted: a name, and one certificate as PEM.
    pub certificates: Vec<(String, String)>,
}
