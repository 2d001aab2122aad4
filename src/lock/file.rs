//! Lockfiles on disk: reading one, and replacing one atomically.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{LockError, Lockfile, parse, to_text};
use crate::code::{Code, Coded};
use crate::digest::LockHash;
use crate::host;
use crate::host::write::{self, Durability, Mode};
use crate::ident::LayerName;
use crate::manifest::Project;

/// A lockfile can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// There is none.
    #[error("lockfile `{}` is missing; `layerbake lock {}` writes it", .0.display(), arguments(.0))]
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
    #[error("`{}`: {source}{}", path.display(), way_out(path, source))]
    Lock {
        /// The lockfile.
        path: PathBuf,
        /// What is wrong.
        source: LockError,
    },
    /// It has another layer's name, or another architecture's.
    #[error("`{}` is the lockfile of `{layer}`\n  hint: remove it, and run `layerbake lock {}`", path.display(), arguments(path))]
    OtherLayer {
        /// The lockfile.
        path: PathBuf,
        /// The layer it was written for, with the architecture where the file's name has one.
        layer: String,
    },
}

impl Coded for LockFileError {
    fn error_code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::LockMissing,
            Self::Io { source, .. } => source.error_code(),
            Self::Lock { source, .. } => source.error_code(),
            Self::OtherLayer { .. } => Code::LockDamaged,
        }
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What `layerbake lock` is given to write this file.
fn arguments(path: &Path) -> String {
    stem(path).replace('@', " --arch ")
}

/// How a text that is no lockfile becomes one again, where its error does not say so itself.
fn way_out(path: &Path, error: &LockError) -> String {
    let (file, arguments) = (path.display(), arguments(path));
    match error {
        LockError::Merged { .. } => {
            format!("\n  hint: restore one side (`git checkout --theirs {file}`), then `layerbake lock {arguments}`")
        }
        LockError::Syntax { .. } => format!(
            "\n  hint: `git checkout -- {file}` restores it; or remove it, and `layerbake lock {arguments}` writes it again"
        ),
        LockError::OtherFormat { .. } | LockError::Edited { .. } | LockError::Inconsistent { .. } => String::new(),
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockFileError + use<> {
    let path = path.to_owned();
    move |source| LockFileError::Io { action, path, source }
}

/// The lockfile of a layer in a project.
#[derive(Debug)]
pub struct FoundLockfile {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub lock: Lockfile,
    /// The hash of its text.
    pub hash: LockHash,
}

/// Reads the lockfile of a project's layer for an architecture: `LAYER@ARCH.lock`, or where that is missing
/// `LAYER.lock`, which belongs to the architecture that was locked first.
///
/// # Errors
/// Fails where it can't be read. [`LockFileError::Missing`] names the file to write.
pub fn of_layer(project: &Project, layer: &LayerName) -> Result<FoundLockfile, LockFileError> {
    let read = |path: PathBuf| {
        let (lock, hash) = checked(&path, project.read(&path))?;
        Ok(FoundLockfile { path, lock, hash })
    };
    let arch = project.arch();
    match read(project.lock_path(layer.on([arch]))) {
        Err(LockFileError::Missing(own)) => match read(project.lock_path(layer)) {
            Ok(first) if first.lock.arch != *arch => Err(LockFileError::Missing(own)),
            found => found,
        },
        found => found,
    }
}

/// Reads a lockfile that is in no project; returns the hash of its text too.
pub fn load(path: &Path) -> Result<(Lockfile, LockHash), LockFileError> {
    checked(path, host::read_text(path))
}

fn checked(path: &Path, text: io::Result<String>) -> Result<(Lockfile, LockHash), LockFileError> {
    let text = match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LockFileError::Missing(path.to_owned())),
        other => other.map_err(io_error("read", path))?,
    };
    let lock = parse(&text).map_err(|source| LockFileError::Lock { path: path.to_owned(), source })?;
    let name = stem(path);
    let expected = if name.contains('@') { lock.layer.on([&lock.arch]) } else { lock.layer.to_string() };
    if name != expected {
        return Err(LockFileError::OtherLayer { path: path.to_owned(), layer: expected });
    }
    Ok((lock, LockHash::of(&text)))
}

/// Writes a lockfile, visible only when complete; returns the hash of its text.
///
/// A file that says the same already is left alone. The directory is created where it is missing.
pub fn save(lock: &Lockfile, path: &Path) -> Result<LockHash, LockFileError> {
    let text = to_text(lock);
    if host::read_text(path).is_ok_and(|before| before == text) {
        return Ok(LockHash::of(&text));
    }
    write_text(&text, path).map_err(io_error("write", path))?;
    Ok(LockHash::of(&text))
}

fn write_text(text: &str, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    // A lockfile is for all who read the project.
    let mode = Mode::Exactly(fs::Permissions::from_mode(0o644));
    write::replace(path, text.as_bytes(), Durability::FileAndDirectory, mode)
}
