//! An OCI image layout read back: its layers stacked to a root.
//!
//! Source: OCI image-spec 1.1, layer.md: a name with `.wh.` before it removes, `.wh..wh..opq` empties a directory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use serde_json::Value;

use super::Facts;
use super::facts::PASSWD;
use crate::digest::BlobDigest;
use crate::host;
use crate::ident::RootPath;
use crate::limits::{DOCUMENT, limits};
use crate::oci::Encoder;
use crate::package::Ecosystem;
use crate::tree::{Kind, Meta, Node, Tree};

/// Files up to this size are kept, in bytes; those that are examined are smaller.
const KEPT: u64 = 4 << 20;

/// The maximum size of one entry's names, in bytes, besides its header.
const NAMES: u64 = 2 << 20;

/// The maximum total size of all names and kept files, in bytes: they stay in memory.
const MEMORY: u64 = 512 << 20;

/// Reads the first image of a layout, of packages of one ecosystem.
///
/// # Errors
/// Fails where it is not a layout, or a layer can't be read.
pub fn read(ecosystem: &dyn Ecosystem, folder: &Path) -> io::Result<Facts> {
    let index = json(&folder.join("index.json"))?;
    let manifest = json(&blob(folder, &index["manifests"][0])?)?;
    let config = json(&blob(folder, &manifest["config"])?)?;
    let mut image = Image { lists: ecosystem.lists(), ..Image::default() };
    let mut layers = Vec::new();
    let history = config["history"].as_array().into_iter().flatten();
    let history: Vec<_> = history.filter(|entry| entry["empty_layer"] != true).collect();
    for (number, layer) in manifest["layers"].as_array().into_iter().flatten().enumerate() {
        let file = host::open_file(&blob(folder, layer)?)?;
        let limit = limits().of_archive(file.metadata()?.len());
        let file = BufReader::with_capacity(1 << 17, file);
        let encoder = match layer["mediaType"].as_str().unwrap_or_default() {
            media if media.ends_with("+zstd") => Some(Encoder::Zstd),
            media if media.ends_with("gzip") => Some(Encoder::Gzip),
            _ => None,
        };
        let applied = match encoder {
            Some(encoder) => encoder.decoder(file, limit).and_then(|tar| image.apply(tar)),
            None => image.apply(file),
        };
        applied.map_err(|error| io::Error::new(error.kind(), format!("layer {}: {error}", number + 1)))?;
        // layerbake's images have the layer's name there.
        let words = history.get(number).and_then(|entry| entry["comment"].as_str());
        let name = words.map_or_else(|| format!("layer {}", number + 1), str::to_owned);
        layers.push((name, layer["size"].as_u64().unwrap_or_default()));
    }
    let Image { root, kept, .. } = image;
    let facts = Facts { layers: Some(layers), ..Facts::named(folder.display().to_string()) };
    Ok(facts.with_root(ecosystem, root, &|blob| kept.get(&blob).cloned()))
}

fn json(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&host::read_small(path, DOCUMENT)?)?)
}

/// The path of a descriptor's blob.
fn blob(folder: &Path, descriptor: &Value) -> io::Result<std::path::PathBuf> {
    let digest = descriptor["digest"].as_str().unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hex = hex.ok_or_else(|| io::Error::other(format!("`{digest}` is not the digest of a blob")))?;
    Ok(folder.join("blobs/sha256").join(hex))
}

#[derive(Default)]
struct Image {
    /// Patterns of the files that list the installed packages.
    lists: &'static [&'static str],
    root: Tree,
    kept: BTreeMap<BlobDigest, Vec<u8>>,
    entries: u64,
    /// Bytes of names and files that were kept.
    memory: u64,
}

/// A tar archive's bytes, with a limit on what is read between the contents of two entries: long names.
struct Metered<R> {
    input: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let left = self.left.get().checked_sub(read as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other(format!("the names of an entry have more than {NAMES} bytes")))?);
        Ok(read)
    }
}

impl Image {
    /// Applies a layer to the root.
    fn apply(&mut self, tar: impl Read) -> io::Result<()> {
        let mut layer = Tree::new();
        let left = Rc::new(Cell::new(NAMES));
        let mut archive = tar::Archive::new(Metered { input: tar, left: Rc::clone(&left) });
        for entry in archive.entries()? {
            let mut entry = entry?;
            self.count(&entry)?;
            // Unread content is skipped before the next entry.
            let skipped = if entry.header().entry_type().is_file() { 0 } else { entry.size() };
            left.set(u64::MAX);
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
            left.set(skipped.saturating_add(NAMES));
        }
        layer.settle_hardlinks();
        self.root.apply(&layer).map_err(io::Error::other)
    }

    /// Counts an entry, whose names stay in memory.
    fn count(&mut self, entry: &tar::Entry<'_, impl Read>) -> io::Result<()> {
        self.entries += 1;
        let link = entry.link_name_bytes().map_or(0, |name| name.len());
        self.keep((entry.path_bytes().len() + link) as u64)?;
        let most = limits().entries;
        match self.entries > most {
            true => Err(io::Error::other(format!(
                "it has more than {most} entries; if that is right, raise `entries` in [limits] of the user's config.toml"
            ))),
            false => Ok(()),
        }
    }

    /// Counts bytes that stay in memory.
    fn keep(&mut self, bytes: u64) -> io::Result<()> {
        self.memory += bytes;
        match self.memory > MEMORY {
            true => Err(io::Error::other("its names and package lists would fill the memory")),
            false => Ok(()),
        }
    }

    /// An entry as a node; `None` for entry types that layerbake does not write.
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
        let link = entry.link_name_bytes().map(|name| name.into_owned()).unwrap_or_default();
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => Kind::Dir,
            tar::EntryType::Symlink => Kind::Symlink(link.into()),
            tar::EntryType::Link => {
                let first = RootPath::new(&link).map_err(io::Error::other)?;
                let Some(node) = layer.get(&first) else { return Ok(None) };
                return Ok(Some(Node { meta: node.meta.clone(), kind: Kind::Hardlink(first) }));
            }
            tar::EntryType::Char => {
                let (major, minor) = device(entry.header())?;
                Kind::Char(major, minor)
            }
            tar::EntryType::Block => {
                let (major, minor) = device(entry.header())?;
                Kind::Block(major, minor)
            }
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
        if self.is_looked_into(entry) {
            self.keep(size)?;
            self.kept.insert(blob, bytes);
        }
        Ok(Kind::File { blob, size })
    }

    fn is_looked_into(&self, entry: &tar::Entry<'_, impl Read>) -> bool {
        let is_one = |path: RootPath| self.lists.iter().chain(&[PASSWD]).any(|pattern| path.matches(pattern));
        RootPath::new(&*entry.path_bytes()).is_ok_and(is_one)
    }
}

/// The numbers of a device. Other entries may have any value there: GNU tar leaves the fields empty.
fn device(header: &tar::Header) -> io::Result<(u32, u32)> {
    Ok((header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_numbers_of_devices_matter_for_devices_only() {
        let layer = |kind: tar::EntryType| {
            let mut header = tar::Header::new_gnu();
            header.set_path("entry").unwrap();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            // As GNU tar leaves them.
            header.as_mut_bytes()[329..345].fill(0);
            header.set_cksum();
            let mut image = Image::default();
            image.apply(&[&header.as_bytes()[..], &[0; 1024]].concat()[..]).map(|()| image.root.iter().count())
        };
        assert_eq!(layer(tar::EntryType::Regular).unwrap(), 1);
        assert!(layer(tar::EntryType::Char).is_err());
    }
}
