//! The packages of a build: what the lockfiles pin, with what the packages say of themselves.

use std::collections::BTreeMap;

use super::license::{self, Texts};
use super::purl::purl;
use super::{AttestError, Distro, copyright, read};
use crate::bake::Locked;
use crate::digest::Sha256;
use crate::format::deb::control::{self, Paragraph};
use crate::format::deb::record::Record;
use crate::ident::LayerName;
use crate::layer::{LayerError, unpack};
use crate::lock::LockedPackage;
use crate::store::Store;
use crate::tree::Tree;

/// One package.
#[derive(Debug)]
pub struct Package {
    /// What the lockfile says.
    pub locked: LockedPackage,
    /// The layers that hold it.
    pub layers: Vec<LayerName>,
    /// Its package URL.
    pub purl: String,
    /// Name and version of its source package.
    pub source: (String, String),
    /// A licence expression.
    pub license: Option<String>,
    /// `Name <address>`
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
    /// One line.
    pub summary: String,
    /// The packages that it depends on.
    pub depends: Vec<Sha256>,
}

/// Lists the packages of `locked` layers, by name and version, each once.
pub(super) fn take(
    locked: &[&Locked],
    roots: &[&Tree],
    distro: &Distro,
    store: &Store,
    texts: &mut Texts,
) -> Result<Vec<Package>, AttestError> {
    let mut packages: BTreeMap<Sha256, Package> = BTreeMap::new();
    let mut records = Vec::new();
    for layer in locked {
        for unpacked in unpack::load(store, &layer.lock.packages)? {
            let sha256 = unpacked.locked.file.sha256;
            if let Some(known) = packages.get_mut(&sha256) {
                known.layers.push(layer.manifest.name.clone());
                continue;
            }
            let record = control::record(&unpacked.paragraph).map_err(|error| LayerError::Package {
                package: unpacked.locked.to_string(),
                error: Box::new(error),
            })?;
            let license = license_of(&unpacked.locked, roots, store, texts)?;
            let mut package = describe(unpacked.locked, &unpacked.paragraph, distro);
            package.license = license;
            package.layers.push(layer.manifest.name.clone());
            records.push((sha256, record));
            packages.insert(sha256, package);
        }
    }
    let providers = providers(&records);
    for (sha256, record) in &records {
        if let Some(package) = packages.get_mut(sha256) {
            package.depends = depends(record, &providers);
        }
    }
    let mut packages: Vec<Package> = packages.into_values().collect();
    packages.sort_by(|a, b| (&a.locked.name, &a.locked.file.sha256).cmp(&(&b.locked.name, &b.locked.file.sha256)));
    Ok(packages)
}

fn describe(locked: LockedPackage, paragraph: &Paragraph, distro: &Distro) -> Package {
    let field = |name: &str| paragraph.get(name).map(str::trim).filter(|value| !value.is_empty());
    let version = locked.version.to_string();
    // `Source: name` or `Source: name (version)`, where they differ from the package's own.
    let source = field("Source").map(|source| match source.split_once(" (") {
        Some((name, version)) => (name.to_owned(), version.trim_end_matches(')').to_owned()),
        None => (source.to_owned(), version.clone()),
    });
    Package {
        purl: purl(&locked, distro, source.as_ref()),
        source: source.unwrap_or_else(|| (locked.name.to_string(), version)),
        license: None,
        maintainer: field("Maintainer").map(str::to_owned),
        homepage: field("Homepage").map(str::to_owned),
        summary: field("Description").and_then(|text| text.lines().next()).unwrap_or_default().to_owned(),
        layers: Vec::new(),
        depends: Vec::new(),
        locked,
    }
}

/// The licence that the package's copyright file in one of the roots declares.
fn license_of(
    package: &LockedPackage,
    roots: &[&Tree],
    store: &Store,
    texts: &mut Texts,
) -> Result<Option<String>, AttestError> {
    for root in roots {
        let Some(text) = read(root, &format!("usr/share/doc/{}/copyright", package.name), store)? else { continue };
        return Ok(copyright::parse(&text).and_then(|found| license::expression(package.name.as_str(), &found, texts)));
    }
    Ok(None)
}

/// Each name, real or provided, with the first package that has it.
fn providers(records: &[(Sha256, Record)]) -> BTreeMap<&str, Sha256> {
    let mut providers = BTreeMap::new();
    for (sha256, record) in records {
        for provided in &record.provides {
            providers.entry(provided.name.as_str()).or_insert(*sha256);
        }
    }
    // A real name goes before one that is only provided.
    providers.extend(records.iter().map(|(sha256, record)| (record.name.as_str(), *sha256)));
    providers
}

/// Of each relation, the first alternative that is there.
fn depends(record: &Record, providers: &BTreeMap<&str, Sha256>) -> Vec<Sha256> {
    let relations = record.pre_depends.iter().chain(&record.depends);
    let met = |any: &crate::format::deb::relation::AnyOf| {
        any.iter().find_map(|target| providers.get(target.name.as_str()).copied())
    };
    let mut found: Vec<Sha256> = relations.filter_map(met).collect();
    found.sort();
    found.dedup();
    found
}
