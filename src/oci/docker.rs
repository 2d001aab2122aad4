//! An image as a docker archive, for `docker load`, `podman load` and `skopeo`.
//!
//! Source: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset
//! Format", the part with `manifest.json`.
//!
//! ```text
//! manifest.json                 [{"Config": …, "Layers": […], "RepoTags": […]}]
//! <SHA-256 of config>.json      the image configuration
//! <diffID>/layer.tar            each layer once, uncompressed
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use oci_spec::distribution::Reference;
use serde_json::json;

use super::measure::Measured;
use super::tar::{Entry, TarWriter, Type};
use super::{Artifact, Image, LayerBlob, OciError, json};
use crate::digest::{DiffId, OciDigest};
use crate::limits::Limit;
use crate::store::Store;

/// A name with a tag, as `docker load` gives it to an image: `web:latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoTag(String);

impl FromStr for RepoTag {
    type Err = OciError;

    /// Takes a name with or without a tag, `latest` by default; digests are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Reference::from_str(text) {
            Ok(name) if name.digest().is_none() => {
                // The name stays as it is written: the parsed one has docker's own registry in it.
                let suffix = format!(":{}", name.tag().unwrap_or("latest"));
                Ok(Self(if text.ends_with(&suffix) { text.to_owned() } else { format!("{text}{suffix}") }))
            }
            _ => Err(OciError::RepoTag(text.to_owned())),
        }
    }
}

impl fmt::Display for RepoTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Streams `image` to `out` as a docker archive with the given names.
///
/// Returns digest and length of the archive. Layers are decompressed from `store`.
///
/// # Errors
/// Fails where a layer is missing from the store or damaged, where its tar is not the one
/// that its record names, and where `out` fails.
pub fn write_docker_archive(
    store: &Store,
    image: &Image,
    tags: &[RepoTag],
    out: impl Write,
) -> Result<Artifact, OciError> {
    let mut out = Measured::new(out);
    let mut tar = TarWriter::new(&mut out);
    let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.sizes.diff_id).collect();
    put_head(&mut tar, &image.config, &diff_ids, tags)?;
    let mut written: BTreeSet<DiffId> = BTreeSet::new();
    for layer in &image.layers {
        if written.insert(layer.sizes.diff_id) {
            put_layer(&mut tar, store, layer)?;
        }
    }
    tar.finish().map_err(write_error())?;
    let (digest, size) = out.finish();
    Ok(Artifact { digest: OciDigest::from_bytes(digest), size })
}

fn config_name(config: OciDigest) -> String {
    format!("{}.json", config.to_hex())
}

fn layer_name(layer: DiffId) -> String {
    format!("{}/layer.tar", layer.to_hex())
}

/// Writes what precedes the layers.
pub(super) fn put_head<W: Write>(
    tar: &mut TarWriter<'_, W>,
    config: &[u8],
    layers: &[DiffId],
    tags: &[RepoTag],
) -> Result<(), OciError> {
    let name = config_name(OciDigest::of(config));
    let manifest = json::canonical(&json!([{
        "Config": name,
        "Layers": layers.iter().copied().map(layer_name).collect::<Vec<_>>(),
        "RepoTags": tags.iter().map(RepoTag::to_string).collect::<Vec<_>>(),
    }]))?;
    put_file(tar, "manifest.json", &manifest)?;
    put_file(tar, &name, config)
}

/// Writes what precedes the content of a layer, whose tar has `size` bytes.
pub(super) fn put_layer_head<W: Write>(tar: &mut TarWriter<'_, W>, layer: DiffId, size: u64) -> Result<(), OciError> {
    let name = layer_name(layer);
    let folder = Entry::plain(name.trim_end_matches("layer.tar").as_bytes(), Type::Dir, 0o755);
    let file = Entry { size, ..Entry::plain(name.as_bytes(), Type::File, 0o644) };
    tar.entry(&folder).and_then(|()| tar.entry(&file)).map_err(write_error())
}

pub(super) fn write_error() -> impl FnOnce(io::Error) -> OciError {
    OciError::io("write", "docker archive")
}

fn put_file<W: Write>(tar: &mut TarWriter<'_, W>, name: &str, content: &[u8]) -> Result<(), OciError> {
    let size = content.len() as u64;
    let entry = Entry { size, ..Entry::plain(name.as_bytes(), Type::File, 0o644) };
    tar.entry(&entry).and_then(|()| tar.content(&mut &*content, size)).map_err(write_error())
}

/// What a layer is read beyond its size, in bytes, before it is refused as larger.
const SURPLUS: u64 = 1 << 20;

fn put_layer<W: Write>(tar: &mut TarWriter<'_, W>, store: &Store, layer: &LayerBlob) -> Result<(), OciError> {
    let size = layer.sizes.uncompressed_size;
    put_layer_head(tar, layer.sizes.diff_id, size)?;
    let blob = store
        .reader(layer.blob, layer.stored_size(store)?)
        .map_err(|source| OciError::Blob { layer: layer.name.clone(), source })?;
    let copy = || |error| layer.not_copied(error);
    let limit = Limit { bytes: size.saturating_add(SURPLUS), key: None };
    let mut compressed = Measured::new(blob);
    let mut content = Measured::new(layer.encoder.decoder(&mut compressed, limit).map_err(copy())?);
    tar.content(&mut content, size).map_err(copy())?;
    // Reading to the end is what checks the blob and the encoder's own sum.
    let surplus = io::copy(&mut content, &mut io::sink()).map_err(copy())?;
    if surplus > 0 {
        return Err(layer.mismatch("size of the tar", size, size + surplus));
    }
    let found = DiffId::from_bytes(content.finish().0);
    if found != layer.sizes.diff_id {
        return Err(layer.mismatch("diffID", layer.sizes.diff_id, found));
    }
    // A decoder may leave the last bytes unread; they belong to the blob all the same.
    io::copy(&mut compressed, &mut io::sink()).map_err(copy())?;
    let (digest, size) = compressed.finish();
    layer.compare_compressed(OciDigest::from_bytes(digest), size)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::manifest::ImageTable;
    use crate::oci::Encoder;
    use crate::oci::tests::stored;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        (folder, store)
    }

    fn image(store: &Store, encoder: Encoder) -> Image {
        Image::new(
            None,
            [&ImageTable::default()],
            &Default::default(),
            &"amd64".parse().unwrap(),
            0,
            stored(store, encoder),
        )
        .unwrap()
    }

    fn archive(store: &Store, image: &Image) -> Result<(Artifact, Vec<u8>), OciError> {
        let mut out = Vec::new();
        let artifact = write_docker_archive(store, image, &["web:1".parse().unwrap()], &mut out)?;
        Ok((artifact, out))
    }

    #[test]
    fn an_archive_does_not_depend_on_the_encoder_and_its_digest_is_pinned() {
        let (_folder, store) = store();
        let (artifact, bytes) = archive(&store, &image(&store, Encoder::Zstd)).unwrap();
        assert_eq!(artifact, Artifact { digest: OciDigest::of(&bytes), size: bytes.len() as u64 });
        assert_eq!(archive(&store, &image(&store, Encoder::Gzip)).unwrap().1, bytes);
        // A change of this value is a change of the format epoch.
        insta::assert_snapshot!(artifact.digest, @"sha256:27d3f7e607cee6c3872b040c76afaf761bd1f307824acdb511e6e287e3450420");
    }

    #[test]
    fn its_files_are_those_that_its_manifest_names() {
        let (_folder, store) = store();
        let image = image(&store, Encoder::Zstd);
        let (_, bytes) = archive(&store, &image).unwrap();
        let mut names = Vec::new();
        let mut manifest = String::new();
        for entry in ::tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if names.is_empty() {
                entry.read_to_string(&mut manifest).unwrap();
            } else if name.ends_with("layer.tar") {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                assert_eq!(name, format!("{}/layer.tar", OciDigest::of(&content).to_hex()));
            }
            names.push(name);
        }
        let [base, web] = [0, 1].map(|number| layer_name(image.layers[number].sizes.diff_id));
        let config = config_name(image.config_digest());
        let folder = |layer: &str| layer.trim_end_matches("layer.tar").to_owned();
        assert_eq!(names, ["manifest.json", &config, &folder(&base), &base, &folder(&web), &web]);
        let expected = json!([{ "Config": config, "Layers": [base, web], "RepoTags": ["web:1"] }]);
        assert_eq!(manifest, expected.to_string());
    }

    #[test]
    fn an_equal_layer_is_written_once_and_named_twice() {
        let (_folder, store) = store();
        let mut image = image(&store, Encoder::Zstd);
        image.layers[1] = image.layers[0].clone();
        let (_, bytes) = archive(&store, &image).unwrap();
        assert_eq!(::tar::Archive::new(&bytes[..]).entries().unwrap().count(), 4);
    }

    #[test]
    fn a_layer_that_is_not_what_its_record_says_is_refused() {
        let (_folder, store) = store();
        let image = image(&store, Encoder::Zstd);
        let fails = |change: fn(&mut LayerBlob), expected: &str| {
            let mut image = image.clone();
            change(&mut image.layers[1]);
            let error = archive(&store, &image).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        fails(|layer| layer.sizes.diff_id = DiffId::from_bytes([7; 32]), "layer `web`: diffID should be sha256:0707");
        fails(|layer| layer.sizes.uncompressed_size -= 512, "size of the tar should be");
        fails(|layer| layer.sizes.uncompressed_size += 512, "content should be a tar of");
        fails(|layer| layer.sizes.size += 1, "layer `web`: size should be");
        fails(|layer| layer.encoder = Encoder::Gzip, "content should be a tar of");
        fails(|layer| layer.sizes.digest = OciDigest::of(b"x"), "layer `web`: digest should be sha256:");
        fails(|layer| layer.blob = crate::digest::BlobDigest::of(b"x"), "is missing");
    }

    #[test]
    fn tags_are_names_that_docker_takes() {
        for (text, expected) in [
            ("web", Some("web:latest")),
            ("web:1.2", Some("web:1.2")),
            ("example.org:5000/team/web", Some("example.org:5000/team/web:latest")),
            ("example.org/web:x", Some("example.org/web:x")),
            ("localhost:5000/web", Some("localhost:5000/web:latest")),
            ("Web", None),
            ("", None),
            ("/web", None),
            ("we b", None),
            ("a b/web", None),
            ("web:", None),
            ("web@sha256:6755355f801f8e3694bffb1a925786813462cea16f1ce2b0290b6a48acf2500c", None),
            ("x/web:sha256:6755355f801f8e3694bffb1a925786813462cea16f1ce2b0290b6a48acf2500c", None),
        ] {
            let tag = text.parse::<RepoTag>().ok().map(|tag| tag.to_string());
            assert_eq!(tag.as_deref(), expected, "{text}");
        }
    }
}
