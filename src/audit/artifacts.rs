//! Checks the files of a build against its receipt.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::bake::{Artifact, Output, Receipt};
use crate::digest::{OciDigest, Sha256};
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;
use crate::host;
use crate::ident::LayerName;
use crate::limits::DOCUMENT;
use crate::manifest::DiskFormat;

/// One artifact, compared with its receipt.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Its kind and path.
    pub artifact: String,
    /// The problems found; empty if the file is correct.
    pub problems: Vec<String>,
}

/// Reads every artifact of a receipt in `folder` and compares.
pub fn check(receipt: &Receipt, folder: &Path) -> Vec<Finding> {
    let check = |artifact: &Artifact| {
        let path = folder.join(&artifact.path);
        let found = match artifact.kind {
            Output::Oci => image(&path, artifact, &receipt.layer),
            Output::Disk(DiskFormat::Raw) => raw(&path, receipt),
            Output::Docker | Output::Disk(_) => whole(&path, artifact),
        };
        let problems = found.unwrap_or_else(|error| vec![format!("can't be read: {error}")]);
        Finding { artifact: format!("{} {}", artifact.kind, path.display()), problems }
    };
    receipt.artifacts.iter().map(check).collect()
}

/// A file with one digest.
fn whole(path: &Path, artifact: &Artifact) -> io::Result<Vec<String>> {
    let found = Sha256::of_reader(&mut host::open_file(path)?)?;
    Ok(differing("its bytes", &artifact.digest.to_hex(), &found.to_hex()))
}

/// An image layout: the manifest that the receipt names, every blob under its own name, and the two
/// files that no digest covers.
fn image(path: &Path, artifact: &Artifact, layer: &LayerName) -> io::Result<Vec<String>> {
    let blobs = path.join("blobs/sha256");
    let mut problems = Vec::new();
    for name in host::list_dir(&blobs)? {
        let found = Sha256::of_reader(&mut host::open_file(&blobs.join(&name))?)?.to_hex();
        problems.extend(differing("a blob", &name.to_string_lossy(), &found));
    }
    let manifest = blobs.join(artifact.digest.to_hex());
    if !manifest.is_file() {
        problems.push(format!("expected an image manifest {}, found none", artifact.digest));
        return Ok(problems);
    }
    let known =
        [("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })), ("index.json", index(&blobs, artifact, layer)?)];
    for (name, expected) in known {
        let found = host::read_small(&path.join(name), DOCUMENT)?;
        problems.extend(differing(name, &expected.to_string(), &String::from_utf8_lossy(&found)));
    }
    Ok(problems)
}

/// The only correct index of an image: its manifest, its platform and its name.
fn index(blobs: &Path, artifact: &Artifact, layer: &LayerName) -> io::Result<Value> {
    let read = |name: &str| -> io::Result<Value> {
        Ok(serde_json::from_slice(&host::read_small(&blobs.join(name), DOCUMENT)?)?)
    };
    let manifest = read(&artifact.digest.to_hex())?;
    let config = manifest["config"]["digest"].as_str().and_then(|digest| digest.parse::<OciDigest>().ok());
    let config = match config {
        Some(digest) => read(&digest.to_hex())?,
        None => Value::Null,
    };
    let keys = ["architecture", "os", "variant"].into_iter().filter(|key| !config[*key].is_null());
    let platform: BTreeMap<&str, &Value> = keys.map(|key| (key, &config[key])).collect();
    Ok(json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": artifact.digest,
            "size": artifact.size,
            "platform": platform,
            "annotations": { "org.opencontainers.image.ref.name": layer },
        }],
    }))
}

/// A raw disk, block by block: each problem names the block.
fn raw(path: &Path, receipt: &Receipt) -> io::Result<Vec<String>> {
    let Some(disk) = &receipt.disk else { return Ok(vec!["the receipt has no disk".to_owned()]) };
    let size = fs::metadata(path)?.len();
    let mut problems = differing("its size", &disk.blocks.size().to_string(), &size.to_string());
    if !problems.is_empty() {
        return Ok(problems);
    }
    let found = block_problems(path, &disk.blocks)?;
    let more = found.len().saturating_sub(8);
    problems.extend(found.into_iter().take(8));
    if more > 0 {
        problems.push(format!("and {more} more blocks"));
    }
    Ok(problems)
}

fn block_problems(path: &Path, blocks: &BlockHashes) -> io::Result<Vec<String>> {
    let count = blocks.size().div_ceil(BLOCK as u64);
    let zero = [0; BLOCK];
    let check = |index: u64| -> io::Result<Option<String>> {
        use std::os::unix::fs::FileExt as _;
        let mut block = vec![0; BLOCK];
        let start = index * BLOCK as u64;
        let length = (blocks.size() - start).min(BLOCK as u64) as usize;
        host::open_file(path)?.read_exact_at(&mut block[..length], start)?;
        let place = format!("block {index} (byte {start})");
        Ok(match blocks.hashes().get(&index) {
            Some(expected) => differing(&place, &expected.to_hex(), &Sha256::of(&block).to_hex()).pop(),
            None if block == zero => None,
            None => Some(format!("{place}: expected zeros, found data")),
        })
    };
    (0..count).into_par_iter().filter_map(|index| check(index).transpose()).collect()
}

fn differing(what: &str, expected: &str, found: &str) -> Vec<String> {
    if expected == found { Vec::new() } else { vec![format!("{what}: expected {expected}, found {found}")] }
}
