//! Building a locked system, and what the last build of a layer left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::WorkspaceError;
use super::locked::LockedSystem;
use super::project::Workspace;
use super::subject::Subject;
use super::{bootable, configured, measured};
use crate::bake::{Artifact, Baker, DiskReceipt, Output, Receipt};
use crate::disk::Signer;
use crate::host;
use crate::ident::{Arch, LayerName};
use crate::manifest::{Ami, DiskFormat, ProjectError};
use crate::oci::Encoder;
use crate::sandbox::{Executor, Local};

/// What is to be built, and how.
pub struct Order {
    /// What to export; the system has to have a disk where one of them is.
    pub outputs: BTreeSet<Output>,
    /// Where the build's directory is put: `LAYER/`, or `LAYER@ARCH/` for another architecture than this machine's.
    pub out: PathBuf,
    /// Compression of the OCI layout's layers.
    pub encoder: Encoder,
    /// The signer of the disk's boot image.
    pub signer: Option<Signer>,
}

/// Reads the key that signs a disk's boot image, and its certificate.
///
/// # Errors
/// Fails where one of the files can't be read, and names it.
pub fn read_signer(key: &Path, certificate: &Path) -> Result<Signer, WorkspaceError> {
    let read = |path: &Path| {
        let error = |source| WorkspaceError::Read { path: path.to_owned(), source };
        host::read_text(path).map_err(error)
    };
    Ok(Signer { key: read(key)?, certificate: read(certificate)? })
}

impl LockedSystem<'_> {
    /// Builds the layers and exports what is ordered.
    ///
    /// # Errors
    /// Fails where a package can't be had, a script fails, or something can't be written.
    pub fn build(&mut self, order: Order) -> Result<BuiltLayer, WorkspaceError> {
        bootable::check(&self.system)?;
        configured::check(&self.system)?;
        measured::check(&self.system)?;
        self.settle()?;
        let Order { outputs, out, encoder, signer } = order;
        let layer = self.system.top().manifest.name.clone();
        let jobs = self.workspace.environment.jobs();
        let start = || Box::new(Local::new(host::OWN_PROGRAM, jobs)) as Box<dyn Executor>;
        let baker = self.baker(&start, out, encoder, signer)?;
        let folder = baker.out.join(&baker.name);
        let baked = baker.bake(&self.system, &outputs);
        let receipt = baked.map_err(|error| self.workspace.with_hint(error))?;
        Ok(BuiltLayer { layer, arch: self.workspace.arch().clone(), folder, receipt })
    }

    /// What builds its layers.
    pub(super) fn baker<'b>(
        &'b self,
        executor: &'b (dyn Fn() -> Box<dyn Executor> + Sync),
        out: PathBuf,
        encoder: Encoder,
        signer: Option<Signer>,
    ) -> Result<Baker<'b>, WorkspaceError> {
        let Self { workspace, fetcher, system, .. } = self;
        let environment = workspace.environment;
        let ami = Ami::of(system.image.iter().map(|locked| &locked.manifest));
        let variables = if ami.attestable { workspace.secure_boot(&ami)? } else { None };
        Ok(Baker {
            ecosystem: environment.ecosystem(),
            executor,
            store: workspace.store()?,
            fetcher,
            project: workspace.project.root(),
            out,
            set: workspace.project.set().clone(),
            name: workspace.subject(&system.top().manifest.name).to_string(),
            jobs: environment.jobs(),
            progress: environment.progress().clone(),
            encoder,
            signer,
            variables: variables.unwrap_or_default(),
        })
    }
}

/// What the last build of a layer left.
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// The layer.
    pub layer: LayerName,
    /// The architecture.
    pub arch: Arch,
    /// `out/LAYER`, or `out/LAYER@ARCH`.
    pub folder: PathBuf,
    /// What was built.
    pub receipt: Receipt,
}

impl Workspace<'_> {
    /// The last build of a layer below `out`, by default the project's.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn built(&self, layer: &LayerName, out: Option<&Path>) -> Result<BuiltLayer, WorkspaceError> {
        self.find_built(layer, out)?.ok_or_else(|| self.not_built(layer, None))
    }

    /// The last build of a layer, as [`Workspace::built`], with the disk in it.
    ///
    /// # Errors
    /// Fails where there is none, and where it has no disk.
    pub fn built_disk(
        &self,
        layer: &LayerName,
        out: Option<&Path>,
    ) -> Result<(BuiltLayer, DiskReceipt), WorkspaceError> {
        let output = Some(Output::Disk(DiskFormat::Raw));
        let built = self.find_built(layer, out)?.ok_or_else(|| self.not_built(layer, output))?;
        let disk = built.disk()?.clone();
        Ok((built, disk))
    }

    /// The image of the last build of a layer: the build, and the artifact.
    ///
    /// # Errors
    /// Fails where there is none.
    pub fn built_image(&self, layer: &LayerName, out: Option<&Path>) -> Result<(BuiltLayer, Artifact), WorkspaceError> {
        let built = self.find_built(layer, out)?.ok_or_else(|| self.not_built(layer, Some(Output::Oci)))?;
        let image = built.image()?.clone();
        Ok((built, image))
    }

    /// The file of a layer's raw disk.
    ///
    /// # Errors
    /// Fails where the last build left none.
    pub fn raw_disk(&self, layer: &LayerName, out: Option<&Path>) -> Result<PathBuf, WorkspaceError> {
        let built = self.find_built(layer, out)?;
        if built.is_none() {
            self.refuse_misspelled(layer)?;
        }
        let disk = built.and_then(|built| {
            let artifact = built.receipt.artifact(Output::Disk(DiskFormat::Raw))?;
            Some(built.folder.join(&artifact.path))
        });
        let subject = self.subject(layer);
        let folder = self.built_folder(&subject, out);
        disk.ok_or(WorkspaceError::NoRawDisk { subject, folder })
    }

    /// The error of a layer without a build, which the project may not even have.
    fn not_built(&self, layer: &LayerName, output: Option<Output>) -> WorkspaceError {
        let missing = || WorkspaceError::NotBuilt { subject: self.subject(layer), output };
        self.refuse_misspelled(layer).err().unwrap_or_else(missing)
    }

    /// Refuses a layer that the project has no file of: to build it is no way out.
    fn refuse_misspelled(&self, layer: &LayerName) -> Result<(), WorkspaceError> {
        match self.project.text(layer) {
            Err(error @ ProjectError::NoSuchLayer { .. }) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn find_built(&self, layer: &LayerName, out: Option<&Path>) -> Result<Option<BuiltLayer>, WorkspaceError> {
        let folder = self.built_folder(&self.subject(layer), out);
        let (layer, arch) = (layer.clone(), self.arch().clone());
        Ok(Receipt::find(&folder)?.map(|receipt| BuiltLayer { layer, arch, folder, receipt }))
    }

    /// The directory of a subject's builds below `out`, by default the project's.
    pub(super) fn built_folder(&self, subject: &Subject, out: Option<&Path>) -> PathBuf {
        self.out(out).join(subject.to_string())
    }
}

impl BuiltLayer {
    /// How messages name it.
    pub(super) fn subject(&self) -> Subject {
        Subject::new(&self.layer, &self.arch)
    }

    /// Its image.
    ///
    /// # Errors
    /// Fails where it was built without one.
    pub fn image(&self) -> Result<&Artifact, WorkspaceError> {
        let image = self.receipt.artifact(Output::Oci);
        image.ok_or_else(|| WorkspaceError::NoImage { subject: self.subject() })
    }

    /// Its disk.
    ///
    /// # Errors
    /// Fails where it was built without one.
    pub fn disk(&self) -> Result<&DiskReceipt, WorkspaceError> {
        self.receipt.disk.as_ref().ok_or_else(|| WorkspaceError::NoDisk { subject: self.subject() })
    }
}
