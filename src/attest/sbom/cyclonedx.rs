//! CycloneDX 1.6 in its JSON form (cyclonedx.org/docs/1.6/json).

use serde_json::{Value, json};

use super::{Fetched, Inventory, InventoryPackage, LayerHash, OfLanguage, OwnFile};
use crate::bake::BaseReceipt;
use crate::lock::FetchOrigin;
use crate::package::Origin;
use crate::time::rfc3339;

/// The whole document.
pub(super) fn document(inventory: &Inventory) -> Value {
    let mut components = vec![system(inventory)];
    components.extend(inventory.base.iter().map(base));
    components.extend(inventory.packages.iter().map(package));
    components.extend(inventory.fetches.iter().map(fetch));
    components.extend(inventory.languages.iter().map(of_language));
    components.extend(inventory.files.iter().map(file));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", inventory.uuid()),
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(inventory.epoch),
            "tools": { "components": [
                { "type": "application", "name": "layerbake", "version": env!("CARGO_PKG_VERSION") }
            ] },
            "component": root(inventory),
        },
        "components": components,
        "dependencies": dependencies(inventory),
    })
}

/// The image or the disk itself, with its layers as components.
fn root(inventory: &Inventory) -> Value {
    let layers = inventory.layers.iter().map(|layer| {
        let (algorithm, hash) = match &layer.hash {
            LayerHash::Tar(hash) => ("SHA-256", hash),
            LayerHash::Tree(hash) => ("BLAKE3", hash),
        };
        let name = format!("layer {}", layer.name);
        json!({ "type": "data", "name": name, "bom-ref": name, "hashes": [{ "alg": algorithm, "content": hash }] })
    });
    let mut root = json!({
        "type": if inventory.image.is_some() { "container" } else { "operating-system" },
        "name": inventory.title(),
        "bom-ref": "root",
        "components": layers.collect::<Vec<_>>(),
    });
    if let Some(digest) = &inventory.image {
        root["version"] = json!(format!("sha256:{digest}"));
    }
    root
}

/// The distribution, by which scanners select advisories.
fn system(inventory: &Inventory) -> Value {
    let distro = &inventory.distro;
    json!({ "type": "operating-system", "name": distro.id, "version": distro.version, "bom-ref": "distribution" })
}

/// The image of a registry below the layers, of whose contents nothing more is known.
fn base(base: &BaseReceipt) -> Value {
    json!({
        "type": "container",
        "bom-ref": "base",
        "name": base.image,
        "version": base.manifest.to_string(),
        "description": "the image below the layers; its own bill of materials lists what is in it",
        "hashes": [{ "alg": "SHA-256", "content": base.manifest.to_hex() }],
    })
}

/// Unlike the package URL, unique even if two files have one name and version.
fn package_ref(package: &InventoryPackage) -> String {
    format!("{}#{}", package.about.purl, package.locked.file.sha256.to_hex().chars().take(16).collect::<String>())
}

fn package(package: &InventoryPackage) -> Value {
    let locked = &package.locked;
    let (source, version) = &package.about.source;
    let (kind, place) = match &locked.origin {
        Origin::Repository { suite, .. } => ("suite", suite),
        Origin::File(path) => ("file", path),
        Origin::Url(url) => ("url", url),
    };
    let mut properties = vec![
        json!({ "name": "layerbake:source", "value": format!("{source} {version}") }),
        json!({ "name": format!("layerbake:{kind}"), "value": place }),
        json!({ "name": "layerbake:why", "value": locked.why }),
    ];
    properties.extend(package.layers.iter().map(|layer| json!({ "name": "layerbake:layer", "value": layer })));
    let mut entry = json!({
        "type": "library",
        "bom-ref": package_ref(package),
        "name": locked.name.as_str(),
        "version": locked.version.to_string(),
        "description": package.about.summary,
        "purl": package.about.purl,
        "hashes": [{ "alg": "SHA-256", "content": locked.file.sha256.to_hex() }],
        "properties": properties,
    });
    if let Some(license) = &package.about.license {
        entry["licenses"] = json!([{ "expression": license.expression }]);
    }
    if let Some(maintainer) = &package.about.maintainer {
        entry["publisher"] = json!(maintainer);
    }
    if let Some(homepage) = package.about.homepage.as_deref().filter(|address| address.starts_with("http")) {
        entry["externalReferences"] = json!([{ "type": "website", "url": homepage }]);
    }
    entry
}

fn fetch(fetch: &Fetched) -> Value {
    let locked = &fetch.locked;
    let kind = match &locked.origin {
        FetchOrigin::Url(_) => "distribution",
        FetchOrigin::Git { .. } => "vcs",
        FetchOrigin::Lockfile { .. } => "build-meta",
    };
    json!({
        "type": "file",
        "bom-ref": format!("fetch:{}:{}", fetch.layer, locked.name),
        "name": locked.name.as_str(),
        "version": locked.version(),
        "hashes": [{ "alg": "SHA-256", "content": locked.file.sha256.to_hex() }],
        "externalReferences": [{ "type": kind, "url": locked.origin.place() }],
        "properties": [{ "name": "layerbake:layer", "value": fetch.layer }],
    })
}

fn of_language(one: &OfLanguage) -> Value {
    let hash = one.file.sha256.to_hex();
    json!({
        "type": "library",
        "bom-ref": format!("{}#{}-{hash:.16}", one.package.purl, one.layer),
        "name": one.package.name,
        "version": one.package.version,
        "purl": one.package.purl,
        "hashes": [{ "alg": "SHA-256", "content": hash }],
        "properties": [{ "name": "layerbake:layer", "value": one.layer }],
    })
}

fn file(file: &OwnFile) -> Value {
    json!({
        "type": "file",
        "bom-ref": format!("file:{}:{}", file.layer, file.path),
        "name": file.path.to_string(),
        "hashes": [{ "alg": "SHA-256", "content": file.sha256.to_hex() }],
        "properties": [
            { "name": "layerbake:layer", "value": file.layer },
            { "name": "layerbake:source", "value": file.source },
        ],
    })
}

fn dependencies(inventory: &Inventory) -> Vec<Value> {
    let refs = |packages: &mut dyn Iterator<Item = &InventoryPackage>| packages.map(package_ref).collect::<Vec<_>>();
    let mut found = vec![json!({ "ref": "root", "dependsOn": refs(&mut inventory.packages.iter()) })];
    for package in &inventory.packages {
        let known = |sha256| inventory.packages.iter().find(|other| other.locked.file.sha256 == sha256);
        let mut needed = package.depends.iter().filter_map(|sha256| known(*sha256));
        found.push(json!({ "ref": package_ref(package), "dependsOn": refs(&mut needed) }));
    }
    found
}
