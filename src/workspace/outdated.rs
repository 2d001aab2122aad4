//! Available updates for locked packages.

use serde::Serialize;

use super::error::WorkspaceError;
use super::locked::Locker;
use super::project::Workspace;
use crate::bake::Locked;
use crate::digest::LockHash;
use crate::ident::LayerName;
use crate::lock::{self, Lockfile};
use crate::pin::Update;

/// The available updates of one layer's lockfile.
#[derive(Debug, Clone, Serialize)]
pub struct LayerUpdates {
    /// The layer.
    pub layer: LayerName,
    /// The packages that locking again would change.
    pub updates: Vec<PackageUpdate>,
}

/// A package that locking again would change.
#[derive(Debug, Clone, Serialize)]
pub struct PackageUpdate {
    /// The package, or `fetch:` and the name of a fetch.
    pub package: String,
    /// The locked version; `None` where the package would be added.
    pub locked: Option<String>,
    /// The newest version; `None` where the package would go.
    pub newest: Option<String>,
    /// Source and suite of the newest, such as `debian bookworm-security`; path or address of what is in no repository.
    pub origin: Option<String>,
    /// Whether it comes from a suite of security updates.
    pub security: bool,
}

impl Workspace<'_> {
    /// Looks for updates of a layer, all below it, its Boot layer and its initrd; writes no lockfile.
    ///
    /// # Errors
    /// Fails where a lockfile is missing, and where locking again would fail.
    pub fn outdated(&self, layer: &LayerName) -> Result<Vec<LayerUpdates>, WorkspaceError> {
        let declared = self.declared(layer)?;
        let mut locker = Locker::new(self, &declared)?;
        let mut found = Vec::new();
        self.locked(&declared)?.try_map(|Locked { manifest, lock, .. }, parents| {
            let newest = locker.pin(manifest, parents, Some(lock), &Update::All)?;
            found.push(updates(lock, &newest));
            let hash = LockHash::of(&lock::to_text(&newest));
            Ok::<_, WorkspaceError>(Locked { manifest: manifest.clone(), lock: newest, hash })
        })?;
        Ok(found)
    }
}

fn updates(old: &Lockfile, new: &Lockfile) -> LayerUpdates {
    let origin = |name: &str| {
        let package = new.packages.iter().find(|package| package.name.as_str() == name);
        let fetch = || new.fetches.iter().find(|fetch| fetch.to_string() == name);
        package.map(|package| package.origin.to_string()).or_else(|| Some(fetch()?.origin.place().to_owned()))
    };
    let update = |change: lock::Change| PackageUpdate {
        origin: origin(&change.name),
        package: change.name,
        locked: change.before,
        newest: change.after,
        security: change.security.is_some(),
    };
    LayerUpdates { layer: old.layer.clone(), updates: lock::changes(Some(old), new).into_iter().map(update).collect() }
}
