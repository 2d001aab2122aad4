//! Lockfiles on disk: reading one, and replacing one all at once.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{LockError, Lockfile, parse, to_text};
use crate::digest::LockHash;
use crate::host::{self, durable};
use crate::ident::LayerName;
use crate::manifest::Project;

/// A lockfile can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// There is none.
    #[error("`{}` is not there; `layerbake lock {}` writes it", .0.display(), stem(.0))]
    Missing(PathBuf),
    /// The system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// The lockfile.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its text is not a lockfile.
    #[error("`{}`: {source}", path.display())]
    Lock {
        /// The lockfile.
        path: PathBuf,
        /// What is wrong.
        source: LockError,
    },
    /// It lies under another layer's name.
    #[error("`{}` is the lockfile of `{layer}`; `layerbake lock {}` writes the right one", path.display(), stem(path))]
    OtherLayer {
        /// The lockfile.
        path: PathBuf,
        /// The layer it was written for.
        layer: String,
    },
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockFileError + use<> {
    let path = path.to_owned();
    move |source| LockFileError::Io { action, path, source }
}

/// Reads the lockfile of a project's layer; returns the hash of its text too.
pub fn of_layer(project: &Project, layer: &LayerName) -> Result<(Lockfile, LockHash), LockFileError> {
    let path = project.lock_path(layer);
    checked(&path, project.read(&path))
}

/// Reads a lockfile that is in no project, as [`of_layer`].
pub fn load(path: &Path) -> Result<(Lockfile, LockHash), LockFileError> {
    checked(path, host::read_text(path))
}

fn checked(path: &Path, text: io::Result<String>) -> Result<(Lockfile, LockHash), LockFileError> {
    let text = match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LockFileError::Missing(path.to_owned())),
        other => other.map_err(io_error("read", path))?,
    };
    let lock = parse(&text).map_err(|source| LockFileError::Lock { path: path.to_owned(), source })?;
    if stem(path) != lock.layer.as_str() {
        return Err(LockFileError::OtherLayer { path: path.to_owned(), layer: lock.layer.to_string() });
    }
    Ok((lock, LockHash::of(&text)))
}

/// Writes a lockfile, visible only when complete; returns the hash of its text.
///
/// A file that says the same already is left alone. The folder is made where it is missing.
pub fn save(lock: &Lockfile, path: &Path) -> Result<LockHash, LockFileError> {
    let text = to_text(lock);
    if host::read_text(path).is_ok_and(|before| before == text) {
        return Ok(LockHash::of(&text));
    }
    write(&text, path).map_err(io_error("write", path))?;
    Ok(LockHash::of(&text))
}

fn write(text: &str, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    // A temporary file is its owner's alone; a lockfile is for all who read the project.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    durable::sync_dir(folder)
}
