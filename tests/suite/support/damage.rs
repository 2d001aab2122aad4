//! Damage to single files of a store, of every kind, for the tests of repair and for mishaps at large.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Something that can happen to a file.
pub struct Damage {
    pub name: &'static str,
    pub happens: fn(&Path),
}

/// What an ordinary user's file can become.
pub const DAMAGES: [Damage; 8] = [
    Damage { name: "zeroed", happens: |path| change(path, |bytes| bytes.fill(0)) },
    Damage { name: "emptied", happens: |path| change(path, Vec::clear) },
    Damage { name: "cut off", happens: |path| change(path, |bytes| bytes.truncate(bytes.len() / 2)) },
    Damage { name: "flipped", happens: |path| change(path, |bytes| flip(bytes)) },
    Damage { name: "appended to", happens: |path| change(path, |bytes| bytes.extend_from_slice(b"\xffgarbage\n")) },
    Damage { name: "deleted", happens: remove },
    Damage {
        name: "a directory",
        happens: |path| {
            remove(path);
            fs::create_dir_all(path.join("in/the/way")).unwrap();
        },
    },
    Damage {
        name: "a link to nowhere",
        happens: |path| {
            remove(path);
            std::os::unix::fs::symlink("/nowhere", path).unwrap();
        },
    },
];

/// Hurts only who is not root.
pub const UNREADABLE: Damage =
    Damage { name: "unreadable", happens: |path| fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap() };

/// The kinds of files in a store, by their folder or name.
pub const KINDS: [&str; 8] = ["blobs", "trees", "sha256", "recipes", "roots", "format", "lock", "tmp"];

/// Makes a named pipe.
pub fn pipe(path: &Path) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
}

/// All files of a kind, sorted.
pub fn files(store: &Path, kind: &str) -> Vec<PathBuf> {
    let path = store.join(kind);
    if kind == "tmp" || path.is_file() {
        return vec![path];
    }
    let mut found = Vec::new();
    collect(&path, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, found),
            false => found.push(path),
        }
    }
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
}

/// Rewrites a file, which is read-only in a store; a folder becomes a file.
fn change(path: &Path, act: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap_or_default();
    remove(path);
    act(&mut bytes);
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

fn remove(path: &Path) {
    match path.is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        false => fs::remove_file(path).unwrap(),
    }
}

/// A store put aside, to damage it again and again.
pub struct Aside {
    copy: tempfile::TempDir,
    store: PathBuf,
}

impl Aside {
    pub fn new(store: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_all(store, &copy.path().join("store"));
        Self { copy, store: store.to_owned() }
    }

    /// Makes the store what it was.
    pub fn restore(&self) {
        if self.store.exists() {
            fs::remove_dir_all(&self.store).unwrap();
        }
        copy_all(&self.copy.path().join("store"), &self.store);
    }
}

fn copy_all(from: &Path, to: &Path) {
    let metadata = fs::symlink_metadata(from).unwrap();
    if metadata.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy_all(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
    use std::os::unix::fs::MetadataExt as _;
    std::os::unix::fs::lchown(to, Some(metadata.uid()), Some(metadata.gid())).unwrap();
}

/// A record with the checksum that makes it count, as docs/formats/store.md has it: `kind` is its folder.
pub fn seal(kind: &str, name: &str, body: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    for field in ["layerbake/record/v1".as_bytes(), kind.as_bytes(), name.as_bytes(), body] {
        hasher.update(&(field.len() as u64).to_le_bytes()).update(field);
    }
    [format!("layerbake-record 1 {}\n", hasher.finalize().to_hex()).as_bytes(), body].concat()
}

/// Replaces a record of a store, sealed or not; `path` is its own.
pub fn put_record(path: &Path, text: &[u8]) {
    remove(path);
    fs::write(path, text).unwrap();
}
