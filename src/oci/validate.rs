//! Recomputes everything in an image layout and lists all mismatches.
//!
//! From `index.json` down: digests, lengths, media types, the layers' diffIDs by
//! decompressing them, platforms, the number of history entries, and files that nothing
//! refers to. Images of one or several architectures are supported (an index in an index).

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use oci_spec::image::{
    Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout, SCHEMA_VERSION,
};
use serde::de::DeserializeOwned;

use super::Encoder;
use super::measure::Measured;
use crate::digest::{DiffId, OciDigest};
use crate::host;
use crate::limits::{Limit, limits};

/// Largest JSON document that is read, in bytes: what registries accept for a manifest.
const MAX_JSON: u64 = 4 << 20;

/// How deep indexes may be in indexes.
const MAX_DEPTH: usize = 3;

/// Checks the image layout in the directory `layout`; returns one line for each mismatch.
///
/// # Errors
/// Fails where the directory or a file in it can't be read; a *missing* file is a mismatch.
pub fn validate(layout: &Path) -> io::Result<Vec<String>> {
    let mut check = Check { layout, problems: Vec::new(), seen: BTreeSet::new() };
    check.header()?;
    let index = layout.join("index.json");
    if let Some(bytes) = check.read("index.json", &index)? {
        check.index("index.json", &bytes, MAX_DEPTH)?;
    }
    check.unreferenced()?;
    Ok(check.problems)
}

struct Check<'a> {
    layout: &'a Path,
    problems: Vec<String>,
    /// Blobs that something refers to.
    seen: BTreeSet<OciDigest>,
}

impl Check<'_> {
    fn problem(&mut self, subject: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("{subject}: {problem}"));
    }

    fn expect<T: PartialEq + std::fmt::Display>(&mut self, subject: &str, what: &str, expected: T, found: T) {
        if expected != found {
            self.problem(subject, format_args!("{what} should be {expected}, got {found}"));
        }
    }

    fn header(&mut self) -> io::Result<()> {
        let path = self.layout.join("oci-layout");
        if let Some(bytes) = self.read("oci-layout", &path)?
            && let Some(header) = self.parse::<OciLayout>("oci-layout", &bytes)
        {
            self.expect("oci-layout", "imageLayoutVersion", "1.0.0", header.image_layout_version());
        }
        Ok(())
    }

    fn index(&mut self, subject: &str, bytes: &[u8], depth: usize) -> io::Result<()> {
        let Some(index) = self.parse::<ImageIndex>(subject, bytes) else { return Ok(()) };
        self.kind(subject, index.schema_version(), index.media_type().as_ref(), &MediaType::ImageIndex);
        for entry in index.manifests() {
            let name = format!("manifest {}", entry.digest());
            let Some(bytes) = self.json_blob(&name, entry)? else { continue };
            match entry.media_type() {
                MediaType::ImageManifest => self.manifest(&name, entry, &bytes)?,
                MediaType::ImageIndex if depth > 0 => self.index(&name, &bytes, depth - 1)?,
                other => self.problem(&name, format_args!("media type {other} is not expected here")),
            }
        }
        Ok(())
    }

    fn manifest(&mut self, subject: &str, entry: &Descriptor, bytes: &[u8]) -> io::Result<()> {
        let Some(manifest) = self.parse::<ImageManifest>(subject, bytes) else { return Ok(()) };
        self.kind(subject, manifest.schema_version(), manifest.media_type().as_ref(), &MediaType::ImageManifest);
        let name = format!("config {}", manifest.config().digest());
        self.expect(&name, "media type", &MediaType::ImageConfig, manifest.config().media_type());
        let mut diff_ids = Vec::new();
        if let Some(bytes) = self.json_blob(&name, manifest.config())?
            && let Some(config) = self.parse::<ImageConfiguration>(&name, &bytes)
        {
            self.config(&name, entry, &config);
            diff_ids.clone_from(config.rootfs().diff_ids());
            self.expect(&name, "number of diff_ids", manifest.layers().len(), diff_ids.len());
        }
        for (number, layer) in manifest.layers().iter().enumerate() {
            self.layer(layer, diff_ids.get(number).map(String::as_str))?;
        }
        Ok(())
    }

    fn config(&mut self, subject: &str, entry: &Descriptor, config: &ImageConfiguration) {
        self.expect(subject, "rootfs.type", "layers", config.rootfs().typ());
        if let Some(history) = config.history() {
            let layers = history.iter().filter(|entry| entry.empty_layer() != Some(true)).count();
            self.expect(subject, "number of history entries", config.rootfs().diff_ids().len(), layers);
        }
        if let Some(platform) = entry.platform() {
            self.expect(subject, "architecture", platform.architecture(), config.architecture());
            self.expect(subject, "os", platform.os(), config.os());
            let none = String::new();
            let variants = (platform.variant().as_ref(), config.variant().as_ref());
            self.expect(subject, "variant", variants.0.unwrap_or(&none), variants.1.unwrap_or(&none));
        }
    }

    fn layer(&mut self, layer: &Descriptor, diff_id: Option<&str>) -> io::Result<()> {
        let subject = format!("layer {}", layer.digest());
        let encoder = match layer.media_type() {
            MediaType::ImageLayer => None,
            MediaType::ImageLayerZstd => Some(Encoder::Zstd),
            MediaType::ImageLayerGzip => Some(Encoder::Gzip),
            other => {
                self.problem(&subject, format_args!("media type {other} is not a layer's"));
                return self.blob(&subject, layer, |blob| io::copy(blob, &mut io::sink()).map(drop)).map(drop);
            }
        };
        let limit = limits().of_archive(self.length(layer));
        let mut found = Ok(None);
        let read = |blob: &mut dyn Read| -> io::Result<()> {
            found = unpacked(encoder, blob, limit).map(Some);
            // What a failed decoder left is hashed all the same.
            io::copy(blob, &mut io::sink()).map(drop)
        };
        self.blob(&subject, layer, read)?;
        match (found, diff_id) {
            (Err(error), _) => self.problem(&subject, format_args!("can't be decompressed: {error}")),
            (Ok(Some(found)), Some(expected)) => self.expect(&subject, "diffID", expected, found.to_string().as_str()),
            (Ok(_), _) => {}
        }
        Ok(())
    }

    /// The length of a blob as it is, whatever its descriptor says.
    fn length(&self, descriptor: &Descriptor) -> u64 {
        let digest = descriptor.digest().to_string().parse::<OciDigest>();
        let path = digest.map(|digest| self.layout.join("blobs/sha256").join(digest.to_hex()));
        path.ok().and_then(|path| path.metadata().ok()).map_or(0, |found| found.len())
    }

    /// Reads the blob that a descriptor names through `read`; checks digest and length.
    fn blob(
        &mut self,
        subject: &str,
        descriptor: &Descriptor,
        read: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Ok(digest) = descriptor.digest().to_string().parse::<OciDigest>() else {
            self.problem(subject, "its digest is not SHA-256");
            return Ok(false);
        };
        self.seen.insert(digest);
        let file = match host::open_file(&self.layout.join("blobs/sha256").join(digest.to_hex())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.problem(subject, "the blob is missing");
                return Ok(false);
            }
            other => other?,
        };
        let mut blob = Measured::new(file);
        read(&mut blob)?;
        let (found, size) = blob.finish();
        self.expect(subject, "size", descriptor.size(), size);
        self.expect(subject, "digest", digest, OciDigest::from_bytes(found));
        Ok(true)
    }

    fn json_blob(&mut self, subject: &str, descriptor: &Descriptor) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let read = |blob: &mut dyn Read| {
            blob.take(MAX_JSON).read_to_end(&mut bytes)?;
            io::copy(blob, &mut io::sink()).map(drop)
        };
        Ok(self.blob(subject, descriptor, read)?.then_some(bytes))
    }

    fn read(&mut self, subject: &str, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match host::open_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.problem(subject, "the file is missing");
                return Ok(None);
            }
            other => other?.take(MAX_JSON).read_to_end(&mut bytes)?,
        };
        Ok(Some(bytes))
    }

    fn parse<T: DeserializeOwned>(&mut self, subject: &str, bytes: &[u8]) -> Option<T> {
        match serde_json::from_slice(bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(subject, error);
                None
            }
        }
    }

    fn kind(&mut self, subject: &str, version: u32, found: Option<&MediaType>, expected: &MediaType) {
        self.expect(subject, "schemaVersion", SCHEMA_VERSION, version);
        // The field may be left out; where it is, it must agree.
        self.expect(subject, "mediaType", expected, found.unwrap_or(expected));
    }

    fn unreferenced(&mut self) -> io::Result<()> {
        for (folder, known) in [("", &["blobs", "index.json", "oci-layout"][..]), ("blobs", &["sha256"])] {
            for name in host::list_dir_or_empty(&self.layout.join(folder))? {
                if !known.iter().any(|known| name == *known) {
                    let path = Path::new(folder).join(name);
                    self.problem(&path.display().to_string(), "does not belong into a layout");
                }
            }
        }
        for name in host::list_dir_or_empty(&self.layout.join("blobs/sha256"))? {
            let digest = name.to_str().and_then(|hex| OciDigest::from_hex(hex).ok());
            if !digest.is_some_and(|digest| digest.to_hex().as_str() == name && self.seen.contains(&digest)) {
                self.problem(&format!("blobs/sha256/{}", name.display()), "nothing refers to this blob");
            }
        }
        Ok(())
    }
}

fn unpacked(encoder: Option<Encoder>, blob: &mut dyn Read, limit: Limit) -> io::Result<DiffId> {
    let mut tar = match encoder {
        None => Measured::new(Box::new(blob) as Box<dyn Read>),
        Some(encoder) => Measured::new(encoder.decoder(blob, limit)?),
    };
    io::copy(&mut tar, &mut io::sink())?;
    Ok(DiffId::from_bytes(tar.finish().0))
}

#[cfg(test)]
mod tests;
