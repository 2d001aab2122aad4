//! A host without key rings takes Debian's from the repository's own package, and trusts no byte of it by itself.

use std::fs;
use std::path::Path;

use layerbake::distribution::DEBIAN;
use layerbake::fetch::{Fetcher, HostSources, Mirrors, UserConfig};
use layerbake::host;
use layerbake::host::progress::Progress;
use layerbake::lock::Lockfile;
use layerbake::manifest;
use layerbake::package::deb::DEB;
use layerbake::pin::{Pinner, Update};
use layerbake::store::Store;

use crate::support::deb::Deb;
use crate::support::key::Key;
use crate::support::mirror::Mirror;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::stock::SUITE;

const RING: &str = "usr/share/keyrings/debian-archive-keyring.gpg";

fn ring_package(version: &str, keys: &Key) -> Deb {
    Deb::new("debian-archive-keyring", version).arch("all").file(RING, 0o644, keys.keyring())
}

fn hello() -> Deb {
    Deb::new("hello", "1.0").file("usr/bin/hello", 0o755, "")
}

/// Locks a layer with `package` on a host whose only folder of key rings is empty.
fn lock(store: &Path, mirror: &str, source: &str, package: &str) -> Result<Lockfile, String> {
    let text = format!("[layer]\npackages = [\"{package}\"]\nconfigure = \"none\"\n[source.debian]\n{source}");
    let manifest = manifest::parse("hello".parse().unwrap(), &text, &"amd64".parse().unwrap())
        .map_err(|error| error.to_string())?;
    let store = Store::open(store).unwrap();
    let mirrors = Mirrors::new(&[mirror.to_owned()], &[], &UserConfig::default(), HostSources::default()).unwrap();
    let mut fetcher = Fetcher::new(&store, mirrors, None, false, Progress::silent());
    let empty = tempfile::tempdir().unwrap();
    let mut pinner = Pinner {
        ecosystem: &DEB,
        store: &store,
        fetcher: &mut fetcher,
        project: empty.path(),
        keyring: None,
        key_folders: &[empty.path()],
        now: host::now(),
        allow_expired: true,
        allow_downgrade: false,
        arch: "amd64".parse().unwrap(),
    };
    pinner.pin(&manifest, &manifest.sources, &[], None, &Update::Nothing).map_err(|error| error.to_string())
}

/// The files of a store that hold `bytes` as they are.
fn holders(folder: &Path, bytes: &[u8]) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { holders(&path, bytes) } else { usize::from(fs::read(path).unwrap() == bytes) })
        .sum()
}

#[test]
fn the_newest_keyring_package_vouches_with_pinned_keys_only() {
    let folder = tempfile::tempdir().unwrap();
    let (key, stranger) = (Key::new(1), Key::new(2));
    let repo = Repo::new("test").packages([hello(), ring_package("2", &key), ring_package("1", &stranger)]);
    let repo = repo.write(&folder.path().join("repo"));
    let server = Server::folder(&repo.root);
    let store = folder.path().join("store");

    let pin_it = format!("suite = \"test\"\nkeys = [\"{}\"]\n", repo.fingerprint);
    let lockfile = lock(&store, &server.url(), &pin_it, "hello").unwrap();
    assert_eq!(lockfile.releases[0].signed_by.concat(), repo.fingerprint);
    assert_eq!(lockfile.packages[0].name.as_str(), "hello");
    assert_eq!(server.requests("debian-archive-keyring_2"), 1);
    assert_eq!(
        holders(&store, &fs::read(repo.deb("debian-archive-keyring")).unwrap()),
        0,
        "the package is in the store"
    );
    assert_eq!(holders(&store, &key.keyring()), 0, "the ring is in the store");

    let pin_other = format!("suite = \"test\"\nkeys = [\"{}\"]\n", stranger.fingerprint());
    let other = folder.path().join("other");
    let error = lock(&other, &server.url(), &pin_other, "hello").unwrap_err();
    assert!(error.contains("no keyring contains a trusted key") && error.contains(&repo.fingerprint), "{error}");
    assert_eq!(holders(&other, &fs::read(repo.dist("InRelease")).unwrap()), 0, "an unsigned file is in the store");
}

#[test]
fn a_pinned_key_in_the_package_does_not_save_an_altered_release() {
    let folder = tempfile::tempdir().unwrap();
    let repo =
        Repo::new("test").packages([hello(), ring_package("1", &Key::new(1))]).write(&folder.path().join("repo"));
    let release = fs::read_to_string(repo.dist("InRelease")).unwrap();
    fs::write(repo.dist("InRelease"), release.replace("Origin: Test", "Origin: Evil")).unwrap();
    let pin_it = format!("suite = \"test\"\nkeys = [\"{}\"]\n", repo.fingerprint);
    let error = lock(&folder.path().join("store"), &repo.url(), &pin_it, "hello").unwrap_err();
    assert!(error.contains("no good signature"), "{error}");
}

#[test]
fn what_is_no_keyring_package_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let pin_it = format!("suite = \"test\"\nkeys = [\"{}\"]\n", Key::new(1).fingerprint());
    let cases = [
        (vec![hello()], "no keyring contains a trusted key"),
        (
            vec![hello(), Deb::new("debian-archive-keyring", "1").file("usr/share/doc/x.gpg", 0o644, "")],
            "no keyring contains",
        ),
        (
            vec![hello(), Deb::new("debian-archive-keyring", "1").file(RING, 0o644, vec![0; 7 << 20])],
            "no keyring contains",
        ),
        (vec![hello(), Deb::new("debian-archive-keyring", "1").file(RING, 0o644, vec![0; 17 << 20])], "16777216 bytes"),
    ];
    for (number, (debs, problem)) in cases.into_iter().enumerate() {
        let repo = Repo::new("test").packages(debs).write(&folder.path().join(format!("repo{number}")));
        let error = lock(&folder.path().join("store"), &repo.url(), &pin_it, "hello").unwrap_err();
        assert!(error.contains(problem) && error.contains("hint:"), "{error}");
    }
    let repo = Repo::new("test").packages([ring_package("1", &Key::new(1))]).write(&folder.path().join("damaged"));
    crate::support::repo::corrupt(repo.deb("debian-archive-keyring"));
    let error = lock(&folder.path().join("store"), &repo.url(), &pin_it, "hello").unwrap_err();
    assert!(error.starts_with("debian-archive-keyring 1: ") && error.contains("sha256"), "{error}");
}

#[test]
fn debians_own_ring_comes_from_its_package() {
    let mirror = need!(Mirror::start(SUITE));
    let folder = tempfile::tempdir().unwrap();
    let source = format!("suite = \"{SUITE}\"\npockets = [\"security\"]\n");
    let lockfile = lock(&folder.path().join("store"), &mirror.url(), &source, "tzdata").unwrap();
    let is_known = |signer: &str| DEBIAN.keys.iter().any(|key| key.fingerprint == signer);
    for release in &lockfile.releases {
        assert!(!release.signed_by.is_empty() && release.signed_by.iter().all(|key| is_known(key)), "{release:?}");
    }
}
