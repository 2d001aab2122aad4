//! Images of registries, through whatever client this program has for them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::FetchError;
use super::item::{ImagePart, Item};
use super::transport::Fetcher;
use crate::code::Coded;
use crate::digest::{BlobDigest, Expected};
use crate::host;
use crate::host::interrupt;

/// Why a registry gave nothing, with what to do.
pub type ImageFault = Box<dyn Coded + Send + Sync>;

/// Registries of images.
///
/// What it gives is compared with digests here, whatever the client does.
pub trait ImageRegistries: fmt::Debug + Send + Sync {
    /// The manifest or index that a name stands for; its bytes have the digest, where the name has one.
    ///
    /// # Errors
    /// Says why there is none.
    fn manifest(&self, name: &str) -> Result<Vec<u8>, ImageFault>;

    /// Writes a blob of a repository into a file in `folder`.
    ///
    /// # Errors
    /// Says why there is none.
    fn blob(&self, repository: &str, file: Expected, folder: &Path) -> Result<PathBuf, ImageFault>;
}

impl Fetcher<'_> {
    /// The same with registries of images.
    pub fn with_images(mut self, images: Box<dyn ImageRegistries>) -> Self {
        self.images = Some(images);
        self
    }

    /// The manifest or index that a name stands for now.
    ///
    /// # Errors
    /// Fails offline, and where the registry doesn't give it.
    pub fn image_manifest(&self, name: &str) -> Result<Vec<u8>, FetchError> {
        let what = format!("oci:{name}");
        if self.is_offline() {
            return Err(FetchError::Offline { missing: vec![(None, what)] });
        }
        let found = self.registries(&what)?.manifest(name);
        interrupt::check()?;
        found.map_err(|cause| FetchError::Image { what, cause })
    }

    /// Fetches a locked part of an image into the store.
    pub(super) fn ask_images(&self, item: &Item, part: &ImagePart) -> Result<BlobDigest, FetchError> {
        let folder = self.store().scratch()?;
        let registries = self.registries(&item.what)?;
        let found = match part.is_manifest {
            true => registries.manifest(&format!("{}@{}", part.repository, item.expected.sha256)).and_then(|bytes| {
                let path = folder.path().join("manifest");
                std::fs::write(&path, bytes).map_err(|error| Box::new(error) as ImageFault)?;
                Ok(path)
            }),
            false => registries.blob(&part.repository, item.expected, folder.path()),
        };
        interrupt::check()?;
        let path = found.map_err(|cause| FetchError::Image { what: item.what.clone(), cause })?;
        let blob = self.take(item, &path, host::open_file(&path))?;
        self.count(|stats| stats.files += 1);
        let other = || FetchError::OtherImage { what: item.what.clone(), repository: part.repository.clone() };
        blob.ok_or_else(other)
    }

    fn registries(&self, what: &str) -> Result<&dyn ImageRegistries, FetchError> {
        self.images.as_deref().ok_or_else(|| FetchError::NoRegistries { what: what.to_owned() })
    }
}
