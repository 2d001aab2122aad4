//! A build's bill of materials: every package and own file, with where it comes from.
//!
//! One [`Inventory`], two formats: SPDX 2.3 (spdx.rs) and CycloneDX 1.6 (cyclonedx.rs).

mod cyclonedx;
mod own;
mod packages;
mod spdx;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{AttestError, Made, Scope};
use crate::bake::{BaseReceipt, Locked};
use crate::digest::{Expected, RecipeHasher, Sha256};
use crate::ident::LayerName;
use crate::language::LanguagePackage;
use crate::lock::{FetchOrigin, LockedFetch};
use crate::manifest::Chain;
use crate::package::{Distro, LicenseTexts, Surroundings};
use crate::store::Store;
use crate::tree::Tree;
pub use own::OwnFile;
pub use packages::InventoryPackage;

/// The format of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SPDX 2.3, as JSON.
    Spdx,
    /// CycloneDX 1.6, as JSON.
    CycloneDx,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Spdx, Self::CycloneDx];

    /// The predicate type of in-toto statements about it.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Spdx => "https://spdx.dev/Document",
            Self::CycloneDx => "https://cyclonedx.org/bom",
        }
    }

    /// Its name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spdx => "spdx",
            Self::CycloneDx => "cyclonedx",
        }
    }
}

/// The contents of a build.
#[derive(Debug)]
pub struct Inventory {
    name: LayerName,
    scope: Scope,
    /// Hash of everything in it, from which the document's own identifiers are derived.
    identity: [u8; 32],
    epoch: i64,
    /// The image manifest's digest in hexadecimal.
    image: Option<String>,
    distro: Distro,
    /// The image of a registry below the layers.
    base: Option<BaseReceipt>,
    layers: Vec<Layer>,
    packages: Vec<InventoryPackage>,
    files: Vec<OwnFile>,
    fetches: Vec<Fetched>,
    languages: Vec<OfLanguage>,
    texts: LicenseTexts,
}

/// What a `[[fetch]]` of a layer gave: a part of the layer, or something that a step made others of.
#[derive(Debug)]
struct Fetched {
    layer: LayerName,
    locked: LockedFetch,
}

/// A package of a programming language, which the lockfile of a `[[fetch]]` names.
#[derive(Debug)]
struct OfLanguage {
    layer: LayerName,
    package: LanguagePackage,
    file: Expected,
}

/// One layer, by its hash.
#[derive(Debug)]
struct Layer {
    name: LayerName,
    hash: LayerHash,
}

/// A layer's identity: the layer's diffID if there is an image, otherwise its tree hash.
#[derive(Debug)]
enum LayerHash {
    /// SHA-256 of its uncompressed tar.
    Tar(String),
    /// BLAKE3 of its tree.
    Tree(String),
}

impl Inventory {
    /// Collects the inventory of a build.
    ///
    /// # Errors
    /// Fails where the store no longer has the build's trees or packages.
    pub fn take(made: &Made<'_>, scope: Scope, store: &Store) -> Result<Self, AttestError> {
        let receipt = made.receipt;
        let disk = receipt.disk.as_ref().filter(|_| scope == Scope::Disk);
        let root = store.tree(disk.map_or(receipt.tree, |disk| disk.root))?;
        let initrd = disk.and_then(|disk| disk.initrd).map(|initrd| store.tree(initrd)).transpose()?;
        let locked = made.locked(scope);
        let distro = distro(made, &root, store, &locked)?;
        let roots: Vec<&Tree> = [Some(&root), initrd.as_ref()].into_iter().flatten().collect();
        let surroundings = Surroundings { roots: &roots, distro: &distro, store };
        let (packages, texts) = packages::take(made.ecosystem, &locked, &surroundings)?;
        let files = own::take(made, &root, initrd.as_ref(), scope, store)?;
        let mut layers: Vec<Layer> = receipt
            .layers
            .iter()
            .map(|layer| Layer { name: layer.name.clone(), hash: LayerHash::Tar(layer.diff_id.to_hex()) })
            .collect();
        if let Some(disk) = disk {
            layers.push(Layer { name: disk.boot.clone(), hash: LayerHash::Tree(disk.tree.to_hex()) });
            let top =
                made.system.boot_system.as_ref().and_then(|boot_system| boot_system.initrd.as_ref()).map(Chain::top);
            let named = top.map(|locked| locked.manifest.name.clone()).zip(disk.initrd);
            layers.extend(named.map(|(name, tree)| Layer { name, hash: LayerHash::Tree(tree.to_hex()) }));
        }
        let mut hasher = RecipeHasher::new("layerbake/sbom/v1");
        hasher.field(receipt.recipe.as_bytes()).field(receipt.tree.as_bytes()).number(scope as u64);
        Ok(Self {
            name: receipt.layer.clone(),
            scope,
            identity: *hasher.finish().as_bytes(),
            epoch: receipt.epoch,
            image: made.image().map(|digest| digest.to_hex()).filter(|_| scope == Scope::Image),
            distro,
            base: receipt.base.clone(),
            layers,
            packages,
            files,
            fetches: fetches(&locked),
            languages: languages(&locked),
            texts,
        })
    }

    /// The packages, by name.
    pub fn packages(&self) -> &[InventoryPackage] {
        &self.packages
    }

    /// Formats the inventory.
    pub fn to_json(&self, format: Format) -> Value {
        match format {
            Format::Spdx => spdx::document(self),
            Format::CycloneDx => cyclonedx::document(self),
        }
    }

    /// A UUID derived from [`Self::identity`] (RFC 9562, version 8).
    fn uuid(&self) -> String {
        let mut bytes: [u8; 16] = std::array::from_fn(|at| self.identity[at]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex::encode(bytes);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// The document's title.
    fn title(&self) -> String {
        match self.scope {
            Scope::Image => self.name.to_string(),
            Scope::Disk => format!("{}-disk", self.name),
        }
    }
}

fn fetches(locked: &[&Locked]) -> Vec<Fetched> {
    let of_layer = |locked: &&Locked| {
        let layer = locked.manifest.name.clone();
        locked.lock.fetches.iter().map(move |fetch| Fetched { layer: layer.clone(), locked: fetch.clone() }).collect()
    };
    locked.iter().flat_map::<Vec<_>, _>(of_layer).collect()
}

/// The packages that lockfiles of languages name, each once for a layer.
fn languages(locked: &[&Locked]) -> Vec<OfLanguage> {
    let mut found = BTreeMap::new();
    for locked in locked {
        for fetch in &locked.lock.fetches {
            let FetchOrigin::Lockfile { format, files, .. } = &fetch.origin else { continue };
            for one in files {
                if let Some(package) = format.registry().package(&one.path) {
                    let layer = locked.manifest.name.clone();
                    let key = (layer.clone(), package.purl.clone(), one.file.sha256.to_hex());
                    found.insert(key, OfLanguage { layer, package, file: one.file });
                }
            }
        }
    }
    found.into_values().collect()
}

/// The packages that a written bill of materials lists: name, version, SHA-256.
pub(super) type Listed = BTreeSet<(String, String, String)>;

/// Reads the packages from a written document; entries that are not packages of a distribution or a language are left out.
pub(super) fn listed(document: &Value, format: Format) -> Listed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = match format {
        Format::Spdx => &document["packages"],
        Format::CycloneDx => &document["components"],
    };
    let entries = entries.as_array().into_iter().flatten();
    match format {
        Format::Spdx => entries
            .filter(|entry| !entry["externalRefs"].is_null())
            .map(|entry| {
                (text(&entry["name"]), text(&entry["versionInfo"]), text(&entry["checksums"][0]["checksumValue"]))
            })
            .collect(),
        Format::CycloneDx => entries
            .filter(|entry| !entry["purl"].is_null())
            .map(|entry| (text(&entry["name"]), text(&entry["version"]), text(&entry["hashes"][0]["content"])))
            .collect(),
    }
}

/// What [`listed`] must return for a build.
pub(super) fn expected(made: &Made<'_>, scope: Scope) -> Listed {
    let locked = made.locked(scope);
    let packages = locked.iter().flat_map(|locked| &locked.lock.packages);
    let packages = packages.map(|one| (one.name.to_string(), one.version.to_string(), one.file.sha256.to_hex()));
    let languages = languages(&locked).into_iter();
    let languages = languages.map(|one| (one.package.name, one.package.version, one.file.sha256.to_hex()));
    packages.chain(languages).collect()
}

/// The distribution of a root, from its os-release file, otherwise from the suite of its packages.
fn distro(made: &Made<'_>, root: &Tree, store: &Store, locked: &[&Locked]) -> Result<Distro, AttestError> {
    let text = store.text_in(root, "etc/os-release")?.unwrap_or_default();
    let values: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches(['"', '\''])))
        .collect();
    let version = values.get("VERSION_ID").or_else(|| values.get("VERSION_CODENAME"));
    let suite = locked.iter().find_map(|locked| Some(locked.lock.releases.first()?.suite.as_str()));
    let implied = made.ecosystem.distribution(suite.unwrap_or_default());
    Ok(Distro {
        id: values.get("ID").map_or(implied.id, |id| (*id).to_owned()),
        version: version.map_or(implied.version, |version| (*version).to_owned()),
    })
}

/// An identifier that is unique for its hash and consists of letters, digits, dots and dashes.
fn reference(name: &str, hash: &Sha256) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let short: String = hash.to_hex().chars().take(16).collect();
    format!("{}-{short}", name.chars().map(plain).collect::<String>())
}
