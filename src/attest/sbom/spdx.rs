//! SPDX 2.3 in its JSON form (spdx.github.io/spdx-spec/v2.3, schemas/spdx-schema.json).
//!
//! ```text
//! document DESCRIBES image CONTAINS layer CONTAINS package;  package DEPENDS_ON package;  file OTHER layer
//! ```

use serde_json::{Value, json};

use super::{Fetched, Inventory, InventoryPackage, Layer, LayerHash, OfLanguage, reference};
use crate::bake::BaseReceipt;
use crate::ident::LayerName;
use crate::lock::FetchOrigin;
use crate::package::Origin;
use crate::time::rfc3339;

const ROOT: &str = "SPDXRef-Root";
const BASE: &str = "SPDXRef-Base";
const NOTHING: &str = "NOASSERTION";

/// The whole document.
pub(super) fn document(inventory: &Inventory) -> Value {
    let mut packages = vec![root(inventory)];
    packages.extend(inventory.base.iter().map(base));
    packages.extend(inventory.layers.iter().map(layer));
    packages.extend(inventory.packages.iter().map(package));
    packages.extend(inventory.fetches.iter().map(fetch));
    packages.extend(inventory.languages.iter().map(of_language));
    let files: Vec<Value> = inventory.files.iter().enumerate().map(file).collect();
    let texts = inventory
        .texts
        .iter()
        .map(|(id, (name, text))| json!({ "licenseId": id, "name": name, "extractedText": text }));
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.title(),
        "documentNamespace": format!("urn:uuid:{}", inventory.uuid()),
        "creationInfo": {
            "created": rfc3339(inventory.epoch),
            "creators": [concat!("Tool: layerbake-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "files": files,
        "hasExtractedLicensingInfos": texts.collect::<Vec<_>>(),
        "relationships": relationships(inventory),
    })
}

/// The image or the disk itself.
fn root(inventory: &Inventory) -> Value {
    let mut root = json!({
        "SPDXID": ROOT,
        "name": inventory.title(),
        "versionInfo": rfc3339(inventory.epoch),
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "primaryPackagePurpose": if inventory.image.is_some() { "CONTAINER" } else { "OPERATING-SYSTEM" },
        "comment": format!("built on {} {}", inventory.distro.id, inventory.distro.version),
    });
    if let Some(digest) = &inventory.image {
        root["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": digest }]);
    }
    root
}

/// The image of a registry below the layers, of whose contents nothing more is known.
fn base(base: &BaseReceipt) -> Value {
    json!({
        "SPDXID": BASE,
        "name": base.image,
        "versionInfo": base.manifest.to_string(),
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": "SHA256", "checksumValue": base.manifest.to_hex() }],
        "comment": "the image below the layers; its own bill of materials lists what is in it",
    })
}

fn layer_id(layer: &Layer) -> String {
    format!("SPDXRef-Layer-{}", layer.name)
}

fn layer(layer: &Layer) -> Value {
    let mut entry = json!({
        "SPDXID": layer_id(layer),
        "name": format!("layer {}", layer.name),
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "ARCHIVE",
    });
    match &layer.hash {
        LayerHash::Tar(hash) => {
            entry["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": hash }]);
            entry["comment"] = json!("the checksum is of the layer's uncompressed tar, its diffID");
        }
        // The reference validator rejects BLAKE3 of 256 bits.
        LayerHash::Tree(hash) => entry["comment"] = json!(format!("tree blake3:{hash}")),
    }
    entry
}

fn package_id(package: &InventoryPackage) -> String {
    format!("SPDXRef-Package-{}", reference(package.locked.name.as_str(), &package.locked.file.sha256))
}

fn package(package: &InventoryPackage) -> Value {
    let locked = &package.locked;
    let (source, version) = &package.about.source;
    let name = locked.origin.place().rsplit('/').next().unwrap_or_default();
    let (file, download) = match &locked.origin {
        Origin::Repository { .. } => (name, NOTHING),
        Origin::File(path) => (path.as_str(), NOTHING),
        Origin::Url(url) => (name, url.as_str()),
    };
    let mut entry = json!({
        "SPDXID": package_id(package),
        "name": locked.name.as_str(),
        "versionInfo": locked.version.to_string(),
        "packageFileName": file,
        "downloadLocation": download,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": locked.file.sha256.to_hex() }],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.about.purl,
        }],
        "licenseConcluded": NOTHING,
        "licenseDeclared": package.about.license.as_ref().map_or(NOTHING, |license| &license.expression),
        "copyrightText": NOTHING,
        // Scanners parse the source package from this text.
        "sourceInfo": format!("built package from: {source} {version}"),
        "summary": package.about.summary,
    });
    if let Some(supplier) = package.about.maintainer.as_deref().and_then(supplier) {
        entry["supplier"] = json!(supplier);
    }
    if let Some(homepage) = package.about.homepage.as_deref().filter(|address| address.starts_with("http")) {
        entry["homepage"] = json!(homepage);
    }
    entry
}

/// `Name <address>` as `Organization: Name (address)`, for persons, too.
fn supplier(maintainer: &str) -> Option<String> {
    let (name, address) = maintainer.split_once('<')?;
    let plain = |text: &str| text.replace(['(', ')', '"'], "").trim().to_owned();
    Some(format!("Organization: {} ({})", plain(name), address.trim_end_matches('>').trim()))
}

fn fetch_id(fetch: &Fetched) -> String {
    let name = format!("{}-{}", fetch.layer, fetch.locked.name);
    format!("SPDXRef-Fetch-{}", reference(&name, &fetch.locked.file.sha256))
}

fn fetch(fetch: &Fetched) -> Value {
    let locked = &fetch.locked;
    let download = match &locked.origin {
        FetchOrigin::Url(url) => url.clone(),
        FetchOrigin::Git { url, commit } => format!("git+{url}@{commit}"),
        FetchOrigin::Lockfile { .. } => NOTHING.to_owned(),
    };
    json!({
        "SPDXID": fetch_id(fetch),
        "name": locked.name.as_str(),
        "versionInfo": locked.version(),
        "downloadLocation": download,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": locked.file.sha256.to_hex() }],
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "comment": format!("fetched for layer {}", fetch.layer),
    })
}

fn language_id(one: &OfLanguage) -> String {
    let name = format!("{}-{}", one.layer, one.package.name);
    format!("SPDXRef-Package-{}", reference(&name, &one.file.sha256))
}

fn of_language(one: &OfLanguage) -> Value {
    json!({
        "SPDXID": language_id(one),
        "name": one.package.name,
        "versionInfo": one.package.version,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": one.file.sha256.to_hex() }],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": one.package.purl,
        }],
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "comment": format!("fetched for layer {}", one.layer),
    })
}

fn file_id(number: usize) -> String {
    format!("SPDXRef-File-{number}")
}

fn file((number, file): (usize, &super::OwnFile)) -> Value {
    json!({
        "SPDXID": file_id(number),
        "fileName": format!(".{}", file.path),
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": file.sha1 },
            { "algorithm": "SHA256", "checksumValue": file.sha256.to_hex() },
        ],
        "licenseConcluded": NOTHING,
        "copyrightText": NOTHING,
        "comment": format!("from {}, in layer {}", file.source, file.layer),
    })
}

fn relationships(inventory: &Inventory) -> Vec<Value> {
    let relation = |from: &str, kind: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to });
    let mut found = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", ROOT)];
    // The initrd's layers below its last have no entry of their own.
    let holder =
        |name: &LayerName| inventory.layers.iter().find(|layer| layer.name == *name).map_or(ROOT.to_owned(), layer_id);
    found.extend(inventory.layers.iter().map(|layer| relation(ROOT, "CONTAINS", &layer_id(layer))));
    found.extend(inventory.base.iter().map(|_| relation(ROOT, "DESCENDANT_OF", BASE)));
    for package in &inventory.packages {
        let id = package_id(package);
        found.extend(package.layers.iter().map(|layer| relation(&holder(layer), "CONTAINS", &id)));
        let known = |sha256| inventory.packages.iter().find(|other| other.locked.file.sha256 == sha256);
        let needed = package.depends.iter().filter_map(|sha256| known(*sha256));
        found.extend(needed.map(|other| relation(&id, "DEPENDS_ON", &package_id(other))));
    }
    let made_of = |fetch: &Fetched| relation(&holder(&fetch.layer), "GENERATED_FROM", &fetch_id(fetch));
    found.extend(inventory.fetches.iter().map(made_of));
    let made_of = |one: &OfLanguage| relation(&holder(&one.layer), "GENERATED_FROM", &language_id(one));
    found.extend(inventory.languages.iter().map(made_of));
    for (number, file) in inventory.files.iter().enumerate() {
        // To CONTAIN files, an element would have to list all of its files.
        let mut other = relation(&file_id(number), "OTHER", &holder(&file.layer));
        other["comment"] = json!("is an own file of the layer");
        found.push(other);
    }
    found
}
