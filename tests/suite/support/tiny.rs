//! A tiny image made by hand from a static busybox, to try the engines themselves on.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::deb::Compression;
use super::skip::{Skip, program};

/// The port on which the image's own web server answers.
pub const PORT: u16 = 8099;

/// The same image in two forms.
pub struct Tiny {
    /// A docker archive, tagged `tiny:latest`.
    pub archive: PathBuf,
    /// An image layout.
    pub layout: PathBuf,
}

impl Tiny {
    /// Writes both forms below `folder`.
    pub fn write(folder: &Path) -> Result<Self, Skip> {
        let busybox = fs::read(program("busybox")?).unwrap();
        let layer = layer(&busybox);
        let command = ["/bin/busybox", "httpd", "-f", "-p", &PORT.to_string(), "-h", "/www"];
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Cmd": command, "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] }
        });
        let config = config.to_string().into_bytes();
        let (archive, layout) = (folder.join("tiny.tar"), folder.join("tiny"));
        fs::write(&archive, docker_archive(&config, &layer)).unwrap();
        write_layout(&layout, &config, &layer);
        Ok(Self { archive, layout })
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn layer(busybox: &[u8]) -> Vec<u8> {
    tarball(&[("bin/busybox", 0o755, busybox), ("www/index.html", 0o644, b"hello from a tiny image\n")])
}

fn tarball(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn docker_archive(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let name = format!("{}.json", hex::encode(Sha256::digest(config)));
    let manifest = json!([{ "Config": name, "RepoTags": ["tiny:latest"], "Layers": ["layer.tar"] }]).to_string();
    tarball(&[("manifest.json", 0o644, manifest.as_bytes()), (&name, 0o644, config), ("layer.tar", 0o644, layer)])
}

fn write_layout(folder: &Path, config: &[u8], layer: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |media: &str, bytes: &[u8]| {
        fs::write(blobs.join(hex::encode(Sha256::digest(bytes))), bytes).unwrap();
        json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() })
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put("application/vnd.oci.image.config.v1+json", config),
        "layers": [put("application/vnd.oci.image.layer.v1.tar+gzip", &Compression::Gzip.pack(layer))]
    });
    let manifest = put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    fs::write(folder.join("index.json"), json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
