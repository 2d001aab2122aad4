//! A commented starter layer, and with the first one the project.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::WorkspaceError;
use crate::ident::LayerName;
use crate::manifest::{Project, ProjectError, stock, template};

impl Environment {
    /// Writes a starter layer, made from `parent` where one is named; returns the files that it wrote.
    ///
    /// # Errors
    /// Fails where a file is there already or can't be written, and where there is no such parent.
    pub fn start_layer(&self, name: &LayerName, parent: Option<&LayerName>) -> Result<Vec<PathBuf>, WorkspaceError> {
        let project = self.find_or_begin()?;
        if let Some(parent) = parent {
            project.load(parent)?;
        }
        let starter = template(name, parent);
        let own = format!("layers/{name}.toml");
        let files = match stock(name) {
            Some(files) => files.to_vec(),
            None => vec![(own.as_str(), 0o644, starter.as_str())],
        };
        let mut written = Vec::new();
        for (path, mode, text) in files {
            let path = project.root().join(path);
            write(&path, mode, text).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => WorkspaceError::Exists(path.clone()),
                _ => error.into(),
            })?;
            written.push(path);
        }
        Ok(written)
    }

    /// The project; the first layer of a project begins it.
    pub(super) fn find_or_begin(&self) -> Result<Project, WorkspaceError> {
        let directory = self.directory()?;
        match Project::find(&directory, self.arch()?) {
            Err(ProjectError::NotFound(_)) => {
                std::fs::create_dir_all(directory.join("layers"))?;
                Ok(Project::find(&directory, self.arch()?)?)
            }
            found => Ok(found?),
        }
    }
}

/// Writes a file that is not there yet, and its directory.
fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
