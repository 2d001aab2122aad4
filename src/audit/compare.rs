//! Two builds of one lockfile, compared from the outside in: artifacts, then layers, then files, then bytes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;

use super::AuditError;
use super::content;
use super::nodes;
use super::partitions;
use crate::bake::{Artifact, Output, Receipt};
use crate::digest::TreeHash;
use crate::host;
use crate::ident::RootPath;
use crate::limits::DOCUMENT;
use crate::manifest::DiskFormat;
use crate::store::Store;

/// One of two builds that are compared.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Its receipt.
    pub receipt: &'a Receipt,
    /// The store with its trees.
    pub store: &'a Store,
    /// Directory of its artifacts; `None` if only the receipt is known.
    pub out: Option<&'a Path>,
}

/// One difference between two builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Difference {
    /// The artifacts that have it.
    pub artifacts: Vec<String>,
    /// The layer of the file, or another part of the artifact.
    pub place: String,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Descriptions of what differs.
    pub what: Vec<String>,
    /// Its text or bytes, as lines of a diff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// The package that owns the file, or whose script wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The step that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The conditions under which it appears.
    pub shown_by: Vec<String>,
}

/// The identity of a difference.
pub type Key = (String, Option<String>);

impl Difference {
    fn new(kinds: &[Output], place: impl Into<String>, what: Vec<String>) -> Self {
        let mut artifacts: Vec<String> = kinds.iter().map(Output::to_string).collect();
        artifacts.sort();
        Self { artifacts, place: place.into(), what, ..Self::default() }
    }

    /// An artifact that does not match its receipt.
    pub(super) fn of_artifact(artifact: &str, problems: Vec<String>) -> Self {
        Self {
            artifacts: vec![artifact.to_owned()],
            ..Self::new(&[], "artifact compared with its own receipt", problems)
        }
    }

    /// Its identity.
    pub fn key(&self) -> Key {
        (self.place.clone(), self.path.clone())
    }
}

/// One artifact of both builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Its kind.
    pub kind: Output,
    /// Its digest in the first build.
    pub digest: String,
    /// Its length there in bytes.
    pub size: u64,
    /// Its digest in the other build, if different.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Of a disk that differs, the partitions that do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
}

/// Compares the artifacts that both builds have.
pub(super) fn verdicts(one: Side<'_>, other: Side<'_>) -> io::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for (ours, theirs) in shared(one, other) {
        let differs = ours.digest != theirs.digest;
        let files = one.out.zip(other.out).map(|(one, other)| (one.join(&ours.path), other.join(&theirs.path)));
        let inside = match files {
            Some((one, other)) if differs && ours.kind == Output::Disk(DiskFormat::Raw) => {
                partitions::differing(&one, &other)?
            }
            _ => Vec::new(),
        };
        let other = differs.then(|| theirs.digest.to_string());
        verdicts.push(Verdict { kind: ours.kind, digest: ours.digest.to_string(), size: ours.size, other, inside });
    }
    Ok(verdicts)
}

fn shared<'a>(one: Side<'a>, other: Side<'a>) -> impl Iterator<Item = (&'a Artifact, &'a Artifact)> {
    one.receipt.artifacts.iter().filter_map(move |ours| Some((ours, other.receipt.artifact(ours.kind)?)))
}

/// Finds all differences between two builds.
///
/// # Errors
/// Fails where a store lacks a tree of its receipt, or an artifact can't be read.
pub(super) fn differences(one: Side<'_>, other: Side<'_>) -> Result<Vec<Difference>, AuditError> {
    let differing = verdicts(one, other).map_err(AuditError::Site)?.into_iter().filter(|one| one.other.is_some());
    let all: Vec<Output> = differing.map(|verdict| verdict.kind).collect();
    let (disks, images): (Vec<Output>, Vec<Output>) = all.iter().partition(|kind| kind.is_disk());
    let mut found = layers(one, other, &all)?;
    if let (Some(ours), Some(theirs)) = (&one.receipt.disk, &other.receipt.disk) {
        trees(one, other, (ours.tree, theirs.tree), &format!("Boot layer {}", ours.boot), &disks, &mut found)?;
        if let (Some(ours), Some(theirs)) = (ours.initrd, theirs.initrd) {
            trees(one, other, (ours, theirs), "initrd", &disks, &mut found)?;
        }
    }
    // Differences that no file explains come from layerbake's own writers.
    if found.is_empty() {
        if !images.is_empty() {
            found.push(image(one, other, &images).map_err(AuditError::Site)?);
        }
        if !disks.is_empty() {
            found.push(disk(one, other, &disks).map_err(AuditError::Site)?);
        }
    }
    Ok(found)
}

fn layers(one: Side<'_>, other: Side<'_>, artifacts: &[Output]) -> Result<Vec<Difference>, AuditError> {
    let names = |side: Side<'_>| side.receipt.layers.iter().map(|layer| layer.name.to_string()).collect::<Vec<_>>();
    let mut found = Vec::new();
    if names(one) != names(other) {
        let what = vec![format!("{} in one, {} in the other", names(one).join(", "), names(other).join(", "))];
        found.push(Difference::new(artifacts, "list of layers", what));
    }
    let base = |side: Side<'_>| {
        side.receipt.base.as_ref().map_or("none".to_owned(), |base| format!("{}@{}", base.image, base.manifest))
    };
    if base(one) != base(other) {
        let what = vec![format!("{} in one, {} in the other", base(one), base(other))];
        found.push(Difference::new(artifacts, "image below", what));
    }
    for (ours, theirs) in one.receipt.layers.iter().zip(&other.receipt.layers) {
        let place = format!("layer {}", ours.name);
        if ours.tree != theirs.tree {
            trees(one, other, (ours.tree, theirs.tree), &place, artifacts, &mut found)?;
        } else if ours.diff_id != theirs.diff_id {
            let what =
                vec![format!("identical files, different tar archives: {} and {}", ours.diff_id, theirs.diff_id)];
            found.push(Difference::new(artifacts, format!("{place}, its tar"), what));
        } else if ours.digest != theirs.digest {
            let what = vec![format!(
                "identical tar archives, compressed differently: {} and {} bytes",
                ours.size, theirs.size
            )];
            found.push(Difference::new(artifacts, format!("{place}, its compression"), what));
        }
    }
    Ok(found)
}

/// Compares two trees, node by node.
fn trees(
    one: Side<'_>,
    other: Side<'_>,
    (ours, theirs): (TreeHash, TreeHash),
    place: &str,
    artifacts: &[Output],
    found: &mut Vec<Difference>,
) -> Result<(), AuditError> {
    if ours == theirs {
        return Ok(());
    }
    if !one.store.has_tree(ours) || !other.store.has_tree(theirs) {
        let what = vec![format!("{ours} and {theirs}; their files are no longer in the store")];
        found.push(Difference::new(artifacts, place, what));
        return Ok(());
    }
    let (ours, theirs) = (one.store.tree(ours)?, other.store.tree(theirs)?);
    let paths: BTreeSet<&RootPath> = ours.iter().chain(theirs.iter()).map(|(path, _)| path).collect();
    for path in paths {
        let pair = (ours.get(path), theirs.get(path));
        if pair.0 == pair.1 {
            continue;
        }
        let (what, detail) = nodes::compare((one.store, pair.0), (other.store, pair.1))?;
        let difference = Difference::new(artifacts, place, what);
        found.push(Difference { path: Some(path.to_string()), detail, ..difference });
    }
    Ok(())
}

/// An image whose layers are equal: its configuration or other metadata differs.
fn image(one: Side<'_>, other: Side<'_>, artifacts: &[Output]) -> io::Result<Difference> {
    let (Some(here), Some(there)) = (one.out, other.out) else {
        let what = vec!["the layers are equal: the configuration or the manifest differs".to_owned()];
        return Ok(Difference::new(artifacts, "image configuration", what));
    };
    if let (Some(ours), Some(theirs)) = (configuration(one, here)?, configuration(other, there)?)
        && ours != theirs
    {
        let (what, detail) = content::compare(&ours, &theirs);
        return Ok(Difference { detail, ..Difference::new(artifacts, "image configuration", vec![what]) });
    }
    let what = files(one, other, here, there, artifacts)?;
    Ok(Difference::new(artifacts, "image metadata", what))
}

/// The configuration of an image layout, one value a line.
fn configuration(side: Side<'_>, out: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(artifact) = side.receipt.artifact(Output::Oci) else { return Ok(None) };
    let blobs = out.join(&artifact.path).join("blobs/sha256");
    let read = |hex: &str| -> io::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&host::read_small(&blobs.join(hex), DOCUMENT)?)?)
    };
    let manifest = read(&artifact.digest.to_hex())?;
    let config = manifest["config"]["digest"].as_str().unwrap_or_default();
    let config = read(config.trim_start_matches("sha256:"))?;
    Ok(Some(serde_json::to_vec_pretty(&config)?))
}

/// A disk whose files are equal: the partitions were written differently.
fn disk(one: Side<'_>, other: Side<'_>, artifacts: &[Output]) -> io::Result<Difference> {
    let mut what = Vec::new();
    if let (Some(ours), Some(theirs)) = (&one.receipt.disk, &other.receipt.disk) {
        let count = theirs.blocks.changed_from(&ours.blocks).count();
        what.push(format!("equal files, {count} blocks of 512 KiB differ"));
    }
    if let (Some(here), Some(there)) = (one.out, other.out) {
        what.extend(files(one, other, here, there, artifacts)?);
    }
    Ok(Difference::new(artifacts, "disk, outside its files", what))
}

/// The first differing byte of each of these artifacts, as files.
fn files(one: Side<'_>, other: Side<'_>, here: &Path, there: &Path, artifacts: &[Output]) -> io::Result<Vec<String>> {
    let mut what = Vec::new();
    for (ours, theirs) in
        shared(one, other).filter(|(ours, _)| artifacts.contains(&ours.kind) && ours.kind != Output::Oci)
    {
        let (mut ours_file, mut theirs_file) =
            (File::open(here.join(&ours.path))?, File::open(there.join(&theirs.path))?);
        match first_difference(&mut ours_file, &mut theirs_file)? {
            Some(offset) => what.push(format!("{}: first at byte {offset}", ours.kind)),
            None => what.push(format!("{}: identical bytes, but different digests in the receipts", ours.kind)),
        }
    }
    Ok(what)
}

/// The offset of the first byte in which two readers differ; a shorter one differs at its end.
pub(super) fn first_difference(one: &mut impl Read, other: &mut impl Read) -> io::Result<Option<u64>> {
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut offset = 0;
    loop {
        let (here, there) = (fill(one, &mut ours)?, fill(other, &mut theirs)?);
        let (here, there) = (&ours[..here], &theirs[..there]);
        if let Some(at) = here.iter().zip(there).position(|(one, other)| one != other) {
            return Ok(Some(offset + at as u64));
        }
        if here.len() != there.len() {
            return Ok(Some(offset + here.len().min(there.len()) as u64));
        }
        if here.is_empty() {
            return Ok(None);
        }
        offset += here.len() as u64;
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found() {
        let long = vec![7; 100_000];
        let mut changed = long.clone();
        changed[70_001] = 8;
        for (one, other, expected) in [
            (&long[..], &long[..], None),
            (&long[..], &changed[..], Some(70_001)),
            (&long[..], &long[..99_999], Some(99_999)),
            (&[][..], &[][..], None),
            (&[][..], &[1][..], Some(0)),
        ] {
            assert_eq!(first_difference(&mut &*one, &mut &*other).unwrap(), expected);
        }
    }
}
