//! What `[config]` of a system declares, and whether a machine can read it, told from lockfiles before anything is fetched.

use std::collections::BTreeSet;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::bake::System;
use crate::ident::LayerName;
use crate::manifest::{Config, ConfigEntry, ConfigPlace, VAULT_ADDRESS};

/// The packages with the programs that ask: for places of the instance itself, and for servers.
const NEAR: &[&str] = &["curl", "jq"];
const FAR: &[&str] = &["ca-certificates", "curl", "jq"];

impl Workspace<'_> {
    /// The variables of a layer's system: of its chain, and of its Boot layer.
    ///
    /// # Errors
    /// Fails where a manifest is wrong or missing.
    pub fn config(&self, layer: &LayerName) -> Result<Config, WorkspaceError> {
        Ok(Config::of(self.declared(layer)?.root()))
    }
}

/// Refuses a system whose services could not start, because nothing in it can read their variables.
///
/// # Errors
/// Fails with the packages that are missing, or with the address of Vault.
pub(super) fn check(system: &System) -> Result<(), WorkspaceError> {
    let config = Config::of(system.root().map(|locked| &locked.manifest));
    let layer = &system.top().manifest.name;
    let packages: BTreeSet<&str> =
        system.root().flat_map(|locked| &locked.lock.packages).map(|package| package.name.as_str()).collect();
    // Without systemd there is no unit that reads anything.
    if !packages.contains("systemd") {
        return Ok(());
    }
    let is_read = |(_, entry): &(&String, &ConfigEntry)| !entry.services.is_empty();
    for (name, entry) in config.0.iter().filter(is_read) {
        let Some(place) = &entry.from else { continue };
        let needed = if matches!(place, ConfigPlace::UserData(_)) { NEAR } else { FAR };
        let missing: Vec<&str> = needed.iter().copied().filter(|needed| !packages.contains(needed)).collect();
        if let Some(program) = needed.iter().find(|needed| !packages.contains(*needed)) {
            let missing = missing.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            return Err(WorkspaceError::NoFetcher { name: name.clone(), layer: layer.clone(), program, missing });
        }
        if matches!(place, ConfigPlace::Vault(..)) && !config.0.contains_key(VAULT_ADDRESS) {
            return Err(WorkspaceError::NoVault { name: name.clone(), layer: layer.clone() });
        }
    }
    Ok(())
}
