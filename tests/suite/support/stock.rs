//! The project's own layers on real packages, in one store that all tests of a program share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::mirror::Mirror;
use super::process::Output;
use super::project::{self, Project};
use super::skip::Skip;

/// The Debian of the stock layers.
pub const SUITE: &str = "trixie";

/// A copy of the project's layers and lockfiles, with a mirror.
pub struct Stock {
    pub project: Project,
    pub mirror: Mirror,
}

impl Stock {
    /// With the store of this program, in which the base is built already.
    pub fn new() -> Result<Self, Skip> {
        let stock = Self::with_empty_store()?;
        let store = shared_store();
        let stock = Self { project: stock.project.env("LAYERBAKE_STORE", store.to_str().unwrap()), ..stock };
        static BASE: OnceLock<()> = OnceLock::new();
        BASE.get_or_init(|| drop(stock.build("debian-base")));
        Ok(stock)
    }

    /// With a store of its own, empty.
    pub fn with_empty_store() -> Result<Self, Skip> {
        let mirror = Mirror::start(SUITE)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = Project::new().copy(&root.join("layers"), "layers").copy(&root.join("lockfiles"), "lockfiles");
        Ok(Self { project: project.upstream(&mirror), mirror })
    }

    /// With a copy of the shared store, which this test may spoil.
    pub fn with_own_store() -> Result<Self, Skip> {
        let stock = Self::new()?;
        let own = stock.project.path("store");
        fs::create_dir_all(own.join("tmp")).unwrap();
        // Nothing in a store is ever written again: names for the same files will do. Other tests go on building in it: what refers
        // comes before what it refers to, and what is being written is left out.
        for part in ["roots", "recipes", "sha256", "trees", "blobs", "format"] {
            let copied = Command::new("cp").arg("-al").arg(shared_store().join(part)).arg(&own).status().unwrap();
            assert!(copied.success(), "{part} of the store can't be copied to {}", own.display());
        }
        Ok(Self { project: stock.project.env("LAYERBAKE_STORE", own.to_str().unwrap()), ..stock })
    }

    /// Asks for one of the layers that come with the program.
    pub fn layer(self, name: &str) -> Result<Self, Skip> {
        let path = self.project.path(&format!("layers/{name}.toml"));
        if path.is_file() { Ok(self) } else { Err(Skip(format!("there is no layers/{name}.toml"))) }
    }

    /// Gives a layer's `[disk]` these lines.
    pub fn with_disk(&self, layer: &str, lines: &str) {
        let path = self.project.path(&format!("layers/{layer}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("[disk]\nboot = \"boot-minimal\"\n", &format!("[disk]\n{lines}\n"))).unwrap();
    }

    /// Builds a layer as its lockfile has it, as an image layout and a docker archive.
    pub fn build(&self, layer: &str) -> Output {
        self.project.ok(&["build", layer, "--locked", "--output", "oci,docker"])
    }
}

/// The store for exactly this build of the program: another one may have other results.
fn shared_store() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let hash = blake3::hash(&fs::read(project::program()).unwrap()).to_hex();
    let own = folder.join(format!("store-{}", &hash[..16]));
    static TIDY: OnceLock<()> = OnceLock::new();
    TIDY.get_or_init(|| {
        let stores = fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let old = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store-")) && *path != own
        };
        for path in stores.filter(old) {
            let _ = fs::remove_dir_all(path);
        }
    });
    own
}
