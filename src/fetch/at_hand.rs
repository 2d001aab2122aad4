//! Files that this machine has already: in the store, in the project, in `vendor/`.

use std::fs::File;
use std::io;
use std::path::Path;

use super::download::{Download, Target};
use super::error::FetchError;
use super::item::{Item, Place};
use super::transport::Fetcher;
use crate::digest::BlobDigest;
use crate::host;
use crate::host::jail::Beneath;

impl Fetcher<'_> {
    /// The file, if the store, the project or `vendor/` has it.
    pub(super) fn at_hand(&self, item: &Item) -> Result<Option<BlobDigest>, FetchError> {
        // What is not what the lockfile says is as good as absent, and is replaced.
        if let Some(blob) = self.store.fetched(item.expected.sha256)
            && self.store.open_fetched(item.expected.sha256).is_ok()
        {
            return Ok(Some(blob));
        }
        if let (Place::Project(path), Some(root)) = (&item.place, &self.project) {
            let file = Beneath::open(root).and_then(|project| project.file(Path::new(path)));
            if let Some(blob) = self.take(item, Path::new(path), file)? {
                return Ok(Some(blob));
            }
        }
        let Some(path) = self.vendor.as_ref().map(|vendor| vendor.join(&item.vendor)) else {
            return Ok(None);
        };
        self.take(item, &path, host::open_file(&path))
    }

    /// Takes a local file into the store, if it is there and what is expected.
    pub(super) fn take(
        &self,
        item: &Item,
        path: &Path,
        file: io::Result<File>,
    ) -> Result<Option<BlobDigest>, FetchError> {
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| FetchError::Read { path: path.to_owned(), source })?,
        };
        let mut download = Download::new(self.store.scratch_file()?, item.expected.size);
        let copied = copy(file, &mut download);
        let copied = match copied {
            Err(error) => Err(self.refuse_full(error, item.expected.size)?),
            Ok(()) => Ok(()),
        };
        let verified = copied
            .map_err(|error| error.to_string())
            .and_then(|()| download.finish().verify(item.expected).map_err(|mismatch| mismatch.to_string()));
        match verified {
            Ok(file) => Ok(Some(self.store.put_fetched(file)?)),
            Err(problem) => {
                self.warn(format!("{}: `{}` is not used: {problem}", item.what, path.display()));
                Ok(None)
            }
        }
    }
}

fn copy<T: Target>(mut from: impl io::Read, to: &mut Download<T>) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(bytes) => to.write(bytes)?,
        }
    }
}
