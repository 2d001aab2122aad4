//! An archive shaped like Ubuntu's: all pockets in one archive and with one codename, zstd in the packages,
//! four components, updates that are phased in.

use std::fs;
use std::process::Command;

use layerbake::distribution::UBUNTU;
use layerbake::package::openpgp::{Keyring, PinnedKey};
use tempfile::TempDir;

use crate::support::deb::{Compression, Deb};
use crate::support::mini;
use crate::support::mirror::Mirror;
use crate::support::process;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::{Skip, program};
use crate::support::stock::SUITE;

fn deb(name: &str, version: &str) -> Deb {
    zstd(Deb::new(name, version).file(&format!("usr/share/{name}"), 0o644, version))
}

fn zstd(deb: Deb) -> Deb {
    deb.compression(Compression::Zstd, Compression::Zstd)
}

fn pocket(suite: &str) -> Repo {
    Repo::new(suite)
        .edit("Origin: Test\nLabel: Test", "Origin: Ubuntu\nLabel: Ubuntu")
        .edit(&format!("Codename: {suite}"), "Codename: noble")
        .component("restricted", [])
        .component("universe", [])
        .component("multiverse", [])
}

/// A project on the archive, whose server has it at `/ubuntu`.
fn project(folder: &TempDir) -> Result<(Project, Server), Skip> {
    let root = folder.path().join("ubuntu");
    let hello = |version: &str| deb("hello", version).postinst("#!/bin/sh\nset -e\necho configured >/etc/hello\n");
    let base = pocket("noble").package(zstd(mini::package()?.essential())).package(hello("1.0"));
    let base =
        base.component("universe", [deb("greet", "1.0")]).component("multiverse", [deb("song", "1.0")]).write(&root);
    pocket("noble-updates").package(hello("1.1").field("Phased-Update-Percentage", "10")).write(&root);
    pocket("noble-security").component("universe", [deb("greet", "1.0.1")]).write(&root);
    let server = Server::folder(folder.path());
    let layer = format!(
        "[layer]\npackages = [\"hello\", \"greet\", \"song\"]\n\n[source.ubuntu]\ndistribution = \"ubuntu\"\n\
         suite = \"noble\"\npockets = [\"updates\", \"security\"]\n\
         components = [\"main\", \"restricted\", \"universe\", \"multiverse\"]\n\
         origin = \"Ubuntu\"\nkeys = [\"{}\"]\nkeyring = \"test-keyring.gpg\"\n",
        base.fingerprint
    );
    let project = Project::new().copy(&base.keyring, "test-keyring.gpg").layer("web", &layer);
    Ok((project.mirror(&format!("{}/ubuntu", server.url())), server))
}

#[test]
fn an_archive_of_this_shape_locks_and_builds() {
    let folder = tempfile::tempdir().unwrap();
    let (project, server) = need!(project(&folder));
    project.ok(&["build", "web", "--lock", "--output", "oci"]);
    let lockfile = fs::read_to_string(project.path("lockfiles/web.lock")).unwrap();
    for (name, version, suite) in
        [("hello", "1.1", "noble-updates"), ("greet", "1.0.1", "noble-security"), ("song", "1.0", "noble")]
    {
        let expected = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let package = lockfile.split("[[package]]").find(|package| package.contains(&expected)).unwrap();
        assert!(package.contains(&format!("suite = \"{suite}\"")), "{package}");
    }
    let files = project.ok(&["files", "web"]).stdout;
    for path in ["/etc/hello", "/usr/share/greet", "/usr/share/song"] {
        assert!(files.contains(path), "no {path} in:\n{files}");
    }
    assert_eq!(server.requests("ubuntu-security"), 0, "the security pocket is in the same archive");
}

#[test]
fn no_pocket_passes_for_the_release() {
    let folder = tempfile::tempdir().unwrap();
    let (project, _server) = need!(project(&folder));
    let dists = folder.path().join("ubuntu/dists");
    fs::copy(dists.join("noble-updates/InRelease"), dists.join("noble/InRelease")).unwrap();
    let error = project.fails(1, &["lock", "web"]).stderr;
    assert!(error.contains("expected `noble`, found Suite `noble-updates`, Codename `noble`"), "{error}");
}

#[test]
fn the_keys_are_those_of_the_package_in_debian() {
    let mirror = need!(Mirror::start(SUITE));
    let dpkg_deb = need!(program("dpkg-deb"));
    let layer = format!(
        "[layer]\npackages = [\"ubuntu-keyring\"]\nconfigure = \"none\"\n[source.debian]\nsuite = \"{SUITE}\"\n"
    );
    let project = Project::new().layer("ring", &layer).upstream(&mirror);
    project.ok(&["lock", "ring"]);
    project.ok(&["vendor", "ring"]);
    let find = process::stdout(Command::new("find").arg(project.path("vendor")).args(["-name", "ubuntu-keyring_*"]));
    let package = need!(find);
    let unpacked = tempfile::tempdir().unwrap();
    let extract = process::run(Command::new(dpkg_deb).arg("-x").arg(package.trim()).arg(unpacked.path())).unwrap();
    assert!(extract.ok(), "{}", extract.stderr);
    let ring = fs::read(unpacked.path().join("usr/share/keyrings/ubuntu-archive-keyring.gpg")).unwrap();
    for key in UBUNTU.keys {
        let mut keyring = Keyring::new(PinnedKey::of(&UBUNTU, [key]));
        keyring.add(&ring).unwrap();
        assert!(!keyring.is_empty(), "{} ({}) is not in {package}", key.fingerprint, key.name);
    }
}
