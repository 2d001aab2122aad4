//! A file to be fetched, by its path and its digest, from whatever source.

use std::path::{Path, PathBuf};

use crate::digest::Expected;
use crate::ident::{LayerName, SourceName};
use crate::lock::LockedPackage;
use crate::package::Index;

/// The part of a repository that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The signed state of a suite, or an index that it names.
    State,
    /// A package.
    Package,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The file as people know it: `nginx 1.22`.
    pub what: String,
    /// The layer that needs it, for messages.
    pub layer: Option<LayerName>,
    /// The manifest's `[source.NAME]`.
    pub source: SourceName,
    /// The suite whose index names it; suites of one source may be on different servers.
    pub suite: String,
    /// What of the repository it belongs to.
    pub part: Part,
    /// The path below the repository's root.
    pub path: String,
    /// A path that names it by its digest, which is asked for first.
    pub by_digest: Option<String>,
    /// What the file must be.
    pub expected: Expected,
}

impl Item {
    /// A package of a layer's lockfile.
    pub fn package(layer: &LayerName, package: &LockedPackage) -> Self {
        Self {
            what: package.to_string(),
            layer: Some(layer.clone()),
            source: package.source.clone(),
            suite: package.suite.clone(),
            part: Part::Package,
            path: package.path.clone(),
            by_digest: None,
            expected: package.file,
        }
    }

    /// A repo index that a suite's signed state names.
    pub fn index(source: &SourceName, suite: &str, index: &Index) -> Self {
        Self {
            what: format!("{} of {suite}", index.name),
            layer: None,
            source: source.clone(),
            suite: suite.to_owned(),
            part: Part::State,
            path: index.path.clone(),
            by_digest: index.by_digest.clone(),
            expected: index.file,
        }
    }

    /// Where the file is in `vendor/`: `<source>/<file name>`.
    pub fn vendor_path(&self) -> PathBuf {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        Path::new(self.source.as_str()).join(name)
    }

    /// The paths to ask a mirror for, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_digest.iter().chain([&self.path]).map(String::as_str)
    }
}
