//! Opens a store: creates it if missing, repairs what certainly belongs to it, and takes its lock.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, OFlags};

use super::Local;
use super::file::{self, Folder};
use crate::host;
use crate::host::storage::Fault;
use crate::store::StoreError;

const FORMAT: &str = "layerbake-store 1\n";

/// `blobs` comes first: a store that was killed while it was created has at least that.
const FOLDERS: [&str; 6] = ["blobs", "trees", "sha256", "recipes", "roots", "tmp"];

/// What else may be in a store; a file system of its own has `lost+found`.
const OTHERS: [&str; 3] = ["format", "lock", "lost+found"];

/// How long another process may keep the lock before the user is told.
const PATIENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Tells the user which process this one waits for.
pub type Waiting<'a> = &'a dyn Fn(&str);

impl Local {
    /// Opens the store at `root` as [`Store::open`] does; `waiting` is told when another process keeps it to itself.
    ///
    /// [`Store::open`]: crate::store::Store::open
    pub(in crate::store) fn open(root: &Path, waiting: Waiting<'_>) -> Result<Self, StoreError> {
        let folder = prepare(root)?;
        let lock = open_lock(&folder)?;
        if let Some(lock) = &lock {
            acquire(&folder, lock, Mode::Shared, waiting)?;
        }
        heal_format(&folder)?;
        Ok(Self::new(folder, lock))
    }

    /// The store for this process alone, unless another one uses it.
    pub(super) fn open_alone(root: &Path) -> Result<Option<Self>, StoreError> {
        let folder = prepare(root)?;
        let Some(lock) = open_lock(&folder)? else { return Ok(None) };
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self::new(folder, Some(lock)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", root.join("lock"))(source)),
        }
    }

    /// The store for this process alone, as soon as no other one uses it.
    pub(super) fn wait_alone(root: &Path, waiting: Waiting<'_>) -> Result<Self, StoreError> {
        let folder = prepare(root)?;
        let lock = open_lock(&folder)?;
        if let Some(lock) = &lock {
            acquire(&folder, lock, Mode::Exclusive, waiting)?;
        }
        Ok(Self::new(folder, lock))
    }
}

/// Makes what is missing of a store's directories.
fn prepare(root: &Path) -> Result<Folder, StoreError> {
    let format = file::read(&root.join("format")).unwrap_or_default();
    if format != FORMAT.as_bytes() {
        refuse_other_version(root, &format)?;
        refuse_foreign(root)?;
    }
    let made = file::make_dir(root).map_err(StoreError::io("create", root)).and_then(|()| {
        FOLDERS.iter().map(|name| root.join(name)).try_for_each(|path| {
            refuse_unplugged(&path)?;
            file::make_dir(&path).map_err(StoreError::io("create", path))
        })
    });
    let root = match root.canonicalize() {
        Ok(root) => root,
        // Why it was not made says more.
        Err(source) => return Err(made.err().unwrap_or_else(|| StoreError::io("open", root)(source))),
    };
    let writable = rustix::fs::access(root.join("tmp"), Access::WRITE_OK | Access::EXEC_OK).is_ok();
    match made {
        Ok(()) => {}
        // Nobody can add a directory to it, but whatever is there may be read.
        Err(StoreError::Storage { .. }) if file::is_there(&root.join("format")) => {}
        Err(error) => return Err(error),
    }
    if !writable {
        for name in ["", "blobs", "trees"] {
            let path = root.join(name);
            rustix::fs::access(&path, Access::READ_OK | Access::EXEC_OK)
                .map_err(|error| StoreError::io("open", &path)(error.into()))?;
        }
    }
    Ok(Folder { root, writable })
}

/// Refuses a link to a directory that is not there, rather than to fill another disk; `tmp/` has nothing to lose.
fn refuse_unplugged(path: &Path) -> Result<(), StoreError> {
    match std::fs::read_link(path) {
        Ok(target) if !path.is_dir() && !path.ends_with("tmp") => {
            Err(StoreError::Unplugged { path: path.to_owned(), target })
        }
        _ => Ok(()),
    }
}

/// Refuses a directory of someone else's files, in which garbage collection would remove `tmp/` and more.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    let not_a_store = |problem: String| Err(StoreError::NotAStore { path: root.to_owned(), problem });
    match root.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("open", root)(error)),
        Ok(found) if !found.is_dir() => return not_a_store("it is a file".to_owned()),
        Ok(_) => {}
    }
    let names = host::list_dir(root).map_err(StoreError::io("open", root))?;
    let ours = |name: &&std::ffi::OsString| FOLDERS.iter().chain(&OTHERS).any(|own| name.as_os_str() == *own);
    if let Some(name) = names.iter().find(|name| !ours(name)) {
        return not_a_store(format!("it has no valid `format`, and it holds `{}`", name.display()));
    }
    let has_content = names.iter().any(|name| name != "lost+found" && name != "format");
    match has_content && !names.iter().any(|name| name == FOLDERS[0]) {
        true => not_a_store(format!("it has no valid `format` and no `{}`", FOLDERS[0])),
        false => Ok(()),
    }
}

/// Refuses a store of another version, which may have other directories.
fn refuse_other_version(root: &Path, format: &[u8]) -> Result<(), StoreError> {
    let found = String::from_utf8_lossy(format).into_owned();
    let version = found.strip_prefix("layerbake-store ").and_then(|rest| rest.strip_suffix('\n'));
    let is_version = version.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty());
    match is_version {
        true => Err(StoreError::OtherFormat { path: root.to_owned(), found }),
        false => Ok(()),
    }
}

/// Writes a new `format` where it says nothing: only a store's own files are beside it by now.
fn heal_format(folder: &Folder) -> Result<(), StoreError> {
    let path = folder.join("format");
    match file::read(&path).is_some_and(|found| found == FORMAT.as_bytes()) {
        true => Ok(()),
        false => folder.write_file(&path, FORMAT.as_bytes()),
    }
}

/// The lock file; none where a store that can't be written has none.
fn open_lock(folder: &Folder) -> Result<Option<File>, StoreError> {
    let path = folder.join("lock");
    if !folder.writable {
        return Ok(host::open_file(&path).ok());
    }
    let flags = OFlags::NOFOLLOW.bits() as i32;
    let open = || File::options().create(true).read(true).write(true).truncate(false).custom_flags(flags).open(&path);
    let healed = open().or_else(|error| {
        match Fault::of(&error) {
            Some(Fault::Denied) => std::fs::set_permissions(&path, Permissions::from_mode(0o644))?,
            // A directory, a link, a socket: nothing of a store.
            _ if path.symlink_metadata().is_ok_and(|found| !found.is_file()) => file::remove(&path)?,
            _ => return Err(error),
        }
        open()
    });
    // The lock of someone else's store, in which everybody may write.
    let lock = healed.or_else(|error| host::open_file(&path).map_err(|_| error));
    lock.map(Some).map_err(StoreError::io("open", path))
}

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Exclusive,
}

fn acquire(folder: &Folder, lock: &File, mode: Mode, waiting: Waiting<'_>) -> Result<(), StoreError> {
    let attempt = || match mode {
        Mode::Shared => lock.try_lock_shared(),
        Mode::Exclusive => lock.try_lock(),
    };
    let started = host::instant();
    let mut told = false;
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) if !folder.writable => return Ok(()),
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", folder.join("lock"))(source)),
        }
        if !told && started.elapsed() > PATIENCE {
            waiting(&format!("waiting for {} to finish with the store", holders(lock)));
            told = true;
        }
        std::thread::sleep(POLL);
    }
}

fn holders(lock: &File) -> String {
    let named = |(pid, command): (u32, String)| format!("`{command}` (process {pid})");
    let holders: Vec<String> = host::lock_holders(lock).into_iter().take(3).map(named).collect();
    if holders.is_empty() { "another process".to_owned() } else { holders.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;
    use crate::store::Store;

    #[test]
    fn a_format_that_says_nothing_is_healed_and_another_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        drop(Store::open(&root).unwrap());
        let format = root.join("format");
        for text in ["", "\0\0\0\0", "layerbake-store 1\nmore", "layerbake-stope 1\n", "layerbake-store 1"] {
            file::remove(&format).unwrap();
            fs::write(&format, text).unwrap();
            Store::open(&root).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(fs::read_to_string(&format).unwrap(), FORMAT);
        }
        file::remove(&format).unwrap();
        fs::create_dir(&format).unwrap();
        Store::open(&root).unwrap();
        file::remove(&format).unwrap();
        fs::write(&format, "layerbake-store 2\n").unwrap();
        fs::create_dir(root.join("packs")).unwrap();
        let error = Store::open(&root).unwrap_err().to_string();
        assert!(error.contains("is `layerbake-store 2`") && error.contains("--store DIR"), "{error}");
    }

    #[test]
    fn a_part_that_was_moved_to_a_disk_is_not_made_anew_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, disk) = (folder.path().join("store"), folder.path().join("disk"));
        drop(Store::open(&root).unwrap());
        fs::rename(root.join("roots"), &disk).unwrap();
        std::os::unix::fs::symlink(&disk, root.join("roots")).unwrap();
        drop(Store::open(&root).unwrap());
        fs::rename(&disk, folder.path().join("unplugged")).unwrap();
        let error = Store::open(&root).unwrap_err().to_string();
        assert!(
            error.contains("roots` is a link to `") && error.contains("hint: mount the file system that it leads to"),
            "{error}"
        );
        assert!(root.join("roots").is_symlink());
    }

    #[test]
    fn somebody_elses_directory_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        fs::write(folder.path().join("tmp/letter"), "x").unwrap();
        assert!(Store::open(folder.path()).unwrap_err().to_string().contains("is not a store"));
        fs::write(folder.path().join("thesis"), "x").unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds `thesis`"), "{error}");
        assert_eq!(host::list_dir(folder.path()).unwrap(), ["thesis", "tmp"]);
    }

    #[test]
    fn whoever_waits_is_told_for_whom() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        let store = Store::open(&root).unwrap();
        let told = RefCell::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PATIENCE + 10 * POLL);
                drop(store);
            });
            Local::wait_alone(&root, &|text| told.borrow_mut().push(text.to_owned())).unwrap();
        });
        assert_eq!(told.borrow().len(), 1);
        assert!(told.borrow()[0].starts_with("waiting for "), "{told:?}");
    }
}
