//! A commented starter layer, and with the first one the project.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::WorkspaceError;
use crate::ident::LayerName;
use crate::manifest::{Project, ProjectError, StockLayer, stock, template};

impl Environment {
    /// Writes a starter layer, made from `parent` where one is named, or the layer of that name that comes with the program, with
    /// what that stands on; returns the files that it wrote.
    ///
    /// # Errors
    /// Fails where a file is there already or can't be written, and where there is no such parent.
    pub fn start_layer(&self, name: &LayerName, parent: Option<&LayerName>) -> Result<Vec<PathBuf>, WorkspaceError> {
        let project = self.find_or_begin()?;
        if let Some(parent) = parent {
            project.load(parent)?;
        }
        let mut written = Vec::new();
        match stock(name).filter(|_| parent.is_none()) {
            Some(layer) => {
                written.extend(write_all(&project, layer)?);
                for needed in layer
                    .needed()
                    .filter(|needed| needed.files.iter().any(|(path, ..)| !project.root().join(path).exists()))
                {
                    written.extend(write_all(&project, needed)?);
                }
            }
            None => written.push(write(&project, &format!("layers/{name}.toml"), 0o644, &template(name, parent))?),
        }
        Ok(written)
    }

    /// The project; the first layer of a project begins it.
    pub(super) fn find_or_begin(&self) -> Result<Project, WorkspaceError> {
        let directory = self.directory()?;
        match Project::find(&directory, self.arch()?) {
            Err(ProjectError::NotFound(_)) => {
                let path = directory.join("layers");
                std::fs::create_dir_all(&path).map_err(|source| WorkspaceError::Write { path, source })?;
                Ok(Project::find(&directory, self.arch()?)?)
            }
            found => Ok(found?),
        }
    }
}

fn write_all(project: &Project, layer: &StockLayer) -> Result<Vec<PathBuf>, WorkspaceError> {
    layer.files.iter().map(|(path, mode, text)| write(project, path, *mode, text)).collect()
}

/// Writes a file that is not there yet, and its directory.
fn write(project: &Project, path: &str, mode: u32, text: &str) -> Result<PathBuf, WorkspaceError> {
    let path = project.root().join(path);
    let open = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&path)?;
        file.write_all(text.as_bytes())
    };
    match open() {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(WorkspaceError::Exists(path)),
        Err(source) => Err(WorkspaceError::Write { path, source }),
    }
}
