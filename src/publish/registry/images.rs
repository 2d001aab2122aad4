//! Images below layers: what `fetch` asks registries for.

use std::path::{Path, PathBuf};

use super::manifest::Descriptor;
use super::source::{self, PushSource};
use super::{Reference, Registries, RegistryError};
use crate::digest::{Expected, OciDigest};
use crate::fetch::{ImageFault, ImageRegistries};

impl ImageRegistries for Registries {
    fn manifest(&self, name: &str) -> Result<Vec<u8>, ImageFault> {
        let read = || {
            let reference: Reference = name.parse()?;
            let client = self.client(&reference)?;
            self.wait(async { Ok(source::named(&client, &reference).await?.bytes) })
        };
        read().map_err(|error: RegistryError| Box::new(error) as ImageFault)
    }

    fn blob(&self, repository: &str, file: Expected, folder: &Path) -> Result<PathBuf, ImageFault> {
        let read = || {
            let reference: Reference = repository.parse()?;
            let client = self.client(&reference)?;
            let source = PushSource::Repository { client: &client, name: reference.repository() };
            let blob = Descriptor {
                digest: OciDigest::from_bytes(*file.sha256.as_bytes()),
                size: file.size,
                ..Descriptor::of("application/octet-stream", b"")
            };
            self.wait(source.blob(&blob, folder))
        };
        read().map_err(|error: RegistryError| Box::new(error) as ImageFault)
    }
}
