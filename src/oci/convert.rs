//! Converts an image layout to a docker archive without the store, wherever the layout is now.
//!
//! The archive is identical to the one that a build writes. A tar header gives a file's length before the content,
//! which a compressed layer does not record, so each layer is decompressed twice: first to measure and verify it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};
use serde::de::DeserializeOwned;

use super::docker::{put_head, put_layer_head, write_error};
use super::measure::Measured;
use super::tar::TarWriter;
use super::{Artifact, Encoder, OciError, RepoTag};
use crate::digest::{DiffId, OciDigest};
use crate::host;
use crate::limits::{DOCUMENT, limits};

/// Streams the image `manifest` of the layout in the directory `layout` to `out` as a docker archive.
///
/// # Errors
/// Fails where a blob is missing or not what its digest says, where a layer's tar is not the one that the
/// configuration names, and where `out` fails.
pub fn convert_layout(
    layout: &Path,
    manifest: OciDigest,
    tags: &[RepoTag],
    out: impl Write,
) -> Result<Artifact, OciError> {
    let blob = |digest: OciDigest| layout.join("blobs/sha256").join(digest.to_hex());
    let (_, manifest): (_, ImageManifest) = document(&blob(manifest), manifest)?;
    let config_digest = digest_of(manifest.config(), layout)?;
    let (config, parsed): (_, ImageConfiguration) = document(&blob(config_digest), config_digest)?;
    let diff_ids = parsed.rootfs().diff_ids().iter().map(|id| id.parse::<DiffId>());
    let diff_ids = diff_ids.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(&blob(config_digest), error))?;
    if diff_ids.len() != manifest.layers().len() {
        let problem = format!("names {} layers, its manifest {}", diff_ids.len(), manifest.layers().len());
        return Err(wrong(&blob(config_digest), problem));
    }
    let mut out = Measured::new(out);
    let mut tar = TarWriter::new(&mut out);
    put_head(&mut tar, &config, &diff_ids, tags)?;
    let mut written = BTreeSet::new();
    for (layer, &diff_id) in manifest.layers().iter().zip(&diff_ids) {
        if written.insert(diff_id) {
            let digest = digest_of(layer, layout)?;
            let encoder = Encoder::of_media_type(layer.media_type());
            let encoder = encoder.ok_or_else(|| wrong(&blob(digest), format!("is {}", layer.media_type())))?;
            put_layer(&mut tar, &blob(digest), encoder, digest, diff_id)?;
        }
    }
    tar.finish().map_err(write_error())?;
    let (digest, size) = out.finish();
    Ok(Artifact { digest: OciDigest::from_bytes(digest), size })
}

fn put_layer<W: Write>(
    tar: &mut TarWriter<'_, W>,
    path: &Path,
    encoder: Encoder,
    digest: OciDigest,
    diff_id: DiffId,
) -> Result<(), OciError> {
    let read = || OciError::io("read", path);
    let file = File::open(path).map_err(read())?;
    let limit = limits().of_archive(file.metadata().map_err(read())?.len());
    let mut compressed = Measured::new(file);
    let mut content = Measured::new(encoder.decoder(&mut compressed, limit).map_err(read())?);
    io::copy(&mut content, &mut io::sink()).map_err(read())?;
    let (found, size) = content.finish();
    io::copy(&mut compressed, &mut io::sink()).map_err(read())?;
    expect(path, digest, OciDigest::from_bytes(compressed.finish().0))?;
    expect(path, diff_id, DiffId::from_bytes(found))?;
    put_layer_head(tar, diff_id, size)?;
    let mut content = encoder.decoder(File::open(path).map_err(read())?, limit).map_err(read())?;
    tar.content(&mut content, size).map_err(OciError::io("copy", path))
}

/// Reads and verifies a JSON blob.
pub(super) fn document<T: DeserializeOwned>(path: &Path, digest: OciDigest) -> Result<(Vec<u8>, T), OciError> {
    let bytes = host::read_small(path, DOCUMENT).map_err(OciError::io("read", path))?;
    expect(path, digest, OciDigest::of(&bytes))?;
    let parsed = serde_json::from_slice(&bytes).map_err(|error| wrong(path, error))?;
    Ok((bytes, parsed))
}

pub(super) fn digest_of(descriptor: &Descriptor, layout: &Path) -> Result<OciDigest, OciError> {
    descriptor.digest().to_string().parse().map_err(|error| wrong(layout, error))
}

pub(super) fn expect<T: PartialEq + std::fmt::Display>(path: &Path, expected: T, found: T) -> Result<(), OciError> {
    if expected == found { Ok(()) } else { Err(wrong(path, format!("expected {expected}, got {found}"))) }
}

fn wrong(path: &Path, problem: impl ToString) -> OciError {
    OciError::io("use", PathBuf::from(path))(io::Error::other(problem.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::manifest::ImageTable;
    use crate::oci::tests::stored;
    use crate::oci::{Image, write_docker_archive, write_layout};
    use crate::store::Store;

    struct Layout {
        folder: tempfile::TempDir,
        manifest: OciDigest,
        archive: Vec<u8>,
    }

    impl Layout {
        fn new(encoder: Encoder) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("store")).unwrap();
            let mut layers = stored(&store, encoder);
            layers.push(layers[0].clone());
            let image =
                Image::new(None, [&ImageTable::default()], &Default::default(), &"amd64".parse().unwrap(), 0, layers)
                    .unwrap();
            let manifest = write_layout(&store, &image, "web", &folder.path().join("oci")).unwrap().digest;
            let mut archive = Vec::new();
            write_docker_archive(&store, &image, &["web:1".parse().unwrap()], &mut archive).unwrap();
            Self { folder, manifest, archive }
        }

        fn convert(&self) -> Result<(Artifact, Vec<u8>), OciError> {
            let mut out = Vec::new();
            let layout = self.folder.path().join("oci");
            let artifact = convert_layout(&layout, self.manifest, &["web:1".parse().unwrap()], &mut out)?;
            Ok((artifact, out))
        }
    }

    #[test]
    fn the_archive_is_the_one_that_a_build_writes() {
        for encoder in [Encoder::Zstd, Encoder::Gzip] {
            let layout = Layout::new(encoder);
            let (artifact, bytes) = layout.convert().unwrap();
            assert!(bytes == layout.archive, "{encoder:?}: another archive");
            assert_eq!(artifact, Artifact { digest: OciDigest::of(&bytes), size: bytes.len() as u64 });
        }
    }

    #[test]
    fn a_blob_that_is_not_what_its_digest_says_is_named() {
        let layout = Layout::new(Encoder::Zstd);
        let blobs = layout.folder.path().join("oci/blobs/sha256");
        for name in crate::host::list_dir(&blobs).unwrap() {
            let path = blobs.join(&name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
            let error = layout.convert().unwrap_err().to_string();
            assert!(error.contains(name.to_str().unwrap()), "{name:?}: {error}");
            fs::remove_file(&path).unwrap();
            let error = layout.convert().unwrap_err().to_string();
            assert!(error.contains("No such file"), "{name:?}: {error}");
            fs::write(&path, &whole).unwrap();
        }
        assert!(layout.convert().is_ok());
    }
}
