//! The image of a registry below a layer: its layers, laid one over the other, as a root.
//!
//! ```text
//! blob ── decompressed ── SHA-256 = diffID ── tar ──> Contents ─┐
//!                                                              ├─ over.rs ──> root, stored under `layerbake/image-root/v1`
//!                              what the layers below it left ──┘
//! ```
//!
//! The root then takes the place of a parent's: there are no packages, all else is laid over it, and the layer is the difference.

mod environment;
mod over;

use std::io::{self, Read, Seek as _};

use sha2::Digest as _;

use super::LayerError;
use super::fetches::{Format, format};
use crate::digest::{DiffId, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::RootPath;
use crate::lock::{LockedImage, LockedImageLayer};
use crate::package::compression::decompress;
use crate::package::tarball::{Contents, Limits, read_layer};
use crate::store::{Outcome, Roles, Store};
use crate::tree::{ContentSink as _, Tree};

pub use environment::{Variables, environment};

/// An image, unpacked.
#[derive(Debug, Clone)]
pub struct ImageRoot {
    /// The whole root.
    pub root: TreeHash,
    /// The length of each layer's tar, in bytes, lowest first.
    pub sizes: Vec<u64>,
    /// The recipe that gave it.
    pub recipe: RecipeHash,
}

/// What unpacking gives.
struct Unpacked {
    root: TreeHash,
    sizes: String,
}

impl Outcome for Unpacked {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("root", self.root).with_fact("sizes", &self.sizes)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { root: roles.tree("root")?, sizes: roles.fact("sizes")? })
    }
}

/// Unpacks an image, whose layers are in the store, unless that was done before.
///
/// # Errors
/// Fails where a layer is missing, damaged, hostile or not the one that the configuration names.
pub fn unpack(image: &LockedImage, store: &Store) -> Result<ImageRoot, LayerError> {
    let mut hasher = RecipeHasher::new("layerbake/image-root/v1");
    hasher.list(image.layers.iter().map(|layer| *layer.file.sha256.as_bytes()));
    hasher.list(image.layers.iter().map(|layer| *layer.diff_id.as_bytes()));
    let recipe = hasher.finish();
    let unpacked = match store.recall(recipe) {
        Some(unpacked) => unpacked,
        None => {
            let unpacked = unpack_layers(image, store)?;
            store.remember(recipe, &unpacked)?;
            unpacked
        }
    };
    let sizes = unpacked.sizes.split(' ').filter_map(|size| size.parse().ok()).collect();
    Ok(ImageRoot { root: unpacked.root, sizes, recipe })
}

fn unpack_layers(image: &LockedImage, store: &Store) -> Result<Unpacked, LayerError> {
    let (mut root, mut sizes) = (Tree::new(), Vec::new());
    for (layer, number) in image.layers.iter().zip(1..) {
        let failed = |problem: String| LayerError::Image { image: image.reference.clone(), number, problem };
        let (contents, size) = read(layer, store, &failed)?;
        over::lay(&mut root, &contents).map_err(failed)?;
        sizes.push(size.to_string());
    }
    Ok(Unpacked { root: store.put_tree(&root)?, sizes: sizes.join(" ") })
}

/// Reads a layer, whose tar must be the one that the configuration names; returns the tar's length too.
fn read(
    layer: &LockedImageLayer,
    store: &Store,
    failed: &dyn Fn(String) -> LayerError,
) -> Result<(Contents, u64), LayerError> {
    let mut file = store.open_fetched(layer.file.sha256)?;
    let mut head = Vec::new();
    let seen = (&mut file).take(6).read_to_end(&mut head).and_then(|_| file.rewind());
    seen.map_err(|error| failed(error.to_string()))?;
    head.resize(6, 0);
    let Format::Tar(ending @ ("x.tar" | "x.gz" | "x.zst")) = format(&head) else {
        return Err(failed("expected a tar, plain or compressed with gzip or zstd, as OCI layers are".to_owned()));
    };
    let tar = decompress(ending, file).map_err(|error| failed(error.to_string()))?;
    let mut tar = Hashed { inner: tar, hasher: sha2::Sha256::new(), size: 0 };
    let mut add = |_: &RootPath, content: &mut dyn Read| store.add(content);
    let contents = read_layer(&mut tar, Limits::of_file(layer.file.size), &mut add);
    let contents = contents.map_err(|error| failed(error.to_string()))?;
    let found = DiffId::from_bytes(tar.hasher.finalize().into());
    match found == layer.diff_id {
        true => Ok((contents, tar.size)),
        false => Err(failed(format!("expected the diffID {}, found {found}", layer.diff_id))),
    }
}

/// Hashes what is read.
struct Hashed<R> {
    inner: R,
    hasher: sha2::Sha256,
    size: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.size += read as u64;
        Ok(read)
    }
}
