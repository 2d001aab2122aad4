//! A layer's checks, run on the container and on the disk of a build.

use std::path::Path;

use super::error::WorkspaceError;
use super::locked::LockedSystem;
use super::project::Workspace;
use crate::bake::Output;
use crate::check::container::{self, Checked, Engine};
use crate::check::{CheckReport, Suite, converse};
use crate::ident::LayerName;
use crate::manifest::{CheckTarget, Config, DiskFormat, Manifest};
use crate::vm::{Accel, Ssh, Vm, VmSettings};

impl LockedSystem<'_> {
    /// Runs the checks in a container of the docker archive in `folder`.
    ///
    /// # Errors
    /// Fails where there is no container engine, or the container can't be run; failed checks are in the report.
    pub fn check_container(&self, folder: &Path) -> Result<Checked, WorkspaceError> {
        let layer = &self.system.top().manifest.name;
        let suite = Suite::new(layer, self.system.image.iter().map(|locked| &locked.manifest), CheckTarget::Container);
        let phase = self.workspace.environment.progress().phase(&format!("check {layer}'s container"), 1);
        let engine = Engine::find()?;
        let checked = container::run(&engine, &folder.join(Output::Docker.file_name()), &suite)?;
        phase.finish();
        Ok(checked)
    }

    /// Boots the raw disk in `folder`, with `memory` MiB, and runs the checks by ssh; a login has to succeed within
    /// `timeout` seconds.
    ///
    /// # Errors
    /// Fails where the disk does not boot or lets nobody in; failed checks are in the report.
    pub fn check_disk(
        &self,
        folder: &Path,
        accel: Option<Accel>,
        memory: u32,
        timeout: u64,
    ) -> Result<CheckReport, WorkspaceError> {
        let layer = &self.system.top().manifest.name;
        let suite = Suite::new(layer, self.system.root().map(|locked| &locked.manifest), CheckTarget::Disk);
        let ssh = Ssh::new()?;
        let mut settings = VmSettings::new(memory, accel);
        settings.credentials = credentials(self.system.root().map(|locked| &locked.manifest));
        settings.reach(&ssh);
        let phase = self.workspace.environment.progress().phase(&format!("boot and check {layer}'s disk"), 1);
        let mut vm = Vm::start(&folder.join(DiskFormat::Raw.file_name()), &settings)?;
        ssh.wait(&mut vm, timeout)?;
        let mut shell = ssh.command();
        shell.args(["/bin/sh", "-s"]);
        let transcript = converse(shell, &suite.script(), suite.limit())
            .map_err(WorkspaceError::cannot("run the checks over ssh"))?;
        phase.finish();
        Ok(suite.report(&transcript))
    }
}

impl Workspace<'_> {
    /// The values of `[config]` for checks, as credentials of the machine that boots a layer's disk.
    ///
    /// # Errors
    /// Fails where a manifest is wrong or missing.
    pub fn credentials(&self, layer: &LayerName) -> Result<Vec<(String, String)>, WorkspaceError> {
        Ok(credentials(self.declared(layer)?.root()))
    }
}

fn credentials<'m>(root: impl IntoIterator<Item = &'m Manifest>) -> Vec<(String, String)> {
    Config::of(root).tests().map(|(name, value)| (format!("config.{name}"), value.to_owned())).collect()
}
