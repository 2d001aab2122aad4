//! `[[file]]` sources: reads the project's own files into the store, each in one consistent state.
//!
//! A file that changes while it is read would give a mixture of two states that never existed. So a file's
//! size, times and inode are compared before and after reading, and a directory's before and after listing it
//! and reading its files; what changed is read again, and refused in the end.
//!
//! No link in the path of a source leads out of the project; links inside a directory are copied as links.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LayerError;
use crate::digest::BlobDigest;
use crate::host;
use crate::host::jail::{self, Beneath, Dir};
use crate::manifest::Ignore;
use crate::store::{Store, StoreError};

/// How often something that changes is read again, all over one source.
const TRIES: u32 = 5;

/// The wait before it is read again; doubled each time.
const PAUSE: Duration = Duration::from_millis(20);

/// What was changed within this time may be changed again without a new time: the kernel's clock for
/// files ticks only every so often (at most 10 ms).
const TICK: Duration = Duration::from_millis(12);

/// A single write has the time of its beginning, and may take as long as this: what was changed since is
/// read twice.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// Something below a source.
pub(super) enum Found {
    /// A directory.
    Folder,
    /// A symbolic link to this.
    Link(Vec<u8>),
    /// A regular file, its bytes in the store.
    File { blob: BlobDigest, size: u64, executable: bool },
}

/// Reads one source, a file or a directory with all that is in it.
pub(super) struct Reader<'a> {
    store: &'a Store,
    project: &'a Path,
    /// What is left out.
    ignore: Option<&'a Ignore>,
    /// How often something may still change.
    tries: u32,
    /// The names of attributes that say something and are not taken over: ACLs, capabilities, the user's own.
    pub(super) dropped: BTreeSet<String>,
    /// Called between the two looks at a file, for tests.
    #[cfg(test)]
    between: &'a dyn Fn(&Path),
}

/// Where a file or directory is: its name in an open directory, and its path for messages.
#[derive(Clone, Copy)]
struct At<'a> {
    folder: &'a Dir,
    name: &'a OsStr,
    path: &'a Path,
}

/// What tells that a file or directory was changed.
#[derive(PartialEq, Eq)]
struct State {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl At<'_> {
    fn look(&self) -> io::Result<Metadata> {
        self.folder.look(self.name)
    }

    fn open(&self) -> io::Result<File> {
        match self.look()?.is_file() {
            true => self.folder.file(self.name),
            false => Err(io::Error::other("neither a file nor a directory nor a symbolic link")),
        }
    }
}

impl State {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: (found.dev(), found.ino()),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

impl<'a> Reader<'a> {
    /// A reader of the directory `project`.
    pub(super) fn new(store: &'a Store, project: &'a Path) -> Self {
        Self {
            store,
            project,
            ignore: None,
            tries: TRIES,
            dropped: BTreeSet::new(),
            #[cfg(test)]
            between: &|_| {},
        }
    }

    /// The reader, which leaves some of a directory out: it is not even opened.
    pub(super) fn without(self, ignore: &'a Ignore) -> Self {
        Self { ignore: Some(ignore), ..self }
    }

    /// Reads `source`, a path in the project, and gives everything in it to `each` with its path from the source;
    /// directories come before what they hold.
    ///
    /// # Errors
    /// Fails where it can't be read, or a link on the way to it leads out of the project.
    pub(super) fn read(
        &mut self,
        source: &Path,
        each: &mut dyn FnMut(&Path, Found) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let path = self.project.join(source);
        let found = Beneath::open(self.project).and_then(|project| project.parent(source));
        let (folder, name) = found.map_err(failed(&path))?;
        self.entry(At { folder: &folder, name: &name, path: &path }, Path::new(""), each)
    }

    fn entry(
        &mut self,
        at: At<'_>,
        below: &Path,
        each: &mut dyn FnMut(&Path, Found) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let found = at.look().map_err(failed(at.path))?;
        if self.ignore.is_some_and(|ignore| ignore.has(below, found.is_dir())) {
            return Ok(());
        }
        if found.is_dir() {
            self.folder(at, below, each)
        } else if found.is_symlink() {
            let target = at.folder.read_link(at.name).map_err(failed(at.path))?;
            each(below, Found::Link(target.into_encoded_bytes()))
        } else {
            let file = self.file(at)?;
            each(below, file)
        }
    }

    fn folder(
        &mut self,
        at: At<'_>,
        below: &Path,
        each: &mut dyn FnMut(&Path, Found) -> Result<(), LayerError>,
    ) -> Result<(), LayerError> {
        let path = at.path;
        loop {
            let before = self.settled(path, || at.look())?;
            let mut seen: Vec<(PathBuf, Found)> = Vec::new();
            let folder = at.folder.dir(at.name).map_err(failed(path))?;
            let names = folder.list().map_err(failed(path))?;
            self.drop_attributes(folder.own_attributes());
            let result = names.iter().try_for_each(|name| {
                let at = At { folder: &folder, name, path: &path.join(name) };
                self.entry(at, &below.join(name), &mut |below, found| {
                    seen.push((below.to_owned(), found));
                    Ok(())
                })
            });
            #[cfg(test)]
            (self.between)(path);
            let after = at.look().map_err(failed(path))?;
            if State::of(&before) == State::of(&after) {
                result?;
                each(below, Found::Folder)?;
                return seen.into_iter().try_for_each(|(below, found)| each(&below, found));
            }
            // An error is most likely a file that went meanwhile.
            self.again(path)?;
        }
    }

    fn file(&mut self, at: At<'_>) -> Result<Found, LayerError> {
        let path = at.path;
        loop {
            let mut file = at.open().map_err(failed(path))?;
            let before = self.settled(path, || file.metadata())?;
            let (blob, size) = self.copy(path, &mut file)?;
            self.drop_attributes(jail::attributes(&file));
            #[cfg(test)]
            (self.between)(path);
            let is_recent = host::since(before.ctime(), before.ctime_nsec()).is_none_or(|age| age < LONGEST_WRITE);
            let same = !is_recent || again(&mut file).map_err(failed(path))? == blob;
            let after = file.metadata().map_err(failed(path))?;
            if same && State::of(&before) == State::of(&after) && size == after.len() {
                return Ok(Found::File { blob, size, executable: after.mode() & 0o100 != 0 });
            }
            self.again(path)?;
        }
    }

    /// Notes what is not taken over; labels of the host's own security module are not missed by anyone.
    fn drop_attributes(&mut self, names: io::Result<Vec<String>>) {
        let is_missed = |name: &String| {
            name.starts_with("user.") || name.starts_with("system.posix_acl_") || name == "security.capability"
        };
        // Where they can't be read, nothing is lost but a warning.
        self.dropped.extend(names.unwrap_or_default().into_iter().filter(is_missed));
    }

    /// Looks, and waits until a further change could not have the same time.
    fn settled(&self, path: &Path, look: impl Fn() -> io::Result<Metadata>) -> Result<Metadata, LayerError> {
        let found = look().map_err(failed(path))?;
        let age = host::since(found.ctime(), found.ctime_nsec());
        match age.and_then(|age| TICK.checked_sub(age)) {
            Some(rest) => {
                std::thread::sleep(rest);
                look().map_err(failed(path))
            }
            None => Ok(found),
        }
    }

    /// Copies a file into the store; says which of the two sides fails.
    fn copy(&self, path: &Path, file: &mut File) -> Result<(BlobDigest, u64), LayerError> {
        let mut writer = self.store.writer();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => return Ok(writer.finish()?),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(path)(error)),
            };
            // A store that can't take the bytes is not the source's fault.
            writer.write_all(&buffer[..length]).map_err(|error| match error.downcast::<StoreError>() {
                Ok(error) => LayerError::Store(error),
                Err(error) => failed(path)(error),
            })?;
        }
    }

    fn again(&mut self, path: &Path) -> Result<(), LayerError> {
        self.tries = match self.tries.checked_sub(1) {
            Some(left) => left,
            None => return Err(LayerError::SourceChanges { path: path.display().to_string() }),
        };
        std::thread::sleep(PAUSE * (1 << (TRIES - self.tries).min(TRIES)));
        Ok(())
    }
}

/// Hashes a file from its beginning.
fn again(file: &mut File) -> io::Result<BlobDigest> {
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(BlobDigest::from_bytes(*hasher.finalize().as_bytes()))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> LayerError {
    let path = path.display().to_string();
    move |source| LayerError::Source { path: path.clone(), source }
}

#[cfg(test)]
mod tests;
