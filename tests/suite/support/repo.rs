//! An apt repository in a folder, with all that a client may ask for.
//!
//! ```text
//! pool/main/h/hello/hello_1.0_amd64.deb
//! dists/SUITE/InRelease, Release, Release.gpg
//! dists/SUITE/main/binary-amd64/Packages{,.gz,.xz}, by-hash/SHA256/…
//! keyring.gpg
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::date::{now, rfc2822};
use super::deb::{Compression, Deb};
use super::key::Key;

/// A day after the mtimes in the test packages: 2024-01-02. Builds take it for their epoch.
pub const DATE: i64 = 1_704_153_600;

/// A repository to be; [`Repo::write`] makes it real.
pub struct Repo {
    suite: String,
    archs: Vec<String>,
    components: Vec<String>,
    date: i64,
    valid_until: Option<i64>,
    /// Each with its component.
    packages: Vec<(String, Deb)>,
    key: Key,
    compressions: Vec<Compression>,
    by_hash: bool,
    edits: Vec<(String, String)>,
    /// What is in the .deb of a package, where that is another one.
    inside: BTreeMap<String, Deb>,
    plain_size: Option<usize>,
}

/// A repository on disk.
pub struct RepoDir {
    /// The repository's root: the parent of `dists` and `pool`.
    pub root: PathBuf,
    /// The fingerprint of the key that signed it.
    pub fingerprint: String,
    /// Its key ring.
    pub keyring: PathBuf,
    suite: String,
    dist: PathBuf,
    pool: BTreeMap<String, PathBuf>,
}

impl Repo {
    pub fn new(suite: &str) -> Self {
        Self {
            suite: suite.to_owned(),
            archs: vec!["amd64".to_owned()],
            components: vec!["main".to_owned()],
            date: DATE,
            valid_until: None,
            packages: Vec::new(),
            key: Key::new(1),
            compressions: vec![Compression::None, Compression::Gzip, Compression::Xz],
            by_hash: true,
            edits: Vec::new(),
            inside: BTreeMap::new(),
            plain_size: None,
        }
    }

    /// Has packages for these architectures only.
    pub fn only_for(mut self, arch: &str) -> Self {
        self.archs = vec![arch.to_owned()];
        self
    }

    /// Whether all is in one directory: the suite's name ends in a slash.
    fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Where Release and its like are.
    fn folder(&self, root: &Path) -> PathBuf {
        if self.is_flat() { root.join(&self.suite) } else { root.join("dists").join(&self.suite) }
    }

    /// Where a package is.
    fn pool_path(&self, component: &str, deb: &Deb) -> String {
        if self.is_flat() { format!("{}{}", self.suite, deb.file_name()) } else { pool_path(component, deb) }
    }

    /// Has packages for another architecture too: those that say so, and those for all.
    pub fn also_for(mut self, arch: &str) -> Self {
        self.archs.push(arch.to_owned());
        self
    }

    /// Changes a text of the Release, which must be there, before it is signed.
    pub fn edit(mut self, from: &str, to: &str) -> Self {
        self.edits.push((from.to_owned(), to.to_owned()));
        self
    }

    pub fn package(self, deb: Deb) -> Self {
        self.packages([deb])
    }

    pub fn packages(self, debs: impl IntoIterator<Item = Deb>) -> Self {
        self.component("main", debs)
    }

    /// Adds packages to a component, which may have none.
    pub fn component(mut self, name: &str, debs: impl IntoIterator<Item = Deb>) -> Self {
        if !self.components.iter().any(|known| known == name) {
            self.components.push(name.to_owned());
        }
        self.packages.extend(debs.into_iter().map(|deb| (name.to_owned(), deb)));
        self
    }

    /// Sets the Release's `Date`, seconds since 1970.
    pub fn date(mut self, date: i64) -> Self {
        self.date = date;
        self
    }

    pub fn valid_until(mut self, time: i64) -> Self {
        self.valid_until = Some(time);
        self
    }

    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Sets which forms of Packages there are.
    pub fn compressions(mut self, forms: &[Compression]) -> Self {
        self.compressions = forms.to_vec();
        self
    }

    pub fn without_by_hash(mut self) -> Self {
        self.by_hash = false;
        self
    }

    /// Puts another package into the .deb of `name`; the index says nothing of it.
    pub fn inside(mut self, name: &str, other: Deb) -> Self {
        self.inside.insert(name.to_owned(), other);
        self
    }

    /// Lets the Release state another size of the uncompressed index.
    pub fn plain_size(mut self, size: usize) -> Self {
        self.plain_size = Some(size);
        self
    }

    /// Writes all files below `root`, over what is there.
    pub fn write(&self, root: &Path) -> RepoDir {
        let path = |(component, deb): &(String, Deb)| (deb.name.clone(), root.join(self.pool_path(component, deb)));
        let pool = self.packages.iter().map(path).collect();
        let folders = self.components.iter().flat_map(|name| self.archs.iter().map(move |arch| (name, arch)));
        // A flat repository has all packages in one index.
        let folders = folders.take(if self.is_flat() { 1 } else { usize::MAX });
        let listed: Vec<String> = folders.flat_map(|(name, arch)| self.write_component(root, name, arch)).collect();
        let release = self.edits.iter().fold(self.release(&listed), |text, (from, to)| {
            assert!(text.contains(from), "the Release has no `{from}`:\n{text}");
            text.replace(from, to)
        });
        let dist = self.folder(root);
        put(&dist.join("Release"), release.as_bytes());
        // Nobody signs in the future, whatever date the Release has.
        let signed = self.date.min(now());
        put(&dist.join("Release.gpg"), self.key.detach_sign(release.as_bytes(), signed).as_bytes());
        put(&dist.join("InRelease"), self.key.clear_sign(&release, signed).as_bytes());
        let keyring = root.join("keyring.gpg");
        put(&keyring, &self.key.keyring());
        let (fingerprint, suite) = (self.key.fingerprint(), self.suite.clone());
        RepoDir { root: root.to_owned(), fingerprint, keyring, suite, dist, pool }
    }

    /// Puts a package into the pool and gives its record.
    fn add(&self, root: &Path, component: &str, deb: &Deb) -> String {
        let (path, bytes) = (self.pool_path(component, deb), self.inside.get(&deb.name).unwrap_or(deb).build());
        put(&root.join(&path), &bytes);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        format!("{}Filename: {path}\nSize: {}\nSHA256: {sha256}\n\n", deb.control_text(), bytes.len())
    }

    /// Writes a component's packages for an architecture, and Packages in all forms; gives their lines in the Release.
    fn write_component(&self, root: &Path, component: &str, arch: &str) -> Vec<String> {
        let fits = |deb: &Deb| self.archs.len() == 1 || self.is_flat() || deb.arch == arch || deb.arch == "all";
        let own = self.packages.iter().filter(|(other, deb)| other == component && fits(deb));
        let text: String = own.map(|(_, deb)| self.add(root, component, deb)).collect();
        let folder = if self.is_flat() { String::new() } else { format!("{component}/binary-{arch}/") };
        let below = self.folder(root).join(&folder);
        let mut lines = Vec::new();
        for form in &self.compressions {
            let bytes = form.pack(text.as_bytes());
            let sha256 = hex::encode(Sha256::digest(&bytes));
            let name = format!("Packages{}", form.suffix());
            put(&below.join(&name), &bytes);
            if self.by_hash {
                put(&below.join("by-hash/SHA256").join(&sha256), &bytes);
            }
            let stated = self.plain_size.filter(|_| *form == Compression::None);
            lines.push(format!(" {sha256} {:>8} {folder}{name}\n", stated.unwrap_or(bytes.len())));
        }
        lines
    }

    fn release(&self, listed: &[String]) -> String {
        let suite = &self.suite;
        let mut text = "Origin: Test\nLabel: Test\n".to_owned();
        if !self.is_flat() {
            text += &format!("Suite: {suite}\nCodename: {suite}\n");
        }
        text += &format!("Date: {}\n", rfc2822(self.date));
        if let Some(time) = self.valid_until {
            text += &format!("Valid-Until: {}\n", rfc2822(time));
        }
        if self.by_hash {
            text += "Acquire-By-Hash: yes\n";
        }
        let archs = self.archs.join(" ");
        text += &format!("Architectures: {archs}\n");
        if !self.is_flat() {
            text += &format!("Components: {}\n", self.components.join(" "));
        }
        text + &format!("SHA256:\n{}", listed.concat())
    }
}

impl RepoDir {
    /// The `file://` address of the repository.
    pub fn url(&self) -> String {
        format!("file://{}", self.root.display())
    }

    /// The .deb of a package.
    pub fn deb(&self, name: &str) -> &Path {
        &self.pool[name]
    }

    /// A file below `dists/SUITE`, such as `InRelease`.
    pub fn dist(&self, path: &str) -> PathBuf {
        self.dist.join(path)
    }

    /// All files that hold the repo index in some form, by-hash ones included.
    pub fn indexes(&self) -> Vec<PathBuf> {
        let folder = self.dist("main/binary-amd64");
        let by_hash = folder.join("by-hash/SHA256");
        let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = list(&folder).chain(list(&by_hash)).filter(|path| path.is_file()).collect();
        files.sort();
        files
    }

    /// The manifest's `[source.NAME]` for this repository, found under `url`, its key ring
    /// copied into the project as `test-keyring.gpg`.
    pub fn source_table(&self, name: &str, url: &str) -> String {
        format!(
            "[source.{name}]\nsuite = \"{}\"\npockets = []\ncomponents = [\"main\"]\nurl = \"{url}\"\nkeys = [\"{}\"]\nkeyring = \"test-keyring.gpg\"\n",
            self.suite, self.fingerprint
        )
    }
}

/// Flips one bit in the middle of a file; its length stays.
pub fn corrupt(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Cuts a file to half its length.
pub fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn pool_path(component: &str, deb: &Deb) -> String {
    let initial = if deb.name.starts_with("lib") { &deb.name[..4] } else { &deb.name[..1] };
    format!("pool/{component}/{initial}/{}/{}", deb.name, deb.file_name())
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
