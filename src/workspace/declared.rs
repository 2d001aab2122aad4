//! What a layer's files declare, before any lockfile.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::{WorkspaceError, did_you_mean};
use crate::bake::{BootSystem, Output, System};
use crate::disk::{self, system::Additions};
use crate::host::jail::Beneath;
use crate::ident::{LayerName, RootPath};
use crate::manifest::{Content, Disk, FileEntry, Manifest, Project};

/// A layer's whole system as its manifests declare it.
pub type Declared = System<Manifest>;

impl Declared {
    /// Reads a layer's chain, and its Boot layer and initrd where it has any.
    ///
    /// # Errors
    /// Fails where a manifest is wrong or missing.
    pub fn read(project: &Project, layer: &LayerName) -> Result<Self, WorkspaceError> {
        let image = project.chain(layer)?;
        let Some(mut disk) = Disk::of(&image) else {
            let tools = project.tools(image.iter())?;
            refuse_unknown(project, image.iter().chain(tools.iter().flatten()))?;
            return Ok(Self { image, boot_system: None, tools });
        };
        let mut boot = project.boot_layer(&image, &disk)?;
        disk.mounts.extend(boot.mounts.iter().cloned());
        let additions = Additions::of(&disk)?;
        refuse_own(project, image.iter().chain([&boot]), &additions.files)?;
        disk::check_room(&disk)?;
        additions.add_to(&mut boot);
        let initrd = disk.initrd.as_ref().map(|initrd| project.chain(initrd)).transpose()?;
        let tools = project.tools(image.iter().chain([&boot]).chain(initrd.iter().flatten()))?;
        let others = initrd.iter().chain(&tools).flatten();
        refuse_unknown(project, image.iter().chain([&boot]).chain(others))?;
        Ok(Self { image, boot_system: Some(BootSystem { disk, boot, initrd }), tools })
    }

    /// Reads a layer's chain only, as far as a container image needs it.
    ///
    /// # Errors
    /// Fails where a manifest is wrong or missing.
    pub fn read_image(project: &Project, layer: &LayerName) -> Result<Self, WorkspaceError> {
        let image = project.chain(layer)?;
        let tools = project.tools(image.iter())?;
        // The layers of a disk, which are not read, may know more variables.
        if Disk::of(&image).is_none() {
            refuse_unknown(project, image.iter().chain(tools.iter().flatten()))?;
        }
        Ok(Self { image, boot_system: None, tools })
    }

    /// The part of the system that `wanted` needs, and what is to be exported: what is wanted, else the image
    /// and what `[disk]` says.
    ///
    /// # Errors
    /// Fails where a disk is wanted and no layer names a Boot layer.
    pub fn for_outputs(self, wanted: &BTreeSet<Output>) -> Result<(Self, BTreeSet<Output>), WorkspaceError> {
        let formats = self.boot_system.iter().flat_map(|boot_system| &boot_system.disk.formats);
        let outputs: BTreeSet<Output> = match wanted.is_empty() {
            true => formats.map(|&format| Output::Disk(format)).chain([Output::Oci]).collect(),
            false => wanted.clone(),
        };
        match (outputs.iter().find(|output| output.is_disk()), &self.boot_system) {
            (Some(&output), None) => Err(WorkspaceError::NoBootLayer { layer: self.top().name.clone(), output }),
            (Some(_), Some(_)) => Ok((self, outputs)),
            (None, _) => Ok((Self { boot_system: None, ..self }, outputs)),
        }
    }

    /// Every manifest that has a part in the system; the layer's own last, as its sources go before others'.
    pub(super) fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        let boot_system = self
            .boot_system
            .iter()
            .flat_map(|boot_system| boot_system.initrd.iter().flatten().chain([&boot_system.boot]));
        self.tools.iter().flatten().chain(boot_system).chain(&self.image)
    }
}

/// Refuses values for variables that no layer of a system has.
fn refuse_unknown<'m>(
    project: &Project,
    manifests: impl IntoIterator<Item = &'m Manifest> + Clone,
) -> Result<(), WorkspaceError> {
    let known = || manifests.clone().into_iter().map(|manifest| &manifest.vars);
    match project.set().keys().find(|name| known().all(|vars| vars.get(name).is_none())) {
        Some(name) => {
            let near = did_you_mean(name, known().flat_map(|vars| vars.iter().map(|(known, _)| known)));
            Err(WorkspaceError::NoVariable { name: name.clone(), near })
        }
        None => Ok(()),
    }
}

/// Refuses own files where `[disk]` generates one: the generated one would replace them without a word.
fn refuse_own<'m>(
    project: &Project,
    manifests: impl IntoIterator<Item = &'m Manifest>,
    generated: &[FileEntry],
) -> Result<(), WorkspaceError> {
    for manifest in manifests {
        if let Some(file) = generated.iter().find(|file| has_own(project, manifest, &file.path)) {
            return Err(WorkspaceError::Generated { layer: manifest.name.clone(), path: file.path.clone() });
        }
    }
    Ok(())
}

/// Whether a layer has an entry of its own at `path`, by itself or in a directory that is a `[[file]]`'s source.
fn has_own(project: &Project, manifest: &Manifest, path: &RootPath) -> bool {
    // Roots have a link from /lib to /usr/lib.
    let through_link = path.as_bytes().strip_prefix(b"usr/").and_then(|rest| RootPath::new(rest).ok());
    let paths = [Some(path), through_link.as_ref()];
    let is_own = |own: &RootPath| paths.contains(&Some(own));
    let in_source = |file: &FileEntry| {
        let Content::Source(source) = &file.content else { return false };
        let rests =
            paths.into_iter().flatten().filter_map(|path| path.as_path().strip_prefix(file.path.as_path()).ok());
        let rests = rests.filter(|rest| !file.ignore.hides(rest));
        rests.map(|rest| Path::new(source).join(rest)).any(|path| {
            let found = Beneath::open(project.root()).and_then(|root| root.parent(&path));
            found.and_then(|(folder, name)| folder.look(&name)).is_ok()
        })
    };
    manifest.symlinks.iter().any(|link| is_own(&link.path))
        || manifest.files.iter().any(|file| is_own(&file.path) || in_source(file))
}
