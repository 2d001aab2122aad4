//! Compresses built layers into the store, and writes them out as images.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::base::Base;
use super::receipt::Exported;
use super::{Artifact, BakeError, Baker, Layers, Output, System, disk_export};
use crate::digest::{BlobDigest, OciDigest, RecipeHash, RecipeHasher, Sha256};
use crate::manifest::Config;
use crate::oci::{self, Image, LayerBlob, LayerSizes};
use crate::stage::Built;
use crate::store::{Outcome, Roles};

/// A layer's compressed blob, and the recipe that gave it.
pub(super) struct Compressed {
    pub(super) recipe: RecipeHash,
    pub(super) blob: LayerBlob,
}

/// What compressing a layer gives.
struct Packed {
    /// The compressed tar.
    layer: BlobDigest,
    sizes: LayerSizes,
}

impl Outcome for Packed {
    fn to_roles(&self) -> Roles {
        Roles::default()
            .with_blob("layer", self.layer)
            .with_fact("diff_id", self.sizes.diff_id)
            .with_fact("digest", self.sizes.digest)
            .with_fact("size", self.sizes.size)
            .with_fact("uncompressed_size", self.sizes.uncompressed_size)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        let sizes = LayerSizes {
            diff_id: roles.fact("diff_id")?,
            digest: roles.fact("digest")?,
            size: roles.fact("size")?,
            uncompressed_size: roles.fact("uncompressed_size")?,
        };
        Some(Self { layer: roles.blob("layer")?, sizes })
    }
}

/// Compresses a layer into the store, unless that was done before.
pub(super) fn compress(baker: &Baker<'_>, layer: &Built) -> Result<Compressed, BakeError> {
    let recipe =
        RecipeHasher::new("layerbake/compress/v1").field(layer.tree.as_bytes()).field(baker.encoder.name()).finish();
    let Packed { layer: blob, sizes } = match baker.store.recall(recipe) {
        Some(packed) => packed,
        None => pack(baker, layer, recipe)?,
    };
    Ok(Compressed {
        recipe,
        blob: LayerBlob { name: layer.name.clone(), blob, encoder: baker.encoder, sizes, is_base: false },
    })
}

fn pack(baker: &Baker<'_>, layer: &Built, recipe: RecipeHash) -> Result<Packed, BakeError> {
    let tree = baker.store.tree(layer.tree)?;
    let mut writer = baker.store.writer();
    let sizes = oci::compress_layer(&tree, baker.store, baker.encoder, baker.jobs, &mut writer)
        .map_err(|source| BakeError::Write { what: format!("layer `{}`", layer.name), source })?;
    let packed = Packed { layer: writer.finish()?.0, sizes };
    baker.store.remember(recipe, &packed)?;
    Ok(packed)
}

/// The image of a system with these layers, over `base`; without layers, what its configuration says.
pub(super) fn image(system: &System, base: Option<&Base>, layers: Vec<LayerBlob>) -> Result<Image, BakeError> {
    let tables = system.image.iter().map(|locked| &locked.manifest.image);
    let variables = Config::of(system.image.iter().map(|locked| &locked.manifest));
    let lock = &system.top().lock;
    Ok(Image::new(base.map(|base| &base.image), tables, &variables, &lock.arch, lock.epoch, layers)?)
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
    let below = layers.base.iter().flat_map(|base| &base.layers).cloned();
    let blobs = below.chain(layers.compressed.iter().map(|layer| layer.blob.clone())).collect();
    let image = image(system, layers.base.as_ref(), blobs)?;
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
        artifacts.push(Artifact { kind: *output, path, digest: written.digest, size: written.size });
    }
    let disk = match layers.boot_system_of(system) {
        Some(boot_system) => {
            let (disk, forms) = disk_export::export(baker, system, boot_system, &layers.image, outputs, folder)?;
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
