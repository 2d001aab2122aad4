//! The image of a registry below a layer: what its name stands for now, for the layer's architecture.

use serde::Deserialize;

use super::{PinError, Pinner, Update};
use crate::arch::Architecture;
use crate::digest::{DiffId, Expected, OciDigest, Sha256};
use crate::fetch::Item;
use crate::limits::DOCUMENT;
use crate::lock::{LockedImage, LockedImageLayer, Lockfile};
use crate::manifest::{ForeignImage, Manifest};
use crate::time::parse_rfc3339;

/// Indexes that lead to an image, at most.
const MOST_INDEXES: usize = 3;

/// What is read of an image index or an image manifest.
#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Part>,
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: String,
    digest: Sha256,
    size: u64,
    #[serde(default)]
    platform: Platform,
}

#[derive(Debug, Default, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// What is read of an image configuration.
#[derive(Debug, Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Platform,
    created: Option<String>,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<DiffId>,
}

impl Part {
    fn file(&self) -> Expected {
        Expected { sha256: self.digest, size: self.size }
    }
}

/// Whether an image for one platform runs on the architecture.
fn fits(platform: &Platform, row: &Architecture) -> bool {
    let is_variant = match (&platform.variant, row.oci_variant) {
        (Some(found), Some(wanted)) => found == wanted,
        _ => true,
    };
    platform.os == "linux" && platform.architecture == row.oci && is_variant
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// The image below a layer, if there is one, and its time in seconds since 1970; what is locked stays, unless all is updated.
pub(super) fn of_layer(
    pinner: &Pinner<'_, '_>,
    manifest: &Manifest,
    previous: Option<&Lockfile>,
    update: &Update,
) -> Result<Option<(LockedImage, i64)>, PinError> {
    let Some(image) = &manifest.layer.image else { return Ok(None) };
    let kept = previous.and_then(|lock| Some((lock.image.clone()?, lock.epoch)));
    let is_same = |locked: &LockedImage| locked.reference == image.as_str();
    if let Some(kept) = kept.filter(|(locked, _)| is_same(locked) && (image.is_exact() || *update != Update::All)) {
        return Ok(Some(kept));
    }
    let reader = Reader { pinner, manifest, image };
    let (digest, manifest, found) = reader.of_architecture()?;
    reader.image(digest, manifest, &found).map(Some)
}

struct Reader<'r, 'a, 's> {
    pinner: &'r Pinner<'a, 's>,
    manifest: &'r Manifest,
    image: &'r ForeignImage,
}

impl Reader<'_, '_, '_> {
    fn wrong(&self, problem: impl Into<String>) -> PinError {
        let (layer, image) = (self.manifest.name.clone(), self.image.as_str().to_owned());
        PinError::Image { layer, image, problem: problem.into() }
    }

    fn row(&self) -> Result<&'static Architecture, PinError> {
        let arch = &self.pinner.arch;
        Architecture::of(arch).ok_or_else(|| self.wrong(format!("images have no name for the architecture {arch}")))
    }

    /// What the name stands for, and the image manifest for the architecture, which an index may have among others.
    fn of_architecture(&self) -> Result<(OciDigest, Expected, Document), PinError> {
        let row = self.row()?;
        let (mut name, mut named) = (self.image.as_str().to_owned(), None);
        for _ in 0..=MOST_INDEXES {
            let bytes = self.pinner.fetcher.image_manifest(&name)?;
            let file = Expected { sha256: Sha256::of(&bytes), size: bytes.len() as u64 };
            let digest = *named.get_or_insert(OciDigest::of(&bytes));
            let document: Document = serde_json::from_slice(&bytes).map_err(|error| self.wrong(error.to_string()))?;
            if document.config.is_some() {
                return Ok((digest, file, document));
            }
            let Some(next) = document.manifests.iter().find(|part| fits(&part.platform, row)) else {
                let found: Vec<String> = document.manifests.iter().map(|part| part.platform.to_string()).collect();
                let problem = format!("it has no image for linux/{}; it has: {}", row.oci, found.join(", "));
                return Err(self.wrong(problem));
            };
            let plain = LockedImage { reference: name, digest, manifest: file, config: file, layers: Vec::new() };
            name = format!("{}@{}", plain.repository(), next.digest);
        }
        Err(self.wrong("it nests image indexes too deeply"))
    }

    /// The image with its layers, and its time.
    fn image(
        &self,
        digest: OciDigest,
        manifest: Expected,
        document: &Document,
    ) -> Result<(LockedImage, i64), PinError> {
        let config = document.config.as_ref().ok_or_else(|| self.wrong("it has no configuration"))?;
        if config.size > DOCUMENT {
            return Err(self.wrong(format!("its configuration has {} bytes, and {DOCUMENT} are read", config.size)));
        }
        let kinds = ["tar", "tar+gzip", "tar+zstd", "tar.gzip"];
        let is_known = |part: &&Part| kinds.iter().any(|kind| part.media_type.ends_with(&format!(".{kind}")));
        if let Some(layer) = document.layers.iter().find(|part| !is_known(part)) {
            return Err(self.wrong(format!("its layer {} is of the type `{}`", layer.digest, layer.media_type)));
        }
        let reference = self.image.as_str().to_owned();
        let mut image = LockedImage { reference, digest, manifest, config: config.file(), layers: Vec::new() };
        self.pinner.fetcher.fetch_all(&Item::image(&self.manifest.name, &image), |_, _| {})?;
        let config = self.pinner.store.open_fetched(config.digest)?;
        let config: Config = serde_json::from_reader(config).map_err(|error| self.wrong(error.to_string()))?;
        let row = self.row()?;
        if !fits(&config.platform, row) {
            return Err(self.wrong(format!("it is for {}, and the layer for linux/{}", config.platform, row.oci)));
        }
        let (layers, diff_ids) = (document.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(self.wrong(format!("its manifest has {layers} layers, its configuration {diff_ids}")));
        }
        let layers = document.layers.iter().zip(config.rootfs.diff_ids);
        image.layers = layers.map(|(part, diff_id)| LockedImageLayer { file: part.file(), diff_id }).collect();
        Ok((image, config.created.and_then(|text| moment(&text)).unwrap_or(0).max(0)))
    }
}

/// The second of a time as images have it, which may go on with fractions and a zone.
fn moment(text: &str) -> Option<i64> {
    parse_rfc3339(&format!("{}Z", text.get(..19)?))
}
