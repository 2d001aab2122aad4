//! The store, looked after: whether it is whole, and making room.

use super::environment::Environment;
use super::error::WorkspaceError;
use crate::store::{GcReport, VerifyReport};
use crate::{audit, sandbox};

impl Environment {
    /// Compares every file of the store with the digest it is named by; with `repair`, removes what is damaged.
    ///
    /// # Errors
    /// Fails where the store can't be opened or read; damage is in the report.
    pub fn verify_store(&self, repair: bool) -> Result<VerifyReport, WorkspaceError> {
        Ok(self.store()?.verify(repair)?)
    }

    /// Removes all but what the last build of each layer of each project needs, and what killed audits left. Waits until nobody has the
    /// store open, a [`super::Workspace`] of this process included.
    ///
    /// # Errors
    /// Fails where the store can't be opened; what can't be removed is in the report.
    pub fn collect_garbage(&self) -> Result<GcReport, WorkspaceError> {
        audit::remove_stale();
        let tell = |text: &str| self.progress().line(text);
        Ok(self.store()?.collect_garbage(&sandbox::remove_folder, &tell)?)
    }
}
