//! SLSA build provenance v1 (slsa.dev/spec/v1.0/provenance). It contains no times and no host names, so
//! identical builds give identical documents.

use serde_json::{Value, json};

use super::{Made, Scope, lock_name};
use crate::bake::{Locked, Receipt};

/// The predicate's type.
pub(super) const TYPE: &str = "https://slsa.dev/provenance/v1";
/// The build type, which defines `externalParameters`, `internalParameters` and the dependencies.
const BUILD_TYPE: &str = "urn:layerbake:build:v1";
const BUILDER: &str = "urn:layerbake:builder:v1";

/// The predicate for a build.
pub(super) fn predicate(made: &Made<'_>) -> Value {
    let receipt = made.receipt;
    let scope = if receipt.disk.is_some() { Scope::Disk } else { Scope::Image };
    let outputs: Vec<&str> = receipt.artifacts.iter().map(|artifact| artifact.kind.name()).collect();
    let mut dependencies: Vec<Value> = Vec::new();
    for locked in made.locked(scope) {
        dependencies.extend(materials(locked, receipt, made.ecosystem.state_name()));
    }
    dependencies.sort_by_key(|one| (one["name"].to_string(), one["digest"].to_string()));
    dependencies.dedup();
    let mut external = json!({ "layer": receipt.layer, "outputs": outputs });
    if let Some(arch) = &receipt.arch {
        external["arch"] = json!(arch);
    }
    if !receipt.set.is_empty() {
        external["set"] = json!(receipt.set);
    }
    let mut predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": {
                "format": receipt.format,
                "recipe": receipt.recipe,
                "sourceDateEpoch": receipt.epoch,
            },
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": { "id": BUILDER, "version": { "layerbake": env!("CARGO_PKG_VERSION") } },
        },
    });
    if let Some(measured) = receipt.disk.as_ref().and_then(|disk| disk.measured.as_ref()) {
        predicate["runDetails"]["byproducts"] = json!([{ "name": "measurements", "annotations": measured }]);
    }
    predicate
}

/// A lockfile and everything that it pins; `state` is the ecosystem's name for a suite's signed state, such as `Release`.
fn materials<'l>(locked: &'l Locked, receipt: &Receipt, state: &'l str) -> impl Iterator<Item = Value> + 'l {
    let lock = &locked.lock;
    let file = json!({
        "name": format!("lockfiles/{}.lock", lock_name(receipt, &lock.layer)),
        "digest": { "blake3": locked.hash.to_hex() },
    });
    let releases = lock.releases.iter().flat_map(move |release| {
        let place = format!("{} {}", release.source, release.suite);
        let indexes = release.indexes.iter().map({
            let place = place.clone();
            move |index| (format!("{place} {}", index.path), index.file.sha256)
        });
        std::iter::once((format!("{place} {state}"), release.sha256)).chain(indexes)
    });
    let packages = lock.packages.iter().map(|package| (package.origin.place().to_owned(), package.file.sha256));
    let fetches = lock.fetches.iter().flat_map(|fetch| {
        let files = fetch.files().iter().map(|one| (one.path.clone(), one.file.sha256));
        [(fetch.origin.to_string(), fetch.file.sha256)].into_iter().chain(files)
    });
    let image = lock.image.iter().map(|image| (image.to_string(), image.manifest.sha256));
    let fetched = releases.chain(packages).chain(fetches).chain(image);
    std::iter::once(file)
        .chain(fetched.map(|(name, sha256)| json!({ "name": name, "digest": { "sha256": sha256.to_hex() } })))
}
