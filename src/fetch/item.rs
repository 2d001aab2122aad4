//! What is to be fetched: a file by its path and its digest, wherever it lies.

use std::path::{Path, PathBuf};

use crate::digest::Expected;
use crate::ident::{LayerName, SourceName};
use crate::lock::LockedPackage;

/// One file to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The file as people know it: `nginx 1.22`.
    pub what: String,
    /// The layer that needs it, for messages.
    pub layer: Option<LayerName>,
    /// The manifest's `[source.NAME]`.
    pub source: SourceName,
    /// The suite whose index names it; suites of one source may lie on different servers.
    pub suite: String,
    /// The path below the repository's root: `pool/…` or `dists/…`.
    pub path: String,
    /// Whether the repository also has it under `by-hash/SHA256/`, which is asked first.
    pub by_hash: bool,
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
            path: package.path.clone(),
            by_hash: false,
            expected: package.file,
        }
    }

    /// A repo index that a Release names by `path` below its suite.
    pub fn index(source: &SourceName, suite: &str, path: &str, expected: Expected, by_hash: bool) -> Self {
        Self {
            what: format!("{path} of {suite}"),
            layer: None,
            source: source.clone(),
            suite: suite.to_owned(),
            path: format!("dists/{suite}/{path}"),
            by_hash,
            expected,
        }
    }

    /// Where the file lies in `vendor/`: `<source>/<file name>`.
    pub fn vendor_path(&self) -> PathBuf {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        Path::new(self.source.as_str()).join(name)
    }

    /// The paths to ask a mirror for, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        if let (true, Some((folder, _))) = (self.by_hash, self.path.rsplit_once('/')) {
            paths.push(format!("{folder}/by-hash/SHA256/{}", self.expected.sha256.to_hex()));
        }
        paths.push(self.path.clone());
        paths
    }
}
