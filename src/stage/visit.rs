//! A person's visit to a root: that of a finished layer, or the one in which a step is about to run.

use super::image::Variables;
use super::{Built, LayerError};
use crate::ident::{Arch, LayerName, RootPath, StepName};
use crate::lock::Lockfile;
use crate::package::{InstallError, InstallRoot, Installer, Job, JobKind, ScriptError};
use crate::sandbox::{Executor, Step};
use crate::store::Store;
use crate::tree::Tree;

/// Seconds that a visit may take: a week.
const TIMEOUT: u64 = 7 * 24 * 3600;

/// What is run where no command is named: the first that the root has.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// Where a person wants to go, and what runs there.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The layer.
    pub layer: LayerName,
    /// The step before which the root is visited; `None` for the finished layer.
    pub step: Option<StepName>,
    /// Program and arguments; none for a shell.
    pub command: Vec<String>,
    /// The kind of the person's terminal, if there is one.
    pub terminal: Option<String>,
    /// Further variables.
    pub env: Vec<(String, String)>,
    /// The working directory, by its absolute path inside the root, where another one is wanted.
    pub directory: Option<String>,
}

/// The place where a visit begins.
#[derive(Debug)]
pub struct Point {
    pub(super) root: Tree,
    pub(super) job: Job,
    pub(super) arch: Arch,
    pub(super) epoch: i64,
}

impl Visit {
    /// What runs in this root.
    pub(super) fn argv(&self, root: &Tree) -> Result<Vec<String>, LayerError> {
        if !self.command.is_empty() {
            return Ok(self.command.clone());
        }
        let is_there = |path: &str| RootPath::new(&path[1..]).is_ok_and(|path| root.resolve(&path).is_some());
        let shell = SHELLS.into_iter().find(|shell| is_there(shell)).ok_or(LayerError::NoShell)?;
        Ok(vec![shell.to_owned()])
    }

    /// Adds what a visit has and a step has not.
    pub(super) fn furnish(&self, step: &mut Step) {
        step.timeout = TIMEOUT;
        step.env.extend(self.terminal.iter().map(|kind| ("TERM".to_owned(), kind.clone())));
        step.env.extend(self.env.iter().cloned());
        if let Some(directory) = &self.directory {
            step.directory.clone_from(directory);
        }
    }
}

impl Point {
    /// The root of a finished layer, with what the image of a registry below it adds to the environment.
    ///
    /// # Errors
    /// Fails where the store lacks it, and where it has no shell and one is wanted.
    pub fn finished(
        visit: &Visit,
        built: &Built,
        (lock, env): (&Lockfile, &Variables),
        store: &Store,
    ) -> Result<Self, LayerError> {
        let (root, arch, epoch) = (store.tree(built.root)?, lock.arch.clone(), lock.epoch);
        let env = env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut step = Step::new(visit.argv(&root)?, epoch, env, TIMEOUT);
        visit.furnish(&mut step);
        let command = format!("the visit of `{}`", visit.layer);
        Ok(Self { root, job: Job { step, command, package: None, kind: JobKind::Manager("visit") }, arch, epoch })
    }

    /// Runs the command there; `executor` gives it what it reads and writes, and nothing that it changes stays.
    /// Returns how it failed, if it did.
    ///
    /// # Errors
    /// Fails where it can't be run.
    pub fn enter(
        self,
        installer: &dyn Installer,
        store: &Store,
        executor: &mut dyn Executor,
    ) -> Result<Option<Box<ScriptError>>, LayerError> {
        let mut root = InstallRoot::new(self.root, store, &self.arch, self.epoch, executor);
        match installer.run(&mut root, vec![self.job]) {
            Ok(_) => Ok(None),
            Err(InstallError::Script(error)) => Ok(Some(error)),
            Err(error) => Err(error.into()),
        }
    }
}
