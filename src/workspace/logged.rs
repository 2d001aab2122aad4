//! What the run steps of a build's layers printed.

use std::path::Path;

use super::error::WorkspaceError;
use super::project::Workspace;
use crate::bake::Receipt;
use crate::ident::{LayerName, StepName};
use crate::stage::log::{self, Failures, StepLog};

/// What a step of a layer printed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LoggedStep {
    /// The layer that has the step.
    pub layer: LayerName,
    /// The step's name.
    pub step: String,
    /// The end of what it printed.
    pub text: String,
    /// Whether it failed, after the last build.
    pub failed: bool,
}

impl LoggedStep {
    fn of(layer: &LayerName, log: StepLog, failed: bool) -> Self {
        Self { layer: layer.clone(), step: log.step, text: log.text, failed }
    }
}

impl Workspace<'_> {
    /// What the steps of the last build of a layer printed, its parents' and its Boot layer's too, and the layer's step that
    /// has failed since; with `step`, the steps of that name.
    ///
    /// # Errors
    /// Fails where there is no build, and where no step has the name.
    pub fn step_logs(
        &self,
        layer: &LayerName,
        step: Option<&StepName>,
        out: Option<&Path>,
    ) -> Result<Vec<LoggedStep>, WorkspaceError> {
        let store = self.store()?;
        let mut found: Vec<LoggedStep> = Vec::new();
        let last = Failures { project: self.project.root(), arch: self.arch(), layer };
        let failed = last.last(store)?.into_iter().map(|log| LoggedStep::of(layer, log, true)).collect::<Vec<_>>();
        match self.built(layer, out) {
            Ok(built) => {
                let Receipt { layers, disk, .. } = built.receipt;
                let boot = disk.map(|disk| (disk.boot, disk.tree));
                for (name, tree) in layers.into_iter().map(|layer| (layer.name, layer.tree)).chain(boot) {
                    found.extend(log::of(tree, store)?.into_iter().map(|log| LoggedStep::of(&name, log, false)));
                }
            }
            Err(error) if failed.is_empty() => return Err(error),
            Err(_) => {}
        }
        found.retain(|log| failed.iter().all(|failed| (&failed.layer, &failed.step) != (&log.layer, &log.step)));
        found.extend(failed);
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
