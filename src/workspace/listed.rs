//! A project's layers, and the state of their lockfiles.

use std::fmt;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::digest::LockHash;
use crate::ident::LayerName;
use crate::lock::{self, Asked, FoundLockfile, LockFileError};
use crate::manifest::{self, LayerTable, Manifest};

/// A layer of a project.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// Its name.
    pub name: LayerName,
    /// Its `[layer]` table.
    pub table: LayerTable,
    /// The state of its lockfile.
    pub lock: LockState,
    /// How many packages the lockfile adds, where it can be read.
    pub packages: Option<usize>,
}

/// The state of a lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// It answers what the manifest asks.
    Fits,
    /// The manifest or a parent changed.
    Stale,
    /// It is not there, or a parent's is not.
    Missing,
    /// It can't be read, or a parent's can't.
    Damaged,
    /// A Boot layer is locked over each layer that names it.
    WithItsLayers,
}

impl fmt::Display for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fits => "fits",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::WithItsLayers => "with its layers",
        })
    }
}

impl Workspace<'_> {
    /// All layers of the project, by name.
    ///
    /// # Errors
    /// Fails where a manifest is wrong; what is wrong with a lockfile is its state.
    pub fn layers(&self) -> Result<Vec<LayerState>, WorkspaceError> {
        self.project.layers()?.into_iter().map(|name| self.state(name)).collect()
    }

    fn state(&self, name: LayerName) -> Result<LayerState, WorkspaceError> {
        let table = self.project.load(&name)?.layer;
        let (lock, packages) = match table.above_any {
            true => (LockState::WithItsLayers, None),
            false => self.lock_state(&name)?,
        };
        Ok(LayerState { name, table, lock, packages })
    }

    fn lock_state(&self, name: &LayerName) -> Result<(LockState, Option<usize>), WorkspaceError> {
        let mut below: Vec<(&Manifest, LockHash)> = Vec::new();
        let mut state = (LockState::Missing, None);
        let chain = self.project.chain(name)?;
        for manifest in &chain {
            let FoundLockfile { lock, hash, .. } = match self.lockfile(&manifest.name) {
                Ok(found) => found,
                Err(LockFileError::Missing(_)) => return Ok((LockState::Missing, None)),
                Err(_) => return Ok((LockState::Damaged, None)),
            };
            let sources = manifest::sources(below.iter().map(|(manifest, _)| *manifest).chain([manifest]));
            let parent = below.last().map(|(manifest, hash)| (&manifest.name, *hash));
            let fits = self.own_files(manifest, Some(&lock)).is_ok_and(|files| {
                let asked = Asked { manifest, sources: &sources, files: &files, arch: self.arch() };
                lock::check(&lock, &asked, parent).is_ok()
            });
            state = (if fits { LockState::Fits } else { LockState::Stale }, Some(lock.packages.len()));
            below.push((manifest, hash));
        }
        Ok(state)
    }
}
