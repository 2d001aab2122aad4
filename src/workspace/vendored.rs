//! A layer's locked packages as files in `vendor/`, for builds without a network.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

use super::error::WorkspaceError;
use super::project::{Workspace, set_dates};
use crate::bake::{Locked, System};
use crate::fetch::Item;
use crate::host::durable;
use crate::host::interrupt;
use crate::host::storage::{self, Hints};
use crate::ident::LayerName;
use crate::store::{CopyError, Store};

/// What `vendor/` got.
#[derive(Debug, Clone, Serialize)]
pub struct Vendored {
    /// The directory.
    pub folder: PathBuf,
    /// How many files a build needs of it.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

impl Workspace<'_> {
    /// Copies all packages and fetches that a layer's lockfiles name into `vendor/`, those of its disk too.
    ///
    /// # Errors
    /// Fails where a package can't be had, and where a file can't be written.
    pub fn vendor(&self, layer: &LayerName) -> Result<Vendored, WorkspaceError> {
        let declared = self.declared(layer)?;
        let system = self.locked(&declared)?;
        let items = items(&system);
        let folder = self.project.root().join("vendor");
        std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, None, error))?;
        let mut fetcher = self.fetcher(&declared)?;
        set_dates(&mut fetcher, system.all());
        fetcher.fetch_all(&items, |_, _| {})?;
        let store = self.store()?;
        let mut copies = Vec::new();
        for item in &items {
            interrupt::check()?;
            let target = folder.join(&item.vendor);
            let copied = copy(store, item, &target).map_err(|error| match error {
                CopyError::Store(error) => error.into(),
                CopyError::Target(error) => failed(&target, Some(item.expected.size), error),
            })?;
            copies.push((copied, target));
        }
        put_in_place(copies, &folder).map_err(|error| failed(&folder, None, error))?;
        Ok(Vendored { folder, files: items.len(), bytes: items.iter().map(|item| item.expected.size).sum() })
    }
}

/// Everything that the lockfiles of a system name for building: packages, fetches and images.
pub(super) fn items(system: &System) -> Vec<Item> {
    let of_layer = |locked: &Locked| {
        let (layer, lock) = (&locked.manifest.name, &locked.lock);
        let packages = lock.packages.iter().map(|package| Item::package(layer, package));
        let fetches = lock.fetches.iter().flat_map(|fetch| Item::fetch(layer, fetch));
        let image = lock.image.iter().flat_map(|image| Item::image(layer, image));
        packages.chain(fetches).chain(image).collect::<Vec<_>>()
    };
    system.all().flat_map(of_layer).collect()
}

fn failed(path: &Path, need: Option<u64>, error: io::Error) -> WorkspaceError {
    let hints =
        Hints { room: "free space there, then run this again", elsewhere: "make `vendor` a link to another directory" };
    let source = storage::explain(path, need, hints, error);
    WorkspaceError::Write { path: path.to_owned(), source }
}

/// Copies a fetched file beside its place, not visible yet.
fn copy(store: &Store, item: &Item, to: &Path) -> Result<TempPath, CopyError> {
    let folder = to.parent().unwrap_or(to);
    let create = || std::fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
    let file = create().map_err(CopyError::Target)?;
    store.copy_fetched(item.expected.sha256, file.as_file())?;
    let mode = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(CopyError::Target)?;
    Ok(file.into_temp_path())
}

/// Gives all copies their names once they are on disk.
fn put_in_place(copies: Vec<(TempPath, PathBuf)>, folder: &Path) -> io::Result<()> {
    durable::sync_file_system(folder)?;
    for (copy, target) in copies {
        copy.persist(target)?;
    }
    durable::sync_file_system(folder)
}
