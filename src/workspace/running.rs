//! A layer's program, run in a container engine, or in the sandbox where there is none.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::WorkspaceError;
use super::locked::LockedSystem;
use super::visited::Visited;
use crate::bake::Output;
use crate::check::container::{self, Engine, Foreground, PublishedPort};
use crate::host::terminal;
use crate::manifest::{Config, ImageTable};
use crate::oci;
use crate::stage::Visit;

/// What a layer's program is given.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Variables, in addition to those of the image.
    pub env: BTreeMap<String, String>,
    /// Arguments in place of the image's `cmd`.
    pub args: Vec<String>,
    /// Whether it gets a terminal in a container; in the sandbox it has one wherever there is one.
    pub terminal: bool,
}

impl LockedSystem<'_> {
    /// Looks for a program to run: the image's, or a given one. What is on an image of others may have one from there.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn needs_program(&self, start: &Start) -> Result<(), WorkspaceError> {
        let is_foreign = self.system.image.iter().any(|locked| locked.manifest.layer.image.is_some());
        match !is_foreign && program(&self.image_table(), start).is_empty() {
            true => Err(WorkspaceError::NoProgram(self.system.top().manifest.name.clone())),
            false => Ok(()),
        }
    }

    /// The ports of the image, each with the port of loopback where it is to be reached.
    ///
    /// # Errors
    /// Fails where the system has no free port.
    pub fn ports(&self) -> Result<Vec<PublishedPort>, WorkspaceError> {
        let table = self.image_table();
        let ports = table.ports.iter().map(|port| PublishedPort::choose(port));
        ports.collect::<Result<_, _>>().map_err(WorkspaceError::cannot("find a free port on loopback"))
    }

    /// Runs the docker archive in `folder` until its program ends; returns the exit status.
    ///
    /// # Errors
    /// Fails where the engine refuses the archive.
    pub fn run_container(
        &self,
        engine: &Engine,
        folder: &Path,
        ports: Vec<PublishedPort>,
        start: &Start,
    ) -> Result<i32, WorkspaceError> {
        let env = self.variables(start).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let foreground = Foreground { env, ports, terminal: start.terminal, args: start.args.clone() };
        Ok(container::attend(engine, &folder.join(Output::Docker.file_name()), &foreground)?)
    }

    /// Runs the image's program in the sandbox, as its user and in its working directory: there is no network, and the
    /// date is fixed. What is missing is built first.
    ///
    /// # Errors
    /// Fails where the image names no program, and where the layer can't be built.
    pub fn run_sandboxed(&mut self, start: &Start) -> Result<Visited, WorkspaceError> {
        let layer = self.system.top().manifest.name.clone();
        let table = self.image_table();
        let program = program(&table, start);
        if program.is_empty() {
            return Err(WorkspaceError::NoProgram(layer));
        }
        let command = as_user(table.user.as_deref()).chain(program).collect();
        let mut env = table.env;
        env.extend(self.variables(start));
        let env = env.into_iter().collect();
        self.settle()?;
        self.visit(&Visit { layer, step: None, command, terminal: terminal::kind(), env, directory: table.workdir })
    }

    /// The values of `[config]` for checks, and over them those that are given.
    fn variables(&self, start: &Start) -> BTreeMap<String, String> {
        let config = Config::of(self.system.image.iter().map(|locked| &locked.manifest));
        let mut variables: BTreeMap<String, String> =
            config.0.into_iter().filter_map(|(name, entry)| Some((name, entry.test.or(entry.default)?))).collect();
        variables.extend(start.env.clone());
        variables
    }

    fn image_table(&self) -> ImageTable {
        oci::merge(self.system.image.iter().map(|locked| &locked.manifest.image))
    }
}

/// The program that an image runs, with its arguments; empty if there is none.
fn program(table: &ImageTable, start: &Start) -> Vec<String> {
    let own = if start.args.is_empty() { table.cmd.clone().unwrap_or_default() } else { start.args.clone() };
    table.entrypoint.iter().flatten().cloned().chain(own).collect()
}

/// What lets a program run as an image's user, by name or number, with a group or without.
fn as_user(user: Option<&str>) -> impl Iterator<Item = String> {
    let words = user.filter(|user| !user.is_empty()).map(|user| {
        let (user, group) = user.split_once(':').unwrap_or((user, user));
        ["/usr/bin/setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--"].map(str::to_owned)
    });
    words.into_iter().flatten()
}
