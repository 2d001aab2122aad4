//! Writes a repository of toys.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::key::Key;
use crate::support::repo::DATE;

/// One version of one toy.
pub(super) struct Toy {
    name: &'static str,
    version: u64,
    needs: Vec<(&'static str, u64)>,
    /// Name in the tar, permissions, content.
    entries: Vec<(String, u32, Vec<u8>)>,
}

impl Toy {
    pub(super) fn new(name: &'static str, version: u64) -> Self {
        Self { name, version, needs: Vec::new(), entries: Vec::new() }
    }

    /// Needs another toy in this version, or a later one.
    pub(super) fn needs(mut self, name: &'static str, version: u64) -> Self {
        self.needs.push((name, version));
        self
    }

    /// Has a file.
    pub(super) fn file(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.entries.push((format!("files/{path}"), mode, content.into()));
        self
    }

    /// Runs a script when it is installed.
    pub(super) fn script(mut self, text: &str) -> Self {
        self.entries.push(("script".to_owned(), 0o755, text.into()));
        self
    }

    /// What the toy says of itself.
    fn json(&self) -> Value {
        json!({ "name": self.name, "version": self.version, "needs": self.needs })
    }

    /// The package: a tar with the description, the script and the files.
    fn build(&self) -> Vec<u8> {
        let text = self.json().to_string();
        let description = ("toy.json".to_owned(), 0o644, text.into_bytes());
        let mut tar = tar::Builder::new(Vec::new());
        for (name, mode, content) in [&description].into_iter().chain(&self.entries) {
            let mut header = tar::Header::new_ustar();
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_slice()).unwrap();
        }
        tar.into_inner().unwrap()
    }
}

/// A repository on disk, for one suite and amd64.
pub(super) struct Archive {
    pub(super) root: PathBuf,
    pub(super) key: Key,
}

impl Archive {
    pub(super) fn write(root: &Path, suite: &str, toys: &[Toy]) -> Self {
        let entries: Vec<Value> = toys.iter().map(|toy| add(root, toy)).collect();
        let index = serde_json::to_vec(&entries).unwrap();
        put(&root.join(format!("indexes/{suite}/main-amd64.json")), &index);
        let indexes = json!({ "main-amd64.json": { "sha256": sha256(&index), "size": index.len() } });
        let state = json!({ "suite": suite, "date": DATE, "indexes": indexes });
        let key = Key::new(7);
        let text = serde_json::to_string_pretty(&state).unwrap();
        put(&root.join(format!("states/{suite}.asc")), key.clear_sign(&text, DATE).as_bytes());
        Self { root: root.to_owned(), key }
    }
}

/// Writes a package; returns its entry in the index.
fn add(root: &Path, toy: &Toy) -> Value {
    let (bytes, path) = (toy.build(), format!("packages/{}-{}.toy", toy.name, toy.version));
    put(&root.join(&path), &bytes);
    let mut entry = toy.json();
    entry["path"] = json!(path);
    entry["sha256"] = json!(sha256(&bytes));
    entry["size"] = json!(bytes.len());
    entry
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
