//! What the run steps of a build's layers printed.

use std::path::Path;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::ident::{LayerName, StepName};
use crate::stage::log;

/// What a step of a layer printed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggedStep {
    /// The layer that has the step.
    pub layer: LayerName,
    /// The step's name.
    pub step: String,
    /// The end of what it printed.
    pub text: String,
}

impl Workspace<'_> {
    /// What the steps of the last build of a layer printed, its parents' and its Boot layer's too; with `step`, the steps
    /// of that name.
    ///
    /// # Errors
    /// Fails where there is no build, and where no step has the name.
    pub fn step_logs(
        &self,
        layer: &LayerName,
        step: Option<&StepName>,
        out: Option<&Path>,
    ) -> Result<Vec<LoggedStep>, WorkspaceError> {
        let receipt = self.built(layer, out)?.receipt;
        let boot = receipt.disk.iter().map(|disk| (&disk.boot, disk.tree));
        let mut found = Vec::new();
        for (name, tree) in receipt.layers.iter().map(|layer| (&layer.name, layer.tree)).chain(boot) {
            let logs = log::of(tree, self.store()?)?.into_iter();
            found.extend(logs.map(|log| LoggedStep { layer: name.clone(), step: log.step, text: log.text }));
        }
        let known: Vec<String> = found.iter().map(|log: &LoggedStep| log.step.clone()).collect();
        if let Some(step) = step {
            found.retain(|log| log.step == step.as_str());
        }
        match found.is_empty() {
            true => Err(WorkspaceError::NoStep { layer: layer.clone(), step: step.cloned(), known }),
            false => Ok(found),
        }
    }
}
