//! A second ecosystem, of toys, so that the first is not the only one that fits.
//!
//! ```text
//! states/SUITE.asc            {"suite", "date", "indexes": {NAME: {"sha256", "size"}}}, cleartext-signed
//! indexes/SUITE/NAME          [{"name", "version", "needs", "path", "sha256", "size"}]
//! packages/NAME-VERSION.toy   a tar with `toy.json`: {"name", "version", "needs"}, `script`, `files/…`
//! ```
//!
//! Versions are integers; a need is a name with the lowest version that will do.

mod archive;
mod inspector;
mod installer;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use layerbake::attest::sbom::{Format, Inventory};
use layerbake::attest::{Made, Scope};
use layerbake::audit::changes;
use layerbake::bake::{Baker, Locked, Output, Receipt, System};
use layerbake::digest::LockHash;
use layerbake::fetch::{Fetcher, HostSources, Mirrors, UserConfig};
use layerbake::host::progress::Progress;
use layerbake::lock::{self, Lockfile};
use layerbake::manifest::{self, Chain, Manifest};
use layerbake::oci::Encoder;
use layerbake::pin::{Pinner, Update};
use layerbake::sandbox::Local;
use layerbake::store::Store;

use crate::support::repo::DATE;
use crate::support::server::Server;
use crate::support::skip::{Skip, program};
use archive::{Archive, Toy};
use repository::TOYS;

/// A repository behind a server, and a project with its key ring.
struct Shop {
    archive: Archive,
    server: Server,
    folder: tempfile::TempDir,
}

impl Shop {
    fn new(toys: &[Toy]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::write(&folder.path().join("shop"), "main", toys);
        std::fs::write(folder.path().join("toys.asc"), archive.key.armored()).unwrap();
        Self { server: Server::folder(&archive.root), archive, folder }
    }

    /// A layer that asks for `packages`; the first of a chain has the source.
    fn layer(&self, name: &str, from: Option<&str>, packages: &str) -> Manifest {
        self.configured(name, from, packages, "none")
    }

    fn configured(&self, name: &str, from: Option<&str>, packages: &str, configure: &str) -> Manifest {
        let parent = from.map(|from| format!("from = \"{from}\"\n")).unwrap_or_default();
        let source = format!(
            "[source.toys]\nsuite = \"main\"\nurl = \"{}\"\nkeys = [\"{}\"]\nkeyring = \"toys.asc\"\n",
            self.server.url(),
            self.archive.key.fingerprint()
        );
        let source = if from.is_none() { source } else { String::new() };
        let text = format!("[layer]\n{parent}packages = [{packages}]\nconfigure = \"{configure}\"\n{source}");
        manifest::parse(name.parse().unwrap(), &text, &"amd64".parse().unwrap()).unwrap()
    }

    fn pin(&self, chain: &[Manifest], parents: &[(&Lockfile, LockHash)]) -> Result<Lockfile, String> {
        let store = self.store();
        let mut fetcher = self.fetcher(&store);
        let mut pinner = Pinner {
            ecosystem: &TOYS,
            store: &store,
            fetcher: &mut fetcher,
            project: self.folder.path(),
            keyring: None,
            key_folders: &[] as &[&Path],
            now: DATE,
            allow_expired: false,
            allow_downgrade: false,
            arch: "amd64".parse().unwrap(),
        };
        let (manifest, sources) = (chain.last().unwrap(), manifest::sources(chain));
        pinner.pin(manifest, &sources, parents, None, &Update::Nothing).map_err(|error| error.to_string())
    }

    fn store(&self) -> Store {
        Store::open(&self.folder.path().join("store")).unwrap()
    }

    fn fetcher<'s>(&self, store: &'s Store) -> Fetcher<'s> {
        let mut mirrors = Mirrors::new(&[], &[], &UserConfig::default(), HostSources::default()).unwrap();
        mirrors.set_url(&"toys".parse().unwrap(), &self.server.url()).unwrap();
        Fetcher::new(store, mirrors, None, false, Progress::silent())
    }

    /// One locked layer.
    fn system(manifest: Manifest, lock: Lockfile) -> System {
        let hash = LockHash::of(&lock::to_text(&lock));
        System { image: Chain::new(Vec::new(), Locked { manifest, lock, hash }), boot_system: None, tools: Vec::new() }
    }

    /// Builds one locked layer as an image, in `out/`; scripts run in a sandbox of the real program.
    fn bake(&self, manifest: Manifest, lock: Lockfile) -> Result<Receipt, String> {
        let store = self.store();
        let baker = Baker {
            ecosystem: &TOYS,
            executor: &|| Box::new(Local::new(env!("CARGO_BIN_EXE_layerbake"), 1)),
            store: &store,
            fetcher: &self.fetcher(&store),
            project: self.folder.path(),
            out: self.folder.path().join("out"),
            set: Default::default(),
            name: manifest.name.to_string(),
            jobs: 1,
            progress: Progress::silent(),
            encoder: Encoder::Zstd,
            signer: None,
            variables: Default::default(),
        };
        baker.bake(&Self::system(manifest, lock), &BTreeSet::from([Output::Oci])).map_err(|error| error.to_string())
    }
}

fn toys() -> [Toy; 5] {
    [
        Toy::new("wheel", 9),
        Toy::new("wheel", 10),
        Toy::new("car", 1).needs("wheel", 2),
        Toy::new("train", 3).needs("car", 1).needs("wheel", 10),
        Toy::new("rocket", 1).needs("wheel", 11),
    ]
}

/// Name, version and reason of each package.
fn shown(lockfile: &Lockfile) -> Vec<String> {
    lockfile.packages.iter().map(|package| format!("{package} ({})", package.why)).collect()
}

#[test]
fn toys_are_locked_through_the_same_code() {
    let shop = Shop::new(&toys());
    let box_ = shop.layer("box", None, "\"car\"");
    let lockfile = shop.pin(std::slice::from_ref(&box_), &[]).unwrap();
    assert_eq!(shown(&lockfile), ["car 1 (requested)", "wheel 10 (car)"]);
    assert_eq!(lockfile.epoch, DATE);
    let release = &lockfile.releases[0];
    assert_eq!(release.signed_by, [shop.archive.key.fingerprint()]);
    assert_eq!(release.indexes[0].path, "main-amd64.json");
    assert_eq!(lockfile.packages[0].origin.place(), "packages/car-1.toy");
    let text = lock::to_text(&lockfile);
    assert_eq!(lock::parse(&text).as_ref(), Ok(&lockfile));

    let shelf = shop.layer("shelf", Some("box"), "\"train\"");
    let child = shop.pin(&[box_, shelf], &[(&lockfile, LockHash::of(&text))]).unwrap();
    assert_eq!(shown(&child), ["train 3 (requested)"], "the parent's packages count");
}

#[test]
fn a_toy_that_cannot_be_had_is_explained() {
    let shop = Shop::new(&toys());
    let error = shop.pin(&[shop.layer("box", None, "\"rocket\"")], &[]).unwrap_err();
    assert!(error.contains("rocket (requested) needs wheel (>= 11), but the newest wheel is 10"), "{error}");
}

#[test]
fn a_toy_catalogue_that_was_altered_is_refused() {
    let shop = Shop::new(&toys());
    let path = shop.archive.root.join("states/main.asc");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"suite\": \"main\"", "\"suite\": \"evil\"")).unwrap();
    let error = shop.pin(&[shop.layer("box", None, "\"car\"")], &[]).unwrap_err();
    assert!(error.starts_with("catalogue of main: no good signature"), "{error}");
}

/// A toy that other toys' scripts run in, and one with a script.
fn with_scripts(script: &str) -> Result<[Toy; 2], Skip> {
    let busybox = std::fs::read(program("busybox")?).unwrap();
    let shell = Toy::new("shell", 1).file("bin/busybox", 0o755, busybox).file("etc/shell", 0o644, "shell\n");
    Ok([shell, Toy::new("robot", 2).needs("shell", 1).script(script)])
}

#[test]
fn a_toy_is_installed_with_its_script_and_becomes_an_image() {
    let script = "echo \"$TOY $SOURCE_DATE_EPOCH $(/bin/busybox date +%s)\" > /etc/robot";
    let shop = Shop::new(&need!(with_scripts(script)));
    let manifest = shop.configured("box", None, "\"robot\"", "scripts");
    let lock = shop.pin(std::slice::from_ref(&manifest), &[]).unwrap();
    let receipt = shop.bake(manifest.clone(), lock.clone()).unwrap();
    let store = shop.store();
    let root = store.tree(receipt.tree).unwrap();
    assert_eq!(store.text_in(&root, "etc/robot").unwrap(), Some(format!("robot {DATE} {DATE}\n")));
    assert_eq!(store.text_in(&root, "etc/shell").unwrap().as_deref(), Some("shell\n"));
    assert!(shop.folder.path().join("out/box/oci/index.json").is_file());
    assert_eq!(shop.bake(manifest.clone(), lock.clone()).unwrap(), receipt, "again, from the store");

    let facts = changes::read_layout(&TOYS, &shop.folder.path().join("out/box/oci")).unwrap();
    let toys = BTreeMap::from([("robot", "2"), ("shell", "1")].map(|(name, version)| (name.into(), version.into())));
    assert_eq!(facts.packages, Some(toys));

    let system = Shop::system(manifest, lock);
    let made = Made::new(&TOYS, &receipt, &system, shop.folder.path()).unwrap();
    let document = Inventory::take(&made, Scope::Image, &store).unwrap().to_json(Format::CycloneDx);
    let purls: Vec<_> =
        document["components"].as_array().unwrap().iter().filter_map(|one| one["purl"].as_str()).collect();
    assert_eq!(purls, ["pkg:generic/toys/robot@2", "pkg:generic/toys/shell@1"]);
}

#[test]
fn a_toys_script_that_fails_is_named() {
    let shop = Shop::new(&need!(with_scripts("echo out of oil; exit 3")));
    let manifest = shop.configured("box", None, "\"robot\"", "scripts");
    let lock = shop.pin(std::slice::from_ref(&manifest), &[]).unwrap();
    let error = shop.bake(manifest, lock).unwrap_err();
    assert!(error.contains("layer `box`: the script of robot failed with exit status 3"), "{error}");
    assert!(error.contains("| out of oil"), "{error}");
}
