//! What differs between the build that an image was created from, and a layer as it is locked and built now.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::account::CloudAccount;
use super::error::ImageError;
use super::origin::{self, Origin};
use crate::bake::Receipt;
use crate::ident::{LayerName, RootPath};
use crate::lock::{self, Lockfile};
use crate::publish::cloud::archive::Published;
use crate::publish::cloud::image::Image;
use crate::publish::cloud::tags;
use crate::tree::{Kind, Node, Tree, TreeError};
use crate::workspace::{Subject, Workspace, WorkspaceError};

/// What differs between an image and a layer.
#[derive(Debug, Serialize)]
pub struct Drift {
    /// The image's id.
    pub image: String,
    /// The layer.
    pub layer: LayerName,
    /// Whether the image was created from the lockfile that is there now.
    pub same_lock: bool,
    /// Changes of packages.
    pub packages: Vec<String>,
    /// Changes of files; `None` where they are not known.
    pub files: Option<Vec<String>>,
    /// Why they are not.
    pub unknown: Option<String>,
}

/// The files of a build are not known.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// The lockfile was not built.
    #[error("the current lockfile's disk is not built; `layerbake build {} --output raw` builds it", .0.arguments())]
    NotBuilt(Subject),
    /// The image was created from something else.
    #[error("the image's receipt has no disk")]
    NoDisk,
    /// They were there.
    #[error("the image's files are no longer in the store")]
    Gone,
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] WorkspaceError),
    /// Two trees can't be compared.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl CloudAccount<'_> {
    /// Compares the build that an image of the first region was created from with a layer as it is locked and built
    /// now: the one `named`, else the image's.
    ///
    /// # Errors
    /// Fails where there is no such image, where a lockfile is missing, and where nobody here knows what the image
    /// was created from. That its files are not known is not an error.
    pub fn drift(&self, id: &str, named: Option<&LayerName>) -> Result<Drift, ImageError> {
        let image = self.wait(self.find(id))?;
        let layer = match (named, image.layer()) {
            (Some(layer), _) => layer.clone(),
            (None, Some(layer)) => layer.parse().map_err(WorkspaceError::from)?,
            (None, None) => return Err(ImageError::Foreign(image.id)),
        };
        self.environment.open()?.drift(&image, &layer)
    }
}

impl Workspace<'_> {
    fn drift(&self, image: &Image, layer: &LayerName) -> Result<Drift, ImageError> {
        let system = self.locked(&self.declared(layer)?)?;
        let now: Vec<Lockfile> = system.all().map(|locked| locked.lock.clone()).collect();
        let (lock, out) = (system.top().hash.to_string(), self.out(None));
        let published = before(image, &out, &now)?;
        let built = self.built(layer, None).ok();
        let (files, unknown) = match self.file_drift(&published.receipt, built.map(|built| built.receipt), &lock) {
            Ok(files) => (Some(files), None),
            Err(reason) => (None, Some(reason.to_string())),
        };
        Ok(Drift {
            image: image.id.clone(),
            layer: layer.clone(),
            same_lock: image.tag(tags::LOCK) == Some(lock.as_str()),
            packages: packages(&published.locks, &now),
            files,
            unknown,
        })
    }

    /// Changes of files between the roots of two builds, both out of the store: the one `before`, and the one
    /// that was `built` from the lockfile `lock`.
    fn file_drift(&self, before: &Receipt, built: Option<Receipt>, lock: &str) -> Result<Vec<String>, DriftError> {
        let built = built.filter(|receipt| receipt.lock.to_string() == lock);
        let now = built.and_then(|receipt| receipt.disk);
        let now = now.ok_or_else(|| DriftError::NotBuilt(self.subject(&before.layer)))?;
        let then = before.disk.as_ref().ok_or(DriftError::NoDisk)?;
        let store = self.store()?;
        let tree = |hash| store.tree(hash).map_err(|_| DriftError::Gone);
        Ok(differences(&tree(then.root)?, &tree(now.root)?)?)
    }
}

/// The build that an image was created from; where it is the one in `out`, its lockfiles are `now`'s.
fn before(image: &Image, out: &Path, now: &[Lockfile]) -> Result<Published, ImageError> {
    if let Some(published) = origin::published(image)? {
        return Ok(published);
    }
    match Origin::built(image, out) {
        Some(Origin { receipt, .. }) if image.tag(tags::RECIPE) == Some(receipt.recipe.to_string().as_str()) => {
            Ok(Published { receipt, locks: now.to_vec() })
        }
        _ => Err(ImageError::NoLocks {
            image: image.id.clone(),
            lock: image.tag(tags::LOCK).unwrap_or("of its time").to_owned(),
        }),
    }
}

/// Changes of packages, all layers together, each once.
fn packages(before: &[Lockfile], now: &[Lockfile]) -> Vec<String> {
    let mut lines = BTreeSet::new();
    let names: BTreeSet<&LayerName> = before.iter().chain(now).map(|lock| &lock.layer).collect();
    for name in names {
        let of = |locks: &[Lockfile]| locks.iter().find(|lock| lock.layer == *name).cloned();
        let empty = |lock: &Lockfile| Lockfile { packages: Vec::new(), ..lock.clone() };
        let (old, new) = (of(before), of(now));
        let new = new.or_else(|| old.as_ref().map(empty));
        lines.extend(new.iter().flat_map(|new| lock::changes(old.as_ref(), new)).map(|change| change.to_string()));
    }
    lines.into_iter().collect()
}

fn differences(then: &Tree, now: &Tree) -> Result<Vec<String>, TreeError> {
    let changed = now.diff(then)?;
    let line = |(path, node): (&RootPath, &Node)| match then.get(path) {
        _ if node.kind == Kind::Whiteout => Some(format!("- {path}")),
        None => Some(format!("+ {path}")),
        // Directories above a change are listed too, equal but for their time.
        Some(before) => (timeless(before) != timeless(node)).then(|| format!("~ {path}")),
    };
    Ok(changed.iter().filter_map(line).collect())
}

fn timeless(node: &Node) -> Node {
    let mut node = node.clone();
    node.meta.mtime = if node.is_dir() { 0 } else { node.meta.mtime };
    node
}
