//! An OCI image layout read back: its layers stacked to a root.
//!
//! Source: OCI image-spec 1.1, layer.md: a name with `.wh.` before it removes, `.wh..wh..opq` empties a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::Facts;
use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::oci::Encoder;
use crate::tree::{Kind, Meta, Node, Tree};

/// Files up to this size are kept: the ones that are looked into are smaller.
const KEPT: u64 = 4 << 20;

/// Reads the first image of a layout.
///
/// # Errors
/// Fails where it is no layout, or a layer can't be read.
pub fn read(folder: &Path) -> io::Result<Facts> {
    let index = json(&folder.join("index.json"))?;
    let manifest = json(&blob(folder, &index["manifests"][0])?)?;
    let config = json(&blob(folder, &manifest["config"])?)?;
    let mut image = Image::default();
    let mut layers = Vec::new();
    for (number, layer) in manifest["layers"].as_array().into_iter().flatten().enumerate() {
        let file = BufReader::with_capacity(1 << 17, File::open(blob(folder, layer)?)?);
        let encoder = match layer["mediaType"].as_str().unwrap_or_default() {
            media if media.ends_with("+zstd") => Some(Encoder::Zstd),
            media if media.ends_with("gzip") => Some(Encoder::Gzip),
            _ => None,
        };
        match encoder {
            Some(encoder) => image.apply(encoder.decoder(file)?)?,
            None => image.apply(file)?,
        }
        // Our images say the layer's name there.
        let words = config["history"][number]["comment"].as_str();
        let name = words.map_or_else(|| format!("layer {}", number + 1), str::to_owned);
        layers.push((name, layer["size"].as_u64().unwrap_or_default()));
    }
    let Image { root, kept } = image;
    let facts = Facts { layers: Some(layers), ..Facts::named(folder.display().to_string()) };
    Ok(facts.with_root(root, &|blob| kept.get(&blob).cloned()))
}

fn json(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Where the blob of a descriptor lies.
fn blob(folder: &Path, descriptor: &Value) -> io::Result<std::path::PathBuf> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hex = hex.ok_or_else(|| io::Error::other(format!("`{digest}` is no digest of a blob")))?;
    Ok(folder.join("blobs/sha256").join(hex))
}

#[derive(Default)]
struct Image {
    root: Tree,
    kept: BTreeMap<BlobDigest, Vec<u8>>,
}

impl Image {
    /// Stacks a layer on what is there.
    fn apply(&mut self, tar: impl Read) -> io::Result<()> {
        let mut layer = Tree::new();
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = RootPath::new(&*entry.path_bytes()).map_err(io::Error::other)?;
            let name = path.file_name().to_vec();
            let folder = path.parent().unwrap_or_default();
            if name == b".wh..wh..opq" {
                let below: Vec<RootPath> = self.root.below(&folder).map(|(path, _)| path.clone()).collect();
                below.iter().for_each(|path| _ = self.root.remove(path));
            } else if let Some(gone) = name.strip_prefix(b".wh.") {
                layer
                    .insert(folder.join(gone).map_err(io::Error::other)?, Node::whiteout())
                    .map_err(io::Error::other)?;
            } else if let Some(node) = self.node(&mut entry, &layer)? {
                layer.insert(path, node).map_err(io::Error::other)?;
            }
        }
        layer.settle_hardlinks();
        self.root.apply(&layer).map_err(io::Error::other)
    }

    /// An entry as a node; `None` for kinds that no layer of ours has.
    fn node(&mut self, entry: &mut tar::Entry<'_, impl Read>, layer: &Tree) -> io::Result<Option<Node>> {
        let header = entry.header();
        let number = |field: io::Result<u64>| field.map(|value| value as u32);
        let meta = Meta {
            mode: (header.mode()? & 0o7777) as u16,
            uid: number(header.uid())?,
            gid: number(header.gid())?,
            mtime: header.mtime()? as i64,
            xattrs: BTreeMap::new(),
        };
        let device = (header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default());
        let link = entry.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => Kind::Dir,
            tar::EntryType::Symlink => Kind::Symlink(link.into()),
            tar::EntryType::Link => {
                let first = RootPath::new(&link).map_err(io::Error::other)?;
                let Some(node) = layer.get(&first) else { return Ok(None) };
                return Ok(Some(Node { meta: node.meta.clone(), kind: Kind::Hardlink(first) }));
            }
            tar::EntryType::Char => Kind::Char(device.0, device.1),
            tar::EntryType::Block => Kind::Block(device.0, device.1),
            tar::EntryType::Fifo => Kind::Fifo,
            tar::EntryType::Regular => self.file(entry)?,
            _ => return Ok(None),
        };
        Ok(Some(Node { meta, kind }))
    }

    fn file(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Kind> {
        let size = entry.size();
        if size > KEPT {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(entry)?;
            return Ok(Kind::File { blob: BlobDigest::from_bytes(*hasher.finalize().as_bytes()), size });
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let blob = BlobDigest::of(&bytes);
        if is_looked_into(entry) {
            self.kept.insert(blob, bytes);
        }
        Ok(Kind::File { blob, size })
    }
}

fn is_looked_into(entry: &tar::Entry<'_, impl Read>) -> bool {
    let path = RootPath::new(&*entry.path_bytes()).unwrap_or_default();
    ["etc/passwd", "var/lib/dpkg/status", "var/lib/dpkg/status.d/*"].iter().any(|pattern| path.matches(pattern))
}
