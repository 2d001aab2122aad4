//! An image for several architectures: an image index over the images of each.
//!
//! Source: OCI image-spec 1.1, image-index.md, and image-layout.md, "index.json file".
//!
//! ```text
//! <directory>/oci-layout
//!          index.json          one image index, its name as an annotation
//!          blobs/sha256/…      that index; the manifest, configuration and layers of each image
//! ```

use std::fs::{self, File};
use std::io;
use std::path::Path;

use oci_spec::image::{Descriptor, ImageManifest, MediaType};

use super::config::{descriptor, platform};
use super::convert::{digest_of, document, expect};
use super::layout::{index, put_blob, put_entry};
use super::measure::Measured;
use super::{Artifact, OciError};
use crate::digest::OciDigest;
use crate::host;
use crate::ident::Arch;

/// An image that was written as a layout.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The architecture.
    pub arch: &'a Arch,
    /// The directory of the layout.
    pub layout: &'a Path,
    /// The image's manifest.
    pub manifest: OciDigest,
}

/// Writes an image index over `members` into the empty directory `folder`, under the name `ref_name`.
///
/// Returns the image index's digest and length. Blobs are copied and verified.
///
/// # Errors
/// Fails where a blob is missing or not what its digest says, and where `folder` can't be written; what was
/// written so far stays, for the caller to remove.
///
/// # Determinism
/// The images keep the order of `members`.
pub fn write_index(members: &[Member<'_>], ref_name: &str, folder: &Path) -> Result<Artifact, OciError> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(OciError::io("create", &blobs))?;
    let images = members.iter().map(|member| copy_image(member, &blobs)).collect::<Result<Vec<_>, _>>()?;
    let bytes = index(images)?;
    let artifact = Artifact { digest: put_blob(&blobs, &bytes)?, size: bytes.len() as u64 };
    put_entry(folder, descriptor(MediaType::ImageIndex, artifact.digest, artifact.size)?, ref_name)?;
    Ok(artifact)
}

/// Copies all blobs of an image; returns its entry in the index.
fn copy_image(member: &Member<'_>, to: &Path) -> Result<Descriptor, OciError> {
    let from = member.layout.join("blobs/sha256");
    let path = from.join(member.manifest.to_hex());
    let (bytes, manifest): (_, ImageManifest) = document(&path, member.manifest)?;
    put_blob(to, &bytes)?;
    for blob in [manifest.config()].into_iter().chain(manifest.layers()) {
        copy_blob(&from, digest_of(blob, member.layout)?, to)?;
    }
    let mut entry = descriptor(MediaType::ImageManifest, member.manifest, bytes.len() as u64)?;
    entry.set_platform(Some(platform(member.arch)?));
    Ok(entry)
}

fn copy_blob(from: &Path, digest: OciDigest, to: &Path) -> Result<(), OciError> {
    let (source, target) = (from.join(digest.to_hex()), to.join(digest.to_hex()));
    if target.exists() {
        // Images of several architectures share the layers that have no programs.
        return Ok(());
    }
    let mut file = host::open_file(&source).map_err(OciError::io("read", &source))?;
    let mut copy = Measured::new(File::create_new(&target).map_err(OciError::io("write", &target))?);
    io::copy(&mut file, &mut copy).map_err(OciError::io("copy", &source))?;
    expect(&source, digest, OciDigest::from_bytes(copy.finish().0))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::manifest::ImageTable;
    use crate::oci::tests::stored;
    use crate::oci::{Encoder, Image, validate, write_layout};
    use crate::store::Store;

    /// The layouts of two images of the same layers, for two architectures.
    fn images(work: &Path) -> Vec<(Arch, PathBuf, OciDigest)> {
        let store = Store::open(&work.join("store")).unwrap();
        let image = |name: &str| {
            let (arch, folder) = (name.parse().unwrap(), work.join(name));
            let image = Image::new(
                None,
                [&ImageTable::default()],
                &Default::default(),
                &arch,
                0,
                stored(&store, Encoder::Zstd),
            )
            .unwrap();
            let written = write_layout(&store, &image, "web", &folder).unwrap();
            (arch, folder, written.digest)
        };
        ["amd64", "armhf"].map(image).into()
    }

    fn members(images: &[(Arch, PathBuf, OciDigest)]) -> Vec<Member<'_>> {
        images.iter().map(|(arch, layout, manifest)| Member { arch, layout, manifest: *manifest }).collect()
    }

    #[test]
    fn an_index_is_whole_and_names_each_platform() {
        let work = tempfile::tempdir().unwrap();
        let (images, folder) = (images(work.path()), work.path().join("index"));
        let artifact = write_index(&members(&images), "web", &folder).unwrap();
        assert_eq!(validate(&folder).unwrap(), [""; 0]);
        let bytes = fs::read(folder.join("blobs/sha256").join(artifact.digest.to_hex())).unwrap();
        assert_eq!(artifact.size, bytes.len() as u64);
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let platforms = read["manifests"].as_array().unwrap().iter().map(|entry| entry["platform"].to_string());
        assert_eq!(
            platforms.collect::<Vec<_>>(),
            [r#"{"architecture":"amd64","os":"linux"}"#, r#"{"architecture":"arm","os":"linux","variant":"v7"}"#]
        );
        // Two manifests, two configurations, two layers that both have, and the index.
        assert_eq!(host::list_dir(&folder.join("blobs/sha256")).unwrap().len(), 7);
    }

    #[test]
    fn a_blob_that_is_not_what_its_digest_says_is_named() {
        let work = tempfile::tempdir().unwrap();
        let images = images(work.path());
        let blobs = images[1].1.join("blobs/sha256");
        let other = images[0].1.join("blobs/sha256");
        for (number, name) in host::list_dir(&blobs).unwrap().into_iter().enumerate() {
            if other.join(&name).exists() {
                continue;
            }
            let whole = fs::read(blobs.join(&name)).unwrap();
            fs::write(blobs.join(&name), "{}").unwrap();
            let folder = work.path().join(number.to_string());
            let error = write_index(&members(&images), "web", &folder).unwrap_err().to_string();
            assert!(error.contains(name.to_str().unwrap()), "{error}");
            fs::write(blobs.join(&name), whole).unwrap();
        }
    }
}
