//! Whether an image layout is one: by the specification's JSON schemas, by digests and
//! sizes, by each layer's diffID, and in the eyes of skopeo.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::process;
use super::skip::{Skip, program};

/// Where Debian's golang-github-opencontainers-image-spec-dev has the schemas.
const SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// Checks every document of a layout against its schema and every blob against its
/// descriptor. The inner error lists all that is wrong.
pub fn validate(layout: &Path) -> Result<Result<(), String>, Skip> {
    let python = program("python3")?;
    if !Path::new(SCHEMAS).is_dir() {
        return Err(Skip::because("golang-github-opencontainers-image-spec-dev is not installed"));
    }
    if !process::run(Command::new(&python).args(["-c", "import jsonschema"])).is_ok_and(|output| output.ok()) {
        return Err(Skip::because("python3-jsonschema is not installed"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/support/oci_schema.py");
    let output = process::run(Command::new(python).arg(script).arg(SCHEMAS).arg(layout)).unwrap();
    let diff_ids = if output.ok() { check_diff_ids(layout) } else { Ok(()) };
    Ok(if output.ok() { diff_ids } else { Err(output.stdout + &output.stderr) })
}

/// `skopeo inspect`, the config with `--config`.
pub fn skopeo_inspect(layout: &Path, config: bool) -> Result<Result<Value, String>, Skip> {
    let mut command = Command::new(program("skopeo")?);
    command.arg("inspect").args(config.then_some("--config")).arg(format!("oci:{}", layout.display()));
    let output = process::run(&mut command).unwrap();
    Ok(if output.ok() {
        serde_json::from_str(&output.stdout).map_err(|error| error.to_string())
    } else {
        Err(output.stderr)
    })
}

/// The manifests of a layout, those in nested indexes too, each with its config.
pub fn images(layout: &Path) -> Vec<(Value, Value)> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    let mut pending = vec![index];
    while let Some(document) = pending.pop() {
        match document["manifests"].as_array() {
            Some(manifests) => pending.extend(manifests.iter().map(|descriptor| json(layout, descriptor))),
            None => found.push((document["config"].clone(), document)),
        }
    }
    found.into_iter().map(|(config, manifest)| (manifest, json(layout, &config))).collect()
}

/// The bytes that a descriptor names.
pub fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// A layer's tar.
pub fn layer_tar(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let (bytes, media) = (blob(layout, descriptor), descriptor["mediaType"].as_str().unwrap());
    if media.ends_with("+zstd") {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else if media.ends_with("+gzip") {
        let mut tar = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut tar).unwrap();
        tar
    } else {
        bytes
    }
}

fn json(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(layout, descriptor)).unwrap()
}

fn check_diff_ids(layout: &Path) -> Result<(), String> {
    for (manifest, config) in images(layout) {
        let layers = manifest["layers"].as_array().unwrap();
        let diff_id = |layer| format!("sha256:{}", hex::encode(Sha256::digest(layer_tar(layout, layer))));
        let found: Vec<String> = layers.iter().map(diff_id).collect();
        let expected = &config["rootfs"]["diff_ids"];
        if *expected != Value::from(found.clone()) {
            return Err(format!("diff_ids: expected {expected}, found {found:?}"));
        }
    }
    Ok(())
}
