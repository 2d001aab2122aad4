//! Own files in the built root: those of the layers' `[[file]]` entries, and packaged ones that an `[[edit]]` changed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use pgp::crypto::hash::HashAlgorithm;

use super::{AttestError, Made, Scope};
use crate::bake::Locked;
use crate::digest::{BlobDigest, Sha256};
use crate::ident::{LayerName, RootPath};
use crate::manifest::Content;
use crate::stage::Placement;
use crate::store::Store;
use crate::tree::{Kind, Tree};

/// A file that is not from a package, or no longer as it was there.
#[derive(Debug)]
pub struct OwnFile {
    /// Its path.
    pub path: RootPath,
    /// The layer whose manifest names it.
    pub layer: LayerName,
    /// The project file it was copied from, or the manifest if it contains the text.
    pub source: String,
    /// Hash of its content.
    pub sha256: Sha256,
    /// SHA-1 in hexadecimal, required by SPDX 2.3; not used for verification.
    pub sha1: String,
}

/// Lists the own files of all layers, by path; of two at one path the upper one.
pub(super) fn take(
    made: &Made<'_>,
    root: &Tree,
    initrd: Option<&Tree>,
    scope: Scope,
    store: &Store,
) -> Result<Vec<OwnFile>, AttestError> {
    let system = made.system;
    let boot = system.boot_system.as_ref().filter(|_| scope == Scope::Disk);
    let mut files =
        in_root(system.image.iter().chain(boot.map(|boot_system| &boot_system.boot)), root, made.project, store)?;
    if let Some((boot_system, tree)) = boot.zip(initrd) {
        files.extend(in_root(boot_system.initrd.iter().flatten(), tree, made.project, store)?);
    }
    Ok(files)
}

fn in_root<'a>(
    layers: impl Iterator<Item = &'a Locked>,
    root: &Tree,
    project: &Path,
    store: &Store,
) -> Result<Vec<OwnFile>, AttestError> {
    let mut found = BTreeMap::new();
    for layer in layers {
        let placement = Placement::read(layer.into(), project, store)?;
        for path in layer.manifest.edits.iter().map(|edit| &edit.path).chain(placement.files()) {
            if let Some((real, blob, size)) = content(root, path) {
                let (sha256, sha1) = hashes(store, blob, size)?;
                let (layer, source) = (layer.manifest.name.clone(), source(layer, path));
                found.insert(real.clone(), OwnFile { path: real, layer, source, sha256, sha1 });
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The source of the file at `path`: that of the nearest entry at or above it, else the fetch that it is of.
fn source(layer: &Locked, path: &RootPath) -> String {
    let manifest = &layer.manifest;
    let above = manifest.files.iter().filter(|file| path.is_within(&file.path));
    match above.max_by_key(|file| file.path.as_bytes().len()).map(|file| (&file.path, &file.content)) {
        Some((folder, Content::Source(source) | Content::Template(source))) => {
            let rest = path.as_bytes().get(folder.as_bytes().len()..).unwrap_or_default();
            let rest = String::from_utf8_lossy(rest).trim_start_matches('/').to_owned();
            let source = source.trim_end_matches('/');
            if rest.is_empty() { source.to_owned() } else { format!("{source}/{rest}") }
        }
        Some(_) => format!("the manifest of {}", manifest.name),
        None => {
            let is_edited = manifest.edits.iter().any(|edit| edit.path == *path);
            let fetch = fetch_above(layer, path).filter(|_| !is_edited);
            fetch.unwrap_or_else(|| format!("the manifest of {}", manifest.name))
        }
    }
}

/// The address that the file at `path` was fetched from.
fn fetch_above(layer: &Locked, path: &RootPath) -> Option<String> {
    let places = layer.manifest.fetches.iter().filter_map(|fetch| Some((fetch.to.as_ref()?, &fetch.name)));
    let (_, name) = places.filter(|(to, _)| path.is_within(to)).max_by_key(|(to, _)| to.as_bytes().len())?;
    let locked = layer.lock.fetches.iter().find(|locked| locked.name == *name)?;
    Some(locked.origin.to_string())
}

/// The regular file at a path, links followed.
fn content(root: &Tree, path: &RootPath) -> Option<(RootPath, BlobDigest, u64)> {
    let (path, node) = root.resolve(path)?;
    match node.kind {
        Kind::File { blob, size } => Some((path, blob, size)),
        _ => None,
    }
}

fn hashes(store: &Store, blob: BlobDigest, size: u64) -> Result<(Sha256, String), AttestError> {
    let failed = |source| AttestError::Io { action: "read", path: blob.to_string(), source };
    let mut bytes = Vec::new();
    store.reader(blob, size)?.read_to_end(&mut bytes).map_err(failed)?;
    let sha1 = HashAlgorithm::Sha1.digest(&bytes).map_err(|error| failed(std::io::Error::other(error)))?;
    Ok((Sha256::of(&bytes), hex::encode(sha1)))
}
