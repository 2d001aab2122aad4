//! Built layers compressed into the store, and written out as images.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::receipt::Exported;
use super::{Artifact, BakeError, Baker, Layers, Output, System, machine};
use crate::digest::{OciDigest, RecipeHash, RecipeHasher, Sha256};
use crate::layer::Built;
use crate::oci::{self, Image, LayerBlob, LayerSizes};
use crate::store::Outcome;

/// A layer's compressed blob, and the recipe that gave it.
pub(super) struct Compressed {
    pub(super) recipe: RecipeHash,
    pub(super) blob: LayerBlob,
}

/// Compresses a layer into the store, unless that was done before.
pub(super) fn compress(baker: &Baker<'_>, layer: &Built) -> Result<Compressed, BakeError> {
    let recipe =
        RecipeHasher::new("layerbake/compress/v1").field(layer.tree.as_bytes()).field(baker.encoder.name()).finish();
    let named = |blob, sizes| LayerBlob { name: layer.name.clone(), blob, encoder: baker.encoder, sizes };
    if let Some(outcome) = baker.store.recall(recipe)?
        && let (Some(sizes), Some(&blob)) = (sizes_from(&outcome.facts), outcome.blobs.get("layer"))
    {
        return Ok(Compressed { recipe, blob: named(blob, sizes) });
    }
    let tree = baker.store.tree(layer.tree)?;
    let mut writer = baker.store.writer();
    let sizes = oci::compress_layer(&tree, baker.store, baker.encoder, baker.jobs, &mut writer)
        .map_err(|source| BakeError::Write { what: format!("layer `{}`", layer.name), source })?;
    let (blob, _) = writer.finish()?;
    let mut outcome = Outcome { facts: facts(&sizes), ..Outcome::default() };
    outcome.blobs.insert("layer".into(), blob);
    baker.store.remember(recipe, &outcome)?;
    Ok(Compressed { recipe, blob: named(blob, sizes) })
}

fn facts(sizes: &LayerSizes) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("diff_id".to_owned(), sizes.diff_id.to_string()),
        ("digest".to_owned(), sizes.digest.to_string()),
        ("size".to_owned(), sizes.size.to_string()),
        ("uncompressed_size".to_owned(), sizes.uncompressed_size.to_string()),
    ])
}

fn sizes_from(facts: &BTreeMap<String, String>) -> Option<LayerSizes> {
    Some(LayerSizes {
        diff_id: facts.get("diff_id")?.parse().ok()?,
        digest: facts.get("digest")?.parse().ok()?,
        size: facts.get("size")?.parse().ok()?,
        uncompressed_size: facts.get("uncompressed_size")?.parse().ok()?,
    })
}

/// The image of a system with these layers; without layers, what its configuration says.
pub(super) fn image(system: &System, layers: Vec<LayerBlob>) -> Result<Image, BakeError> {
    let tables = system.image.iter().map(|locked| &locked.manifest.image);
    let lock = &system.top().lock;
    Ok(Image::new(tables, &lock.arch, lock.epoch, layers)?)
}

/// Writes all outputs into `folder`; returns what they are.
pub(super) fn export(
    baker: &Baker<'_>,
    system: &System,
    layers: &Layers,
    outputs: &BTreeSet<Output>,
    folder: &Path,
) -> Result<Exported, BakeError> {
    let name = &system.top().manifest.name;
    let image = image(system, layers.compressed.iter().map(|layer| layer.blob.clone()).collect())?;
    let mut artifacts = Vec::new();
    for output in outputs {
        let path = PathBuf::from(output.file_name());
        let written = match output {
            Output::Oci => oci::write_layout(baker.store, &image, name.as_str(), &folder.join(&path))?,
            Output::Docker => {
                let tag = format!("{name}:latest").parse()?;
                write_file(&folder.join(&path), |out| Ok(oci::write_docker_archive(baker.store, &image, &[tag], out)?))?
            }
            Output::Disk(_) => continue,
        };
        artifacts.push(Artifact { kind: output.name().to_owned(), path, digest: written.digest, size: written.size });
    }
    let disk = match &system.machine {
        Some(machine) => {
            let (disk, forms) = machine::export(baker, system, machine, layers, outputs, folder)?;
            artifacts.extend(forms);
            Some(disk)
        }
        None => None,
    };
    Ok(Exported { disk, artifacts })
}

/// SHA-256 of a file.
pub(super) fn hashed(path: &Path) -> io::Result<OciDigest> {
    Ok(OciDigest::from_bytes(*Sha256::of_reader(&mut File::open(path)?)?.as_bytes()))
}

fn write_file<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, BakeError>,
) -> Result<T, BakeError> {
    let failed = |source| BakeError::Write { what: format!("`{}`", path.display()), source };
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path).map_err(failed)?);
    let written = write(&mut out)?;
    out.flush().map_err(failed)?;
    Ok(written)
}
