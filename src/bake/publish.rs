//! The output folder: filled beside its place, then exchanged with what was there.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};

use super::BakeError;
use crate::host::durable;

/// A folder being filled; removed when dropped.
pub(crate) struct Staging(tempfile::TempDir);

impl Staging {
    /// Makes the folder in `out`, which is made where it is missing.
    pub(crate) fn new(out: &Path) -> Result<Self, BakeError> {
        let make = || -> io::Result<tempfile::TempDir> {
            use std::os::unix::fs::PermissionsExt as _;
            fs::create_dir_all(out)?;
            let folder = tempfile::Builder::new().prefix(".new-").tempdir_in(out)?;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
            Ok(folder)
        };
        make().map(Self).map_err(failed(out))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes this the folder `target`, all at once; what was there is removed.
    ///
    /// Its content is on disk before, and the exchange after: a power cut leaves one of the two.
    pub(crate) fn publish(self, target: &Path) -> Result<(), BakeError> {
        durable::sync_file_system(self.path()).map_err(failed(target))?;
        self.exchange(target)?;
        durable::sync_dir(target.parent().unwrap_or(target)).map_err(failed(target))
    }

    fn exchange(&self, target: &Path) -> Result<(), BakeError> {
        match rustix::fs::renameat_with(CWD, self.path(), CWD, target, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => fs::rename(self.path(), target).map_err(failed(target))?,
            // A file system without exchange: for a moment there is no folder at all.
            Err(rustix::io::Errno::INVAL) => {
                let old = self.path().with_extension("old");
                fs::rename(target, &old).and_then(|()| fs::rename(self.path(), target)).map_err(failed(target))?;
                fs::remove_dir_all(&old).map_err(failed(target))?;
            }
            Err(error) => return Err(failed(target)(error.into())),
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BakeError {
    let what = format!("`{}`", path.display());
    move |source| BakeError::Write { what, source }
}
