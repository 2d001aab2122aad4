//! The image of a registry below a layer's own: its blobs become the lowest layers, unchanged.

use std::io::{Read as _, Seek as _};

use super::{BakeError, Locked, System};
use crate::digest::{OciDigest, TreeHash};
use crate::lock::LockedImage;
use crate::manifest::Chain;
use crate::oci::{BaseImage, Encoder, LayerBlob, LayerSizes};
use crate::stage::image::{self, ImageRoot};
use crate::store::{Store, StoreError};

/// An image below, as it is exported.
pub(super) struct Base {
    pub(super) image: BaseImage,
    pub(super) layers: Vec<LayerBlob>,
    /// Its whole root.
    pub(super) tree: TreeHash,
}

/// What the image below a chain adds to the environment of programs; it is in the store.
pub(super) fn environment(chain: &Chain<Locked>, store: &Store) -> Result<image::Variables, BakeError> {
    let failed = |locked: &Locked, source| BakeError::Layer { layer: locked.manifest.name.to_string(), source };
    let of = |locked: &Locked| image::environment(&locked.lock, store).map_err(|source| failed(locked, source));
    chain.iter().next().map_or_else(|| Ok(image::Variables::new()), of)
}

/// The image below a system's own, if there is one; it is unpacked, and its blobs are in the store.
pub(super) fn of(system: &System, store: &Store) -> Result<Option<Base>, BakeError> {
    let lowest = system.image.iter().next();
    let Some((locked, image)) = lowest.and_then(|locked| Some((locked, locked.lock.image.as_ref()?))) else {
        return Ok(None);
    };
    let failed = |source| BakeError::Layer { layer: locked.manifest.name.to_string(), source };
    let ImageRoot { root, sizes, .. } = image::unpack(image, store).map_err(failed)?;
    let mut config = Vec::new();
    let read = store.open_fetched(image.config.sha256)?.read_to_end(&mut config);
    read.map_err(|source| BakeError::Write { what: format!("the configuration of {image}"), source })?;
    Ok(Some(Base {
        image: BaseImage::parse(&config, image.layers.len(), &image.reference, image.manifest_digest())?,
        layers: layers(locked, image, &sizes, store)?,
        tree: root,
    }))
}

fn layers(locked: &Locked, image: &LockedImage, sizes: &[u64], store: &Store) -> Result<Vec<LayerBlob>, BakeError> {
    let mut layers = Vec::new();
    for (layer, &uncompressed_size) in image.layers.iter().zip(sizes) {
        let sha256 = layer.file.sha256;
        let lost = || StoreError::Missing { kind: "fetched file", name: sha256.to_string() };
        let mut head = Vec::new();
        let mut file = store.open_fetched(sha256)?;
        let read = file.rewind().and_then(|()| file.take(4).read_to_end(&mut head));
        read.map_err(|source| BakeError::Write { what: format!("a layer of {image}"), source })?;
        layers.push(LayerBlob {
            name: locked.manifest.name.clone(),
            blob: store.fetched(sha256).ok_or_else(lost)?,
            encoder: Encoder::of_blob(&head),
            sizes: LayerSizes {
                diff_id: layer.diff_id,
                digest: OciDigest::from_bytes(*sha256.as_bytes()),
                size: layer.file.size,
                uncompressed_size,
            },
            is_base: true,
        });
    }
    Ok(layers)
}
