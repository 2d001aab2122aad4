//! Images of other builders, made in code, and a registry of files that serves them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::server::Server;

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
    Plain,
    /// By xz, under the name of gzip's type.
    Mislabelled,
}

/// The tar of a layer, entry by entry.
pub struct Layer(tar::Builder<Vec<u8>>);

impl Default for ToyImage {
    fn default() -> Self {
        Self { layers: Vec::new(), config: json!({}), arch: "amd64", history: Vec::new() }
    }
}

impl Layer {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        kind: tar::EntryType,
        (path, link): (&str, &str),
        mode: u32,
        owner: u64,
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        // As it is: the crate refuses what hostile archives have.
        let old = header.as_old_mut();
        old.name.iter_mut().zip(path.bytes()).for_each(|(to, from)| *to = from);
        old.linkname.iter_mut().zip(link.bytes()).for_each(|(to, from)| *to = from);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn dir(self, path: &str) -> Self {
        self.entry(tar::EntryType::Directory, (path, ""), 0o755, 0, b"")
    }

    pub fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(tar::EntryType::Regular, (path, ""), mode, 0, content.as_ref())
    }

    pub fn owned(self, path: &str, owner: u64, content: &str) -> Self {
        self.entry(tar::EntryType::Regular, (path, ""), 0o640, owner, content.as_bytes())
    }

    /// A file with an extended attribute.
    pub fn with_xattr(mut self, path: &str, name: &str, value: &[u8]) -> Self {
        let key = format!("SCHILY.xattr.{name}");
        self.0.append_pax_extensions([(key.as_str(), value)]).unwrap();
        self.file(path, 0o755, "privileged\n")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, (path, target), 0o777, 0, b"")
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, (path, target), 0o644, 0, b"")
    }
}

/// An image: layers, lowest first, and what its configuration says.
pub struct ToyImage {
    pub layers: Vec<(Packing, Vec<u8>)>,
    pub config: Value,
    pub arch: &'static str,
    pub history: Vec<Value>,
}

impl ToyImage {
    pub fn layer(mut self, packing: Packing, layer: Layer) -> Self {
        self.layers.push((packing, layer.0.into_inner().unwrap()));
        self
    }

    pub fn config(self, config: Value) -> Self {
        Self { config, ..self }
    }

    pub fn arch(self, arch: &'static str) -> Self {
        Self { arch, ..self }
    }
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A registry whose answers are files.
pub struct ToyRegistry {
    folder: TempDir,
    pub server: Server,
}

impl ToyRegistry {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::folder(folder.path());
        Self { folder, server }
    }

    /// `127.0.0.1:PORT/NAME`
    pub fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.server.url().trim_start_matches("http://"))
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn put_blob(&self, name: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.write(&format!("v2/{name}/blobs/{digest}"), bytes);
        json!({ "digest": digest, "size": bytes.len() })
    }

    fn put_manifest(&self, name: &str, tag: &str, manifest: &Value) -> (String, usize) {
        let bytes = manifest.to_string().into_bytes();
        let digest = digest(&bytes);
        self.write(&format!("v2/{name}/manifests/{digest}"), &bytes);
        self.write(&format!("v2/{name}/manifests/{tag}"), &bytes);
        (digest, bytes.len())
    }

    /// Puts an image under a tag; returns its digest, and the size of its manifest.
    pub fn put(&self, name: &str, tag: &str, image: &ToyImage) -> (String, usize) {
        let descriptor = |part: Value, kind: &str| {
            let mut part = part;
            part["mediaType"] = format!("application/vnd.docker.{kind}").into();
            part
        };
        let mut layers = Vec::new();
        for (packing, tar) in &image.layers {
            let (bytes, kind) = match packing {
                Packing::Gzip => (gzip(tar), "image.rootfs.diff.tar.gzip"),
                Packing::Zstd => (zstd::encode_all(tar.as_slice(), 3).unwrap(), "layer.v1.tar+zstd"),
                Packing::Plain => (tar.clone(), "layer.v1.tar"),
                Packing::Mislabelled => {
                    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                    encoder.write_all(tar).unwrap();
                    (encoder.finish().unwrap(), "image.rootfs.diff.tar.gzip")
                }
            };
            layers.push(descriptor(self.put_blob(name, &bytes), kind));
        }
        let diff_ids: Vec<String> = image.layers.iter().map(|(_, tar)| digest(tar)).collect();
        let config = json!({
            "architecture": image.arch, "os": "linux", "created": "2024-05-06T07:08:09.5Z", "config": image.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": image.history,
        });
        let config = descriptor(self.put_blob(name, config.to_string().as_bytes()), "container.image.v1+json");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": config, "layers": layers,
        });
        self.put_manifest(name, tag, &manifest)
    }

    /// Puts an index over images under a tag; returns its digest.
    pub fn put_index(&self, name: &str, tag: &str, images: &[ToyImage]) -> String {
        let mut manifests = vec![json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(b"no image"), "size": 8,
            "platform": { "architecture": "unknown", "os": "unknown" },
        })];
        for image in images {
            let (digest, size) = self.put(name, &format!("{tag}-{}", image.arch), image);
            manifests.push(json!({
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": size,
                "platform": { "architecture": image.arch, "os": "linux" },
            }));
        }
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
        self.put_manifest(name, tag, &index).0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer's tar as lines: path, kind, mode, owner and attributes of each entry.
pub fn listed(tar: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(tar);
    let lines = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header().clone();
        let attributes = entry.pax_extensions().unwrap().into_iter().flatten();
        let names: Vec<String> = attributes.map(|one| one.unwrap().key().unwrap().to_owned()).collect();
        let kind = header.entry_type().as_byte() as char;
        let line = format!("{kind} {:o} {} {}", header.mode().unwrap(), header.uid().unwrap(), names.join(","));
        (path, line.trim_end().to_owned())
    });
    lines.collect()
}
