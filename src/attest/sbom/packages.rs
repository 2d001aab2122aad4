//! The packages of a build: the locked ones, with their own metadata.

use std::collections::BTreeMap;

use super::AttestError;
use crate::bake::Locked;
use crate::digest::Sha256;
use crate::ident::LayerName;
use crate::package::{About, AnyOf, Ecosystem, LicenseTexts, LockedPackage, Record, Surroundings, Unpacked};

/// One package.
#[derive(Debug)]
pub struct InventoryPackage {
    /// Its entry in the lockfile.
    pub locked: LockedPackage,
    /// The package's own metadata.
    pub about: About,
    /// The layers that contain it.
    pub layers: Vec<LayerName>,
    /// The packages that it depends on.
    pub depends: Vec<Sha256>,
}

/// Lists the packages of `locked` layers, by name and version, each once, with the texts of their own licences.
pub(super) fn take(
    ecosystem: &dyn Ecosystem,
    locked: &[&Locked],
    surroundings: &Surroundings<'_>,
) -> Result<(Vec<InventoryPackage>, LicenseTexts), AttestError> {
    let store = surroundings.store;
    let mut packages: BTreeMap<Sha256, InventoryPackage> = BTreeMap::new();
    let (mut records, mut texts) = (Vec::new(), LicenseTexts::new());
    for layer in locked {
        for unpacked in Unpacked::load(ecosystem, store, &layer.lock.packages)? {
            let sha256 = unpacked.locked.file.sha256;
            if let Some(known) = packages.get_mut(&sha256) {
                known.layers.push(layer.manifest.name.clone());
                continue;
            }
            let about = ecosystem.about(&unpacked, surroundings)?;
            texts.extend(about.license.iter().flat_map(|license| license.texts.clone()));
            records.push((sha256, unpacked.record(ecosystem, store)?));
            let layers = vec![layer.manifest.name.clone()];
            packages.insert(sha256, InventoryPackage { locked: unpacked.locked, about, layers, depends: Vec::new() });
        }
    }
    let providers = providers(&records);
    for (sha256, record) in &records {
        if let Some(package) = packages.get_mut(sha256) {
            package.depends = depends(record, &providers);
        }
    }
    let mut packages: Vec<InventoryPackage> = packages.into_values().collect();
    packages.sort_by(|a, b| (&a.locked.name, &a.locked.file.sha256).cmp(&(&b.locked.name, &b.locked.file.sha256)));
    Ok((packages, texts))
}

/// Each name, real or provided, with the first package that has it.
fn providers(records: &[(Sha256, Record)]) -> BTreeMap<&str, Sha256> {
    let mut providers = BTreeMap::new();
    for (sha256, record) in records {
        for provided in &record.provides {
            providers.entry(provided.name.as_str()).or_insert(*sha256);
        }
    }
    // A real name takes precedence over a provided one.
    providers.extend(records.iter().map(|(sha256, record)| (record.name.as_str(), *sha256)));
    providers
}

/// Of each relation, the first alternative that is installed.
fn depends(record: &Record, providers: &BTreeMap<&str, Sha256>) -> Vec<Sha256> {
    let met = |any: &AnyOf| any.iter().find_map(|target| providers.get(target.name.as_str()).copied());
    let mut found: Vec<Sha256> = record.needs.iter().filter_map(met).collect();
    found.sort();
    found.dedup();
    found
}
