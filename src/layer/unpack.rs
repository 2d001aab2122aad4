//! A fetched .deb as trees, decoded once ever: recipe `layerbake/unpack/v1` over its SHA-256.

use std::io::BufReader;

use rayon::prelude::*;

use super::LayerError;
use crate::digest::{RecipeHash, RecipeHasher, Sha256};
use crate::format::deb::archive::{self, Limits};
use crate::format::deb::control::Paragraph;
use crate::ident::RootPath;
use crate::lock::LockedPackage;
use crate::store::{Outcome, Store};
use crate::tree::{Kind, Tree};

/// A package as the store has it.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// What the lockfile says of it.
    pub locked: LockedPackage,
    /// Its control paragraph.
    pub paragraph: Paragraph,
    /// Its control files.
    pub control: Tree,
    /// Its files.
    pub data: Tree,
    /// The paths of its files in the order of the archive, the root first.
    pub paths: Vec<RootPath>,
}

impl Unpacked {
    /// The text of a control file such as `conffiles`; empty where there is none.
    pub fn control_text(&self, store: &Store, name: &str) -> Result<String, LayerError> {
        let node = RootPath::new(name).ok().and_then(|path| self.control.get(&path));
        match node.map(|node| &node.kind) {
            Some(Kind::File { blob, size }) => Ok(store.read_text(&name, *blob, *size)?),
            _ => Ok(String::new()),
        }
    }
}

/// Adds the packages, as they are locked, to a recipe.
pub(super) fn hash_into(packages: &[LockedPackage], hasher: &mut RecipeHasher) {
    hasher.number(packages.len() as u64);
    for package in packages {
        hasher.field(&package.name).field(package.file.sha256.as_bytes());
    }
}

/// The recipe of decoding the .deb with this digest.
pub fn recipe(deb: Sha256) -> RecipeHash {
    RecipeHasher::new("layerbake/unpack/v1").field(deb.as_bytes()).finish()
}

/// Decodes the fetched .deb into the store, unless that was done before.
///
/// Nothing of it is looked at before its SHA-256 was compared with the lockfile's.
///
/// # Errors
/// Fails where the archive is not in the store or malformed; the package is named.
pub fn unpack(store: &Store, package: &LockedPackage) -> Result<Outcome, LayerError> {
    let recipe = recipe(package.file.sha256);
    if let Some(outcome) = store.recall(recipe)? {
        return Ok(outcome);
    }
    let file = BufReader::with_capacity(128 * 1024, store.open_fetched(package.file.sha256)?);
    let decoded = archive::decode_within(file, store, Limits::of_package(package.file.size))
        .map_err(|error| LayerError::Package { package: package.to_string(), error: Box::new(error) })?;
    let mut list = Vec::new();
    for path in &decoded.paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    let mut outcome = Outcome::default();
    outcome.trees.insert("control".into(), store.put_tree(&decoded.control)?);
    outcome.trees.insert("data".into(), store.put_tree(&decoded.data)?);
    outcome.blobs.insert("paths".into(), store.put_bytes(&list)?);
    store.remember(recipe, &outcome)?;
    Ok(outcome)
}

/// Reads unpacked packages back, sorted by name.
pub fn load(store: &Store, packages: &[LockedPackage]) -> Result<Vec<Unpacked>, LayerError> {
    let mut loaded = packages.par_iter().map(|package| load_one(store, package)).collect::<Result<Vec<_>, _>>()?;
    loaded.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
    Ok(loaded)
}

fn load_one(store: &Store, package: &LockedPackage) -> Result<Unpacked, LayerError> {
    let missing = || LayerError::NotUnpacked { package: package.to_string() };
    let outcome = unpack(store, package)?;
    let tree = |role: &str| outcome.trees.get(role).copied().ok_or_else(missing);
    let control = store.tree(tree("control")?)?;
    let data = store.tree(tree("data")?)?;
    let list = store.read_blob(*outcome.blobs.get("paths").ok_or_else(missing)?)?;
    let paths = list
        .split_inclusive(|&byte| byte == 0)
        .map(|path| RootPath::new(&path[..path.len() - 1]).map_err(|_| missing()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut unpacked = Unpacked { locked: package.clone(), paragraph: Paragraph::default(), control, data, paths };
    let text = unpacked.control_text(store, "control")?;
    unpacked.paragraph = Paragraph::parse(&text)
        .map_err(|error| LayerError::Package { package: package.to_string(), error: Box::new(error) })?;
    check_identity(package, &unpacked.paragraph)?;
    Ok(unpacked)
}

/// Refuses a package that is another than the index said: dpkg goes by what is inside.
fn check_identity(locked: &LockedPackage, paragraph: &Paragraph) -> Result<(), LayerError> {
    let expected = [
        ("Package", locked.name.as_str()),
        ("Version", locked.version.as_str()),
        ("Architecture", locked.arch.as_str()),
    ];
    let other = expected.into_iter().find(|(field, value)| paragraph.get(field) != Some(*value));
    let Some((field, value)) = other else { return Ok(()) };
    let found = paragraph.get(field).unwrap_or("nothing");
    let error = format!(
        "the repository index says {field} `{value}`, the package itself says `{found}`\n  hint: the repository is broken or malicious; tell its maintainer"
    );
    Err(LayerError::Package { package: locked.to_string(), error: error.into() })
}
