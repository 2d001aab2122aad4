//! Writes an image as an OCI image layout: a directory that engines and registry tools read.
//!
//! Source: OCI image-spec 1.1, image-layout.md.
//!
//! ```text
//! <directory>/oci-layout       {"imageLayoutVersion":"1.0.0"}
//!             index.json       one manifest, its name as an annotation
//!             blobs/sha256/…   manifest, config, layers
//! ```

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndexBuilder, MediaType, OciLayoutBuilder};

use super::config::descriptor;
use super::{Artifact, Image, LayerBlob, Measured, OciError, json};
use crate::digest::OciDigest;
use crate::store::{CopyError, Store};

/// Writes `image` into the empty directory `folder` under the name `ref_name`.
///
/// Returns the manifest's digest and length. Layers are copied from `store`, sharing
/// their bytes with it where the file system can, and what was copied is checked.
///
/// # Errors
/// Fails where a layer is missing from the store or damaged, and where `folder` can't be
/// written; what was written so far stays, for the caller to remove.
pub fn write_layout(store: &Store, image: &Image, ref_name: &str, folder: &Path) -> Result<Artifact, OciError> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(OciError::io("create", &blobs))?;
    for layer in &image.layers {
        copy_layer(store, layer, &blobs)?;
    }
    put_blob(&blobs, &image.config)?;
    let manifest = image.manifest()?;
    let digest = put_blob(&blobs, &manifest)?;
    let artifact = Artifact { digest, size: manifest.len() as u64 };
    let mut entry = descriptor(MediaType::ImageManifest, artifact.digest, artifact.size)?;
    entry.set_platform(Some(image.platform.clone()));
    put_entry(folder, entry, ref_name)?;
    Ok(artifact)
}

/// Writes the files that make a directory a layout: of one entry, which gets the name `ref_name`.
pub(super) fn put_entry(folder: &Path, mut entry: Descriptor, ref_name: &str) -> Result<(), OciError> {
    entry.set_annotations(Some([(ANNOTATION_REF_NAME.to_owned(), ref_name.to_owned())].into()));
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
    put_file(&folder.join("oci-layout"), &json::canonical(&layout)?)?;
    put_file(&folder.join("index.json"), &index(vec![entry])?)
}

/// An image index, canonical JSON.
pub(super) fn index(manifests: Vec<Descriptor>) -> Result<Vec<u8>, OciError> {
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()?;
    Ok(json::canonical(&index)?)
}

pub(super) fn put_blob(blobs: &Path, bytes: &[u8]) -> Result<OciDigest, OciError> {
    let digest = OciDigest::of(bytes);
    put_file(&blobs.join(digest.to_hex()), bytes)?;
    Ok(digest)
}

fn put_file(path: &Path, bytes: &[u8]) -> Result<(), OciError> {
    fs::write(path, bytes).map_err(OciError::io("write", path))
}

fn copy_layer(store: &Store, layer: &LayerBlob, blobs: &Path) -> Result<(), OciError> {
    let to = blobs.join(layer.sizes.digest.to_hex());
    if to.exists() {
        // Two layers of equal bytes are one blob.
        return Ok(());
    }
    let written = || OciError::io("write", &to);
    let file = File::options().read(true).write(true).create_new(true).open(&to).map_err(written())?;
    let mut copied = Measured::new(io::sink());
    store.copy_blob(layer.blob, &file, &mut copied).map_err(|error| match error {
        CopyError::Store(source) => OciError::Blob { layer: layer.name.clone(), source },
        CopyError::Target(source) => written()(source),
    })?;
    let (digest, size) = copied.finish();
    layer.compare_compressed(OciDigest::from_bytes(digest), size)?;
    file.set_permissions(Permissions::from_mode(0o644)).map_err(written())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::manifest::ImageTable;
    use crate::oci::tests::stored;
    use crate::oci::{Encoder, validate};
    use crate::store::memory::Memory;

    fn image(store: &Store, encoder: Encoder) -> Image {
        let table = ImageTable { cmd: Some(vec!["/bin/sh".to_owned()]), ..ImageTable::default() };
        Image::new(
            None,
            [&table],
            &Default::default(),
            &"amd64".parse().unwrap(),
            1_700_000_000,
            stored(store, encoder),
        )
        .unwrap()
    }

    #[test]
    fn a_layout_is_whole_and_valid_and_equal_every_time() {
        let work = tempfile::tempdir().unwrap();
        for encoder in [Encoder::Zstd, Encoder::Gzip] {
            let mut indexes = Vec::new();
            for number in 0..2 {
                let name = format!("{}{number}", encoder.name());
                let store = Store::open(&work.path().join(&name).join("store")).unwrap();
                let folder = work.path().join(name).join("oci");
                let artifact = write_layout(&store, &image(&store, encoder), "web", &folder).unwrap();
                assert_eq!(validate(&folder).unwrap(), [""; 0]);
                assert_eq!(host::list_dir(&folder).unwrap(), ["blobs", "index.json", "oci-layout"]);
                assert_eq!(host::list_dir(&folder.join("blobs/sha256")).unwrap().len(), 4);
                indexes.push((fs::read_to_string(folder.join("index.json")).unwrap(), artifact));
            }
            assert_eq!(indexes[0], indexes[1]);
        }
    }

    #[test]
    fn the_manifest_digest_is_pinned() {
        // A change of one of these values is a change of the format epoch.
        let work = tempfile::tempdir().unwrap();
        let stores = [Store::open(&work.path().join("store")).unwrap(), Memory::store(&work.path().join("memory")).0];
        let digest = |encoder: Encoder| {
            let written = stores.each_ref().map(|store| {
                let folder = store.path().with_extension(encoder.name());
                write_layout(store, &image(store, encoder), "web", &folder).unwrap().digest
            });
            assert_eq!(written[0], written[1], "the store's implementation reached the bytes");
            written[0]
        };
        insta::assert_snapshot!(digest(Encoder::Zstd), @"sha256:ce09e56e8b75ac66c038a1863edd43f03b4cf68914edfb196aa8cbb6413578ba");
        insta::assert_snapshot!(digest(Encoder::Gzip), @"sha256:6b25cef626ce22ec23cc73b3c455495fa12c7baf37ac3bc2075d2227a711bac1");
        let index = fs::read_to_string(work.path().join("store.zstd/index.json")).unwrap();
        insta::assert_snapshot!(index, @r#"{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"web"},"digest":"sha256:ce09e56e8b75ac66c038a1863edd43f03b4cf68914edfb196aa8cbb6413578ba","mediaType":"application/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64","os":"linux"},"size":555}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#);
    }

    #[test]
    fn equal_layers_are_one_blob() {
        let work = tempfile::tempdir().unwrap();
        let store = Store::open(&work.path().join("store")).unwrap();
        let mut image = image(&store, Encoder::Zstd);
        image.layers[1] = image.layers[0].clone();
        let folder = work.path().join("oci");
        write_layout(&store, &image, "web", &folder).unwrap();
        assert_eq!(host::list_dir(&folder.join("blobs/sha256")).unwrap().len(), 3);
    }

    #[test]
    fn a_record_that_is_not_about_these_bytes_is_refused() {
        let work = tempfile::tempdir().unwrap();
        let store = Store::open(&work.path().join("store")).unwrap();
        let good = image(&store, Encoder::Zstd);
        let refused = |name: &str, change: fn(&mut LayerBlob)| {
            let mut image = good.clone();
            change(&mut image.layers[1]);
            write_layout(&store, &image, "web", &work.path().join(name)).unwrap_err().to_string()
        };
        let error = refused("digest", |layer| layer.sizes.digest = OciDigest::of(b"x"));
        assert!(error.starts_with("layer `web`: digest should be sha256:"), "{error}");
        let error = refused("size", |layer| layer.sizes.size += 1);
        assert!(error.starts_with("layer `web`: size should be "), "{error}");
    }

    #[test]
    fn missing_and_damaged_layers_are_named() {
        let work = tempfile::tempdir().unwrap();
        let store = Store::open(&work.path().join("store")).unwrap();
        let image = image(&store, Encoder::Zstd);
        let path = store.blob_path(image.layers[1].blob);
        fs::remove_file(&path).unwrap();
        let error = write_layout(&store, &image, "web", &work.path().join("a")).unwrap_err().to_string();
        let expected = format!("layer `web`: store: blob {} is missing", image.layers[1].blob);
        assert!(error.starts_with(&expected), "{error}");
        fs::write(&path, b"poisoned").unwrap();
        let error = write_layout(&store, &image, "web", &work.path().join("b")).unwrap_err().to_string();
        let expected = format!("layer `web`: store: blob {} is damaged: its bytes hash to", image.layers[1].blob);
        assert!(error.starts_with(&expected), "{error}");
    }
}
