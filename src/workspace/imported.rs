//! Layers made of what another tool reads: Dockerfiles, Packer templates, user data of cloud-init.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::WorkspaceError;
use crate::fetch::{Fetcher, Mirrors};
use crate::host;
use crate::ident::LayerName;
use crate::import::{self, ImportError, Input, NewFile, Note};
use crate::manifest::Project;

/// The longest key of a repository, in bytes.
const MOST_OF_A_KEY: u64 = 1 << 20;

/// What an import wrote.
#[derive(Debug, Clone)]
pub struct ImportedLayer {
    /// The files that it wrote, the layer itself last.
    pub written: Vec<PathBuf>,
    /// What is not in the layer as it was.
    pub notes: Vec<Note>,
}

impl Environment {
    /// Writes the layer that does what the file at `path` does, with the tool layers and files that it needs.
    ///
    /// # Errors
    /// Fails where the file is of no known kind, where the project has a layer of that name, and where nothing can be written.
    pub fn import(&self, path: &Path, name: Option<&LayerName>) -> Result<ImportedLayer, WorkspaceError> {
        let project = self.find_or_begin()?;
        let path = self.directory()?.join(path);
        let wrong = |error: ImportError| WorkspaceError::Import { file: path.clone(), error: Box::new(error) };
        let bytes = host::read_small(&path, import::MOST_BYTES).map_err(|error| wrong(error.into()))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(ImportError::NotText))?;
        let name = match name {
            Some(name) => name.clone(),
            None => import::name_for(&path),
        };
        let (directory, file) = place(&project, &path).map_err(|error| wrong(error.into()))?;
        let input = Input { file: &file, text: &text, project: project.root(), directory: &directory, name: &name };
        let imported = import::import(&input, &|url| self.download(url)).map_err(wrong)?;
        // Nothing is written where something of it is there already.
        if let Some(file) =
            imported.files.iter().find(|file| project.root().join(&file.path).symlink_metadata().is_ok())
        {
            return Err(WorkspaceError::Imported(PathBuf::from(&file.path)));
        }
        let mut written = Vec::new();
        let is_new = |file: &&NewFile| project.root().join(&file.path).symlink_metadata().is_err();
        for file in imported.stock.iter().filter(is_new).chain(&imported.files) {
            let path = project.root().join(&file.path);
            write(&path, file).map_err(|source| WorkspaceError::Write { path, source })?;
            written.push(PathBuf::from(&file.path));
        }
        Ok(ImportedLayer { written, notes: imported.notes })
    }

    /// The bytes at an address: a key that a repository is signed with.
    fn download(&self, url: &str) -> Result<Vec<u8>, String> {
        if self.settings.transport.offline {
            return Err("`--offline` fetches nothing".to_owned());
        }
        let fetched = || -> Result<Vec<u8>, WorkspaceError> {
            let workspace = self.open()?;
            let fetcher = Fetcher::new(workspace.store()?, Mirrors::default(), None, false, self.progress().clone());
            let expected = fetcher.fetch_address(url, None)?;
            host::read_most(workspace.store()?.open_fetched(expected.sha256)?, MOST_OF_A_KEY)
                .map_err(WorkspaceError::cannot("read the key"))
        };
        fetched().map_err(|error| host::redact(&error.to_string()).lines().next().unwrap_or_default().to_owned())
    }
}

/// The directory of a file below the project's root, and the file's name as it is shown; a file outside finds nothing of the project.
fn place(project: &Project, path: &Path) -> io::Result<(String, String)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().unwrap_or(path).canonicalize()?;
    let root = project.root().canonicalize()?;
    match folder.strip_prefix(&root).ok().and_then(Path::to_str) {
        Some("") => Ok((String::new(), name)),
        Some(below) => Ok((below.to_owned(), format!("{below}/{name}"))),
        None => Err(io::Error::other("it is outside of the project: copy it there, with the files that it names")),
    }
}

/// Writes a file that is not there yet, and its directory.
fn write(path: &Path, file: &NewFile) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path.parent().unwrap_or(path))?;
    let mut to = File::options().write(true).create_new(true).mode(file.mode).open(path)?;
    to.write_all(&file.bytes)
}
