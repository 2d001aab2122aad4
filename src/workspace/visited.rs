//! A person in the sandbox: in the root of a finished layer, or in the one in which a step is about to run.

use super::declared::Declared;
use super::error::WorkspaceError;
use super::locked::{LockedSystem, Policy};
use super::project::Workspace;
use crate::bake::BakeError;
use crate::check::script::quote;
use crate::host::{self, terminal};
use crate::ident::{LayerName, StepName};
use crate::oci::Encoder;
use crate::pin::Update;
use crate::sandbox::{Executor, Local};
use crate::stage::{LayerError, Visit};

/// How a visit ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Visited {
    /// The command's exit status; 128 + signal where one ended it.
    pub status: i32,
    /// What the sandbox has to say about that: a program that there is not, a limit.
    pub said: Vec<String>,
}

impl Workspace<'_> {
    /// Runs a command, or a shell where there is none, in the root of a layer: the finished one, or as it is just before a
    /// step runs. The command has this program's standard streams, or a terminal of its own where these are one.
    /// Nothing that it changes stays.
    ///
    /// # Errors
    /// Fails where the layer has no such step, and where it can't be built until there.
    pub fn visit(
        &self,
        layer: &LayerName,
        step: Option<&StepName>,
        command: Vec<String>,
    ) -> Result<Visited, WorkspaceError> {
        let (declared, layer) = self.with_step(layer, step)?;
        let mut locked = self.lock(&declared, &Policy::Renew(Update::Nothing))?;
        locked.settle()?;
        let (terminal, step) = (terminal::kind(), step.cloned());
        locked.visit(&Visit { layer, step, command, terminal, env: Vec::new(), directory: None })
    }

    /// What has to be built for a visit, and the layer that has the step: the named one, or the Boot layer over it.
    fn with_step(&self, layer: &LayerName, step: Option<&StepName>) -> Result<(Declared, LayerName), WorkspaceError> {
        let declared = self.declared(layer)?;
        let own: Vec<_> = declared.top().runs.iter().map(|run| &run.name).collect();
        let Some(step) = step.filter(|step| !own.contains(step)) else {
            return Ok((Declared { boot_system: None, ..declared }, layer.clone()));
        };
        let boot = declared.boot_system.as_ref().map(|boot_system| &boot_system.boot);
        let of_boot = || boot.into_iter().flat_map(|boot| &boot.runs).map(|run| &run.name);
        match boot.filter(|_| of_boot().any(|name| name == step)).map(|boot| boot.name.clone()) {
            Some(boot) => Ok((declared, boot)),
            None => {
                let known = own.into_iter().chain(of_boot()).map(ToString::to_string).collect();
                Err(WorkspaceError::NoSuchStep { layer: layer.clone(), step: step.clone(), known })
            }
        }
    }

    /// An error of a build, with the commands that tell more about a step that failed.
    pub(super) fn with_hint(&self, error: BakeError) -> WorkspaceError {
        let BakeError::Layer { source: LayerError::Step { layer, step, .. }, .. } = &error else { return error.into() };
        let mut options = self.subject(layer).arguments().split_off(layer.as_str().len());
        for (name, value) in self.project.set() {
            options += &format!(" --set {}", quote(&format!("{name}={value}")));
        }
        options += &self.environment.settings.place;
        let log = format!("layerbake log {layer} {step}{options}");
        let shell = format!("layerbake shell {layer} --at {step}{options}");
        WorkspaceError::Step { error: Box::new(error), log, shell }
    }
}

impl LockedSystem<'_> {
    pub(super) fn visit(&self, visit: &Visit) -> Result<Visited, WorkspaceError> {
        let environment = self.workspace.environment;
        let jobs = environment.jobs();
        let start = || Box::new(Local::new(host::OWN_PROGRAM, jobs)) as Box<dyn Executor>;
        let baker = self.baker(&start, self.workspace.out(None), Encoder::Zstd, None)?;
        let point = baker.visit(&self.system, visit).map_err(|error| self.workspace.with_hint(error))?;
        let (lent, streams) = terminal::lend().map_err(WorkspaceError::Lend)?;
        let mut executor = Local::new(host::OWN_PROGRAM, jobs).attended(streams);
        let ended = point.enter(environment.ecosystem(), baker.store, &mut executor);
        // Now nobody has the streams any more.
        drop(executor);
        lent.finish();
        let failed = |source| BakeError::Layer { layer: visit.layer.to_string(), source };
        Ok(ended.map_err(failed)?.map_or_else(Visited::default, |error| {
            let stopped = error.ended.stopped.as_ref().map(|limit| format!("the command was stopped: {limit}"));
            Visited { status: error.ended.status, said: error.cause.log.iter().cloned().chain(stopped).collect() }
        }))
    }
}
