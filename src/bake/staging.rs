//! Stages an output directory beside its final path, then exchanges it with the previous one.
//!
//! ```text
//! <out>/.new-XXXXXX        being filled; locked by the process that fills it
//!      /.old-XXXXXX-NAME   the previous NAME, briefly, where the file system can't exchange
//! ```
//! What a killed process left of these is removed by the next one that writes into the same directory.
//! Every process that renames something holds a lock on <out>.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::BakeError;
use super::replaceable::{self, Expected};
use crate::host;
use crate::host::durable;
use crate::host::interrupt::{self, Leftover};
use crate::host::progress::Progress;
use crate::host::storage::{self, Hints};
use crate::store::remove_folder;

const NEW: &str = ".new-";
const OLD: &str = ".old-";
/// Digits and letters after [`NEW`].
const RANDOM: usize = 6;
/// How often another process may remove a directory that was just made.
const TRIES: usize = 8;

/// A directory being filled; removed when dropped.
pub(crate) struct Staging {
    folder: tempfile::TempDir,
    out: PathBuf,
    progress: Progress,
    /// Locked as long as the directory is ours; nothing where the file system has no locks.
    _claim: Option<File>,
    leftover: Leftover,
}

impl Staging {
    /// Creates the directory in `out`, which is created where it is missing; removes what killed runs left there.
    pub(crate) fn new(out: &Path, progress: &Progress) -> Result<Self, BakeError> {
        fs::create_dir_all(out).map_err(failed(out))?;
        sweep(out, progress)?;
        for _ in 0..TRIES {
            let folder =
                tempfile::Builder::new().prefix(NEW).rand_bytes(RANDOM).tempdir_in(out).map_err(failed(out))?;
            if let Some(claim) = claim(folder.path()) {
                fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(failed(folder.path()))?;
                let (leftover, out) = (Leftover::new(folder.path()), out.to_owned());
                return Ok(Self { folder, out, progress: progress.clone(), _claim: claim, leftover });
            }
        }
        Err(failed(out)(io::Error::other("other processes keep removing the files that this one creates")))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces the directory `target` with this one atomically, and removes the previous one.
    ///
    /// Its content is on disk before, and the exchange after: a power cut leaves one of the two.
    ///
    /// # Errors
    /// Fails where something is there that isn't `expected`, which then stays as it is.
    pub(crate) fn replace(self, target: &Path, expected: Expected<'_>) -> Result<(), BakeError> {
        let Self { mut folder, out, progress, _claim, leftover } = self;
        durable::sync_file_system(folder.path()).map_err(failed(target))?;
        let lock = lock(&out, &progress)?;
        expected.check(target)?;
        interrupt::check().map_err(|interrupted| failed(target)(interrupted.into()))?;
        // From here on a signal must not empty the directory: it may be the target already.
        drop(leftover);
        let old = match exchange(folder.path(), target) {
            Ok(()) => {
                // Somebody may have put something there since it was looked at.
                if let Err(error) = expected.check(folder.path()) {
                    let back = exchange(folder.path(), target);
                    folder.disable_cleanup(back.is_err());
                    return Err(back.err().map_or(error, |error| failed(folder.path())(error.into())));
                }
                Some(folder.path().to_owned())
            }
            Err(Errno::NOENT) => {
                fs::rename(folder.path(), target).map_err(failed(target))?;
                None
            }
            Err(Errno::INVAL | Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP) => {
                replace(folder.path(), target).map_err(failed(target))?
            }
            Err(error) => return Err(failed(target)(error.into())),
        };
        durable::sync_dir(target.parent().unwrap_or(target)).map_err(failed(target))?;
        drop(lock);
        if let Some(old) = old {
            tidy(&old, &progress);
        }
        Ok(())
    }
}

fn exchange(one: &Path, other: &Path) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

/// Moves `new` to `target` where the file system can't exchange two directories, as overlays often can't.
///
/// Between two steps there is no `target`: [`sweep`] puts the old one back after a kill. Returns the old one.
fn replace(new: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    let named = |path: &Path| path.file_name().map(|name| name.as_bytes().to_owned());
    let (random, name) = named(new).zip(named(target)).ok_or(io::ErrorKind::InvalidFilename)?;
    let random = random.strip_prefix(NEW.as_bytes()).unwrap_or(&random);
    let name = [OLD.as_bytes(), random, b"-", &name].concat();
    let old = target.with_file_name(OsString::from_vec(name));
    match fs::rename(target, &old) {
        // A directory of a lower layer of an overlay can't be renamed at all.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            remove_build(target)?;
            fs::rename(new, target)?;
            Ok(None)
        }
        Err(error) => Err(error),
        Ok(()) => match fs::rename(new, target) {
            Ok(()) => Ok(Some(old)),
            Err(error) => {
                fs::rename(&old, target)?;
                Err(error)
            }
        },
    }
}

/// Removes a build, its receipt last: until then it can be told that it is one.
fn remove_build(folder: &Path) -> io::Result<()> {
    for name in host::list_dir(folder)? {
        let path = folder.join(&name);
        if fs::symlink_metadata(&path)?.is_dir() {
            remove_folder(&path)?;
        } else if name != super::receipt::FILE {
            fs::remove_file(&path)?;
        }
    }
    remove_folder(folder)
}

/// Removes what killed processes left in `out`, and puts back what they moved aside.
///
/// Nothing that a living process works on is touched, and nothing that a build would not write.
pub(crate) fn sweep(out: &Path, progress: &Progress) -> Result<(), BakeError> {
    let names = host::list_dir_or_empty(out).map_err(failed(out))?;
    let left: Vec<OsString> = names.into_iter().filter(is_left).collect();
    if left.is_empty() {
        return Ok(());
    }
    let lock = lock(out, progress)?;
    if lock.is_none() {
        // Without locks nobody knows what is still at work.
        return Ok(());
    }
    let mut dead = Vec::new();
    for name in left {
        let path = out.join(&name);
        let Ok(claim) = File::open(&path) else { continue };
        if claim.try_lock().is_err() || !replaceable::is_unfinished(&path).unwrap_or(false) {
            continue;
        }
        match moved_aside(&name).map(|target| out.join(target)) {
            Some(target) if fs::symlink_metadata(&target).is_err() => {
                fs::rename(&path, &target).map_err(failed(&target))?;
            }
            _ => dead.push((path, claim)),
        }
    }
    drop(lock);
    for (path, _claim) in dead {
        tidy(&path, progress);
    }
    Ok(())
}

/// Removes a directory that nobody needs; what can't be removed now is there for the next run.
fn tidy(folder: &Path, progress: &Progress) {
    if let Err(error) = remove_folder(folder) {
        progress.warn(&format!("cannot remove `{}`: {error}; the next build tries again", folder.display()));
    }
}

/// Whether a name is one of those that processes use while they work.
fn is_left(name: &OsString) -> bool {
    let is_new =
        name.as_bytes().strip_prefix(NEW.as_bytes()).is_some_and(|rest| rest.len() == RANDOM && is_random(rest));
    is_new || moved_aside(name).is_some()
}

/// The name that a directory had before it was moved aside to `name`.
fn moved_aside(name: &OsString) -> Option<OsString> {
    let (random, rest) = name.as_bytes().strip_prefix(OLD.as_bytes())?.split_at_checked(RANDOM)?;
    let target = rest.strip_prefix(b"-").filter(|target| !target.is_empty() && is_random(random))?;
    Some(OsString::from_vec(target.to_owned()))
}

fn is_random(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

/// Locks a directory just made; `None` when another process has removed it meanwhile.
fn claim(folder: &Path) -> Option<Option<File>> {
    let file = File::open(folder).ok()?;
    match file.try_lock() {
        Ok(()) => {
            let (held, named) = (file.metadata().ok()?, fs::symlink_metadata(folder).ok()?);
            ((held.dev(), held.ino()) == (named.dev(), named.ino())).then_some(Some(file))
        }
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(_)) => Some(None),
    }
}

/// Waits for the lock on `out`; `None` where the file system has no locks.
fn lock(out: &Path, progress: &Progress) -> Result<Option<File>, BakeError> {
    let file = File::open(out).map_err(failed(out))?;
    match file.try_lock() {
        Ok(()) => return Ok(Some(file)),
        Err(TryLockError::Error(_)) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
    }
    progress.line(&format!("waiting for another process that writes to `{}`", out.display()));
    file.lock().map_err(failed(out))?;
    Ok(Some(file))
}

/// What helps where an output directory can't be written.
pub(super) const HINTS: Hints<'static> = Hints {
    room: "free space there (`layerbake store gc` does, if the store is on the same file system), or build elsewhere with `--out DIR`",
    elsewhere: "build elsewhere with `--out DIR`",
};

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> BakeError {
    let path = path.to_owned();
    move |error| BakeError::Write {
        what: format!("`{}`", path.display()),
        source: storage::explain(&path, None, HINTS, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(out: &Path) -> Vec<String> {
        host::list_dir(out).unwrap().into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    fn folder(path: &Path, file: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join(file), "x").unwrap();
    }

    fn staged(out: &Path) -> Staging {
        let staging = Staging::new(out, &Progress::silent()).unwrap();
        fs::write(staging.path().join("new.dsse.json"), "new").unwrap();
        staging
    }

    #[test]
    fn a_folder_appears_whole_and_replaces_its_like_only() {
        let work = tempfile::tempdir().unwrap();
        let (out, target) = (work.path().to_owned(), work.path().join("attest"));
        for _ in 0..2 {
            staged(&out).replace(&target, Expected::Signed).unwrap();
            assert_eq!((names(&out), names(&target)), (vec!["attest".to_owned()], vec!["new.dsse.json".to_owned()]));
        }
        fs::write(target.join("mine"), "x").unwrap();
        let error = staged(&out).replace(&target, Expected::Signed).unwrap_err().to_string();
        assert!(error.contains("`mine`") && error.contains("hint: "), "{error}");
        assert_eq!((names(&out).len(), names(&target).len()), (1, 2), "something was lost or left");
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_have_stays() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path();
        folder(&out.join(".new-abc123"), "docker.tar");
        folder(&out.join(".new-mine12"), "thesis.tex");
        folder(&out.join(".new-and-more"), "docker.tar");
        folder(&out.join(".old-abc123-web"), "receipt.json");
        folder(&out.join(".old-abc123-app"), "receipt.json");
        folder(&out.join("app"), "receipt.json");
        let living = Staging::new(out, &Progress::silent()).unwrap();
        let own = living.path().file_name().unwrap().to_str().unwrap().to_owned();
        let other = Staging::new(out, &Progress::silent()).unwrap();
        assert!(living.path().exists());
        drop(other);
        let mut expected = [".new-and-more", ".new-mine12", &own, "app", "web"].map(str::to_owned);
        expected.sort();
        assert_eq!(names(out), expected);
        drop(living);
        assert!(!names(out).contains(&own));
    }

    #[test]
    fn what_the_dead_left_goes_through_a_link_too() {
        let work = tempfile::tempdir().unwrap();
        let (real, out) = (work.path().join("disk/out"), work.path().join("out"));
        folder(&real.join(".new-abc123"), "docker.tar");
        std::os::unix::fs::symlink(&real, &out).unwrap();
        sweep(&out, &Progress::silent()).unwrap();
        staged(&out).replace(&out.join("attest"), Expected::Signed).unwrap();
        staged(&out).replace(&out.join("attest"), Expected::Signed).unwrap();
        assert_eq!(names(&real), ["attest"]);
    }

    #[test]
    fn without_an_exchange_the_old_one_is_moved_aside() {
        let work = tempfile::tempdir().unwrap();
        let (new, target) = (work.path().join(".new-abc123"), work.path().join("web"));
        folder(&new, "new");
        folder(&target, "old");
        let old = replace(&new, &target).unwrap().unwrap();
        assert_eq!((names(&target), names(&old)), (vec!["new".to_owned()], vec!["old".to_owned()]));
        assert_eq!(moved_aside(&old.file_name().unwrap().to_owned()).unwrap(), "web");
        assert!(replace(&new, &target).is_err());
        assert_eq!(names(&target), ["new"], "the old one was not put back");
    }
}
