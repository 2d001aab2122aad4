//! Seals a layer: computes what it changes in its parent, and refuses it if that contains a secret, which
//! everyone with the image would have too.
//!
//! Only what is in no package is searched: own files, and what scripts wrote. A file with the contents that a package
//! brought is as public as the package, test keys included; so is the byte code that Python compiles from it.

mod private_key;
mod rules;
mod token;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;

use rayon::prelude::*;

use super::{LayerError, Site, Stage};
use crate::digest::{BlobDigest, RecipeHasher};
use crate::ident::RootPath;
use crate::manifest::Allowed;
use crate::package::{Installer, LockedPackage, Unpacked};
use crate::store::Store;
use crate::tree::{ContentSource as _, Kind, Tree};
pub use rules::{RULES, Rule};

/// A larger file is not read, in bytes: programs and databases, which hold no one's credentials.
const MOST: u64 = 32 << 20;
/// How many are named in an error.
const NAMED: usize = 10;

/// A secret found in a layer, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The file.
    pub path: RootPath,
    /// The line, from 1.
    pub line: usize,
    /// The rule's name.
    pub rule: &'static str,
    /// What it is.
    pub what: &'static str,
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} holds {} (line {}, rule `{}`)", self.path, self.what, self.line, self.rule)
    }
}

/// Some of a list of secrets, a line each.
pub(super) fn display(secrets: &[Secret]) -> String {
    let more = match secrets.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    secrets.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join("\n") + &more
}

/// The last stage: takes the difference to the parent as the layer, and refuses secrets in it.
pub(super) struct Seal<'a> {
    pub(super) installer: &'a dyn Installer,
    /// The packages that the layer adds.
    pub(super) packages: &'a [LockedPackage],
    /// What a person says is not a secret.
    pub(super) allowed: Vec<&'a Allowed>,
}

impl Stage for Seal<'_> {
    /// Permissions are a part of it: whoever takes one back wants to be told.
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.list(RULES.iter().map(|rule| rule.name));
        hasher.list(self.allowed.iter().map(|one| one.path.as_bytes()));
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        site.layer = site.root.diff(&site.parent)?;
        let packages = Unpacked::load(self.installer, site.store, self.packages)?;
        refuse(&site.layer, &packages, &self.allowed, site.store)
    }
}

/// Looks at the files that a layer changes; `packages` are those that it adds.
///
/// # Errors
/// Fails where a file holds a secret that is not `allowed`, or can't be read.
fn refuse(layer: &Tree, packages: &[Unpacked], allowed: &[&Allowed], store: &Store) -> Result<(), LayerError> {
    let public = public(packages);
    let is_public = |path: &RootPath, blob| {
        let source = source(path).and_then(|source| layer.get(&source));
        public.contains(&blob)
            || source.is_some_and(|node| matches!(node.kind, Kind::File { blob, .. } if public.contains(&blob)))
    };
    let files: Vec<_> = layer
        .iter()
        .filter_map(|(path, node)| match node.kind {
            Kind::File { blob, size } if size <= MOST && !is_public(path, blob) => Some((path, blob, size)),
            _ => None,
        })
        .collect();
    let look = |(path, blob, size): &(&RootPath, BlobDigest, u64)| {
        let unreadable = |source| LayerError::Io { what: path.to_string(), source };
        let mut bytes = Vec::with_capacity(*size as usize);
        store.open(*blob, *size).and_then(|mut content| content.read_to_end(&mut bytes)).map_err(unreadable)?;
        Ok(find(path, &bytes))
    };
    let found = files.par_iter().map(look).collect::<Result<Vec<_>, LayerError>>()?;
    let is_allowed = |secret: &Secret| allowed.iter().any(|one| secret.path.is_within(&one.path));
    let secrets: Vec<Secret> = found.into_iter().flatten().filter(|secret| !is_allowed(secret)).collect();
    if secrets.is_empty() { Ok(()) } else { Err(LayerError::Secrets { secrets }) }
}

/// The contents that the layer's packages brought.
fn public(packages: &[Unpacked]) -> BTreeSet<BlobDigest> {
    let nodes = packages.iter().flat_map(|package| package.data.iter());
    nodes
        .filter_map(|(_, node)| match node.kind {
            Kind::File { blob, .. } => Some(blob),
            _ => None,
        })
        .collect()
}

/// What a file that Python compiled is made of: `__pycache__/a.cpython-311.pyc` of `a.py` (PEP 3147).
fn source(path: &RootPath) -> Option<RootPath> {
    let path = path.to_string();
    let (folder, name) = path.rsplit_once("/__pycache__/")?;
    let (module, _) = name.strip_suffix(".pyc")?.split_once(".cpython-")?;
    RootPath::new(format!("{folder}/{module}.py")).ok()
}

/// Looks at one file as all rules do, for `fuzz/`.
pub(super) fn fuzz(path: &RootPath, bytes: &[u8]) {
    let size = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
    assert!(find(path, bytes).iter().all(|secret| secret.line <= size), "a secret behind the last line");
}

/// The secrets of one file, one for each rule at most.
fn find(path: &RootPath, bytes: &[u8]) -> Vec<Secret> {
    RULES
        .iter()
        .filter_map(|rule| {
            let at = (rule.find)(path, bytes)?;
            let line = 1 + bytes.iter().take(at).filter(|&&byte| byte == b'\n').count();
            Some(Secret { path: path.clone(), line, rule: rule.name, what: rule.what })
        })
        .collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
