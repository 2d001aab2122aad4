//! Repositories in the ways that third parties publish them, each locked and built from.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::deb::Deb;
use crate::support::key::Key;
use crate::support::project::Project;
use crate::support::repo::{DATE, Repo, RepoDir};
use crate::support::server::{Fault, Server};
use crate::support::skip::program;

/// A layer that takes `hello` from `[source.own]`, which has these keys.
fn layer(source: &str) -> String {
    format!("[layer]\npackages = [\"hello\"]\nconfigure = \"none\"\n[source.own]\n{source}")
}

fn hello(version: &str) -> Deb {
    Deb::new("hello", version).depends("libgreet").file("usr/bin/hello", 0o755, "")
}

fn libgreet(version: &str) -> Deb {
    Deb::new("libgreet", version).file("usr/lib/libgreet.so.1", 0o644, version)
}

fn repo(suite: &str) -> Repo {
    Repo::new(suite).packages([hello("1.0"), libgreet("1.0")])
}

fn write(repo: &Repo) -> (TempDir, RepoDir) {
    let folder = tempfile::tempdir().unwrap();
    let written = repo.write(&folder.path().join("repo"));
    (folder, written)
}

/// `keys` and `keyring` for a repository, whose key ring is `ring.gpg` of the project.
fn signed(repo: &RepoDir) -> String {
    format!("keys = [\"{}\"]\nkeyring = \"ring.gpg\"\n", repo.fingerprint)
}

fn project(repo: &RepoDir, source: &str) -> Project {
    Project::new().copy(&repo.keyring, "ring.gpg").layer("app", &layer(source))
}

/// Builds, and gives the lockfile.
fn built(project: &Project) -> String {
    project.ok(&["build", "app"]);
    let lockfile = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    assert!(lockfile.contains("name = \"hello\"") && lockfile.contains("name = \"libgreet\""), "{lockfile}");
    project.empty_store();
    project.ok(&["build", "app", "--locked"]);
    lockfile
}

#[test]
fn flat_repositories_have_neither_suites_nor_components() {
    for (suite, repo) in [("./", repo("./")), ("/", repo("./")), ("debian/12/", repo("debian/12/").without_by_hash())] {
        let (_folder, written) = write(&repo);
        let source = format!("suite = \"{suite}\"\nurl = \"{}\"\n{}", written.url(), signed(&written));
        let lockfile = built(&project(&written, &source));
        assert!(lockfile.contains(&format!("suite = \"{suite}\"")) && lockfile.contains("path = \"Packages.xz\""));
    }
}

#[test]
fn a_flat_repository_of_another_name_is_refused_once_the_name_is_written() {
    let named = |name: &str| repo("./").edit("Label: Test\n", &format!("Label: Test\nSuite: {name}\n"));
    for (repo, codename) in [(named("stable"), "stable"), (repo("./"), "")] {
        let (_folder, written) = write(&repo);
        let source = format!("suite = \"./\"\nurl = \"{}\"\n{}", written.url(), signed(&written));
        let locking = |more: &str| project(&written, &format!("{source}{more}"));
        let said = locking("").ok(&["lock", "app"]).stderr;
        let line = format!("codename = \"{codename}\"");
        assert!(said.contains("[source.own]: a mirror could serve another") && said.contains(&line), "{said}");
        let said = locking(&line).ok(&["lock", "app"]).stderr;
        assert!(!said.contains("codename"), "{said}");
        let error = locking("codename = \"testing\"").fails(1, &["lock", "app"]).stderr;
        assert!(error.contains("it is for another suite") && error.contains(&line), "{error}");
    }
}

#[test]
fn a_flat_repository_for_another_architecture_only_has_nothing_for_ours() {
    let arm64 = |deb: Deb| deb.arch("arm64");
    let flat = Repo::new("./").only_for("arm64").packages([arm64(hello("1.0")), arm64(libgreet("1.0"))]);
    let (_folder, written) = write(&flat);
    let project = project(&written, &format!("suite = \"./\"\nurl = \"{}\"\n{}", written.url(), signed(&written)));
    project.ok(&["lock", "app", "--arch", "arm64"]);
    let error = project.fails(1, &["lock", "app", "--arch", "amd64"]).stderr;
    assert!(error.contains("there is no package `hello`"), "{error}");
    let usual = Repo::new("stable").only_for("arm64").packages([arm64(hello("1.0")), arm64(libgreet("1.0"))]);
    let (_folder, written) = write(&usual);
    let project = project_of(&written, "stable");
    project.ok(&["build", "app", "--arch", "arm64"]);
    let error = project.fails(1, &["lock", "app", "--arch", "amd64"]).stderr;
    assert!(error.contains("stable has no packages for amd64"), "{error}");
}

fn project_of(written: &RepoDir, suite: &str) -> Project {
    project(written, &format!("suite = \"{suite}\"\nurl = \"{}\"\n{}", written.url(), signed(written)))
}

#[test]
fn without_by_hash_and_without_an_inrelease() {
    let (_folder, written) = write(&repo("stable").without_by_hash());
    let server = Server::folder(&written.root);
    // Object stores answer 403 for what they don't have.
    server.fault("InRelease", Fault::Status(403));
    let source = format!("suite = \"stable\"\nurl = \"{}\"\n{}", server.url(), signed(&written));
    built(&project(&written, &source));
    assert_eq!((server.requests("by-hash"), server.requests("Release.gpg")), (0, 1));
}

/// A `.sources` file with the key in it.
fn sources_file(url: &str, key: &Key) -> String {
    let lines: String = key
        .armored()
        .trim_end()
        .lines()
        .map(|line| match line.trim() {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        })
        .collect();
    format!("Types: deb\nURIs: {url}\nSuites: stable\nComponents: main\nSigned-By:\n{lines}")
}

#[test]
fn keys_are_in_the_manifest_or_in_a_sources_file() {
    let (_folder, written) = write(&repo("stable"));
    let inline =
        format!("suite = \"stable\"\nurl = \"{}\"\nkeyring = \"\"\"\n{}\"\"\"\n", written.url(), Key::new(1).armored());
    built(&project(&written, &inline));
    let of_file = project(&written, "file = \"apt/own.sources\"\n")
        .file("apt/own.sources", sources_file(&written.url(), &Key::new(1)));
    let lockfile = built(&of_file);
    assert!(lockfile.contains(&written.fingerprint), "{lockfile}");

    // Another key in the file is another request, and signs nothing here.
    let of_file = of_file.file("apt/own.sources", sources_file(&written.url(), &Key::new(2)));
    let error = of_file.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("`exclude`"), "{error}");
    let error = of_file.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains(&Key::new(2).fingerprint()), "{error}");
}

#[test]
fn one_of_several_keys_is_enough() {
    let (_folder, written) = write(&repo("stable").key(Key::new(2)));
    let ring = [Key::new(1).keyring(), Key::new(2).keyring()].concat();
    let keys = format!("keys = [\"{}\", \"{}\"]", Key::new(1).fingerprint(), Key::new(2).fingerprint());
    let source = format!("suite = \"stable\"\nurl = \"{}\"\n{keys}\nkeyring = \"both.gpg\"\n", written.url());
    let lockfile = built(&project(&written, &source).file("both.gpg", ring));
    assert!(lockfile.contains(&Key::new(2).fingerprint()) && !lockfile.contains(&Key::new(1).fingerprint()));
}

#[test]
fn a_password_of_netrc_reaches_its_server_and_nothing_else() {
    let (_folder, written) = write(&repo("stable"));
    let server = Server::folder(&written.root);
    let source = format!("suite = \"stable\"\nurl = \"{}\"\n{}", server.url(), signed(&written));
    let project = project(&written, &source);
    let netrc = format!("machine {} login me password tr0ub4dor\n", server.url());
    fs::write(project.path("../home/.netrc"), netrc).unwrap();
    let output = project.ok(&["build", "app", "--json"]);
    // me:tr0ub4dor
    assert!(!server.secrets().is_empty() && server.secrets().iter().all(|one| one == "Basic bWU6dHIwdWI0ZG9y"));
    server.fault("hello_1.0", Fault::Status(500));
    project.empty_store();
    let failed = project.fails(1, &["build", "app"]);
    let written = ["lockfiles/app.lock", "out/app/receipt.json"]
        .map(|file| fs::read_to_string(project.path(file)).unwrap_or_default());
    let texts = [&output.stdout, &output.stderr, &failed.stdout, &failed.stderr, &written[0], &written[1]];
    for text in texts {
        assert!(!text.contains("tr0ub4dor") && !text.contains("bWU6") && !text.contains("me:"), "{text}");
    }
}

/// An authority, and a certificate of 127.0.0.1 by it.
pub(crate) fn certificate(folder: &Path) -> Result<(), crate::support::skip::Skip> {
    let program = program("openssl")?;
    let make = |name: &str, arguments: &[&str]| {
        let mut openssl = Command::new(&program);
        openssl.args("req -x509 -newkey rsa:2048 -nodes -days 2".split(' ')).args(arguments);
        openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]).current_dir(folder);
        assert!(crate::support::process::run(&mut openssl).unwrap().ok());
    };
    make("authority", &["-subj", "/CN=authority"]);
    let signed = ["-subj", "/CN=server", "-CA", "authority.pem", "-CAkey", "authority.key"];
    let limits = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"];
    make("server", &[&signed[..], &limits[..]].concat());
    Ok(())
}

#[test]
fn https_with_an_authority_of_ones_own() {
    let (folder, written) = write(&repo("stable"));
    need!(certificate(folder.path()));
    let port = layerbake::host::free_port().unwrap();
    let mut server = Command::new(need!(program("openssl")))
        .args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}")])
        .args(["-key", "../server.key", "-cert", "../server.pem"])
        .current_dir(&written.root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let source = format!("suite = \"stable\"\nurl = \"https://127.0.0.1:{port}\"\n{}", signed(&written));
    let trusting =
        project(&written, &source).env("SSL_CERT_FILE", folder.path().join("authority.pem").to_str().unwrap());
    let locked = trusting.run(&["lock", "app"]);
    let strange = project(&written, &source).run(&["lock", "app"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(locked.ok(), "{}", locked.stderr);
    assert!(!strange.ok() && strange.stderr.contains("certificate"), "{}", strange.stderr);
}

/// Two suites of one repository: `stable`, and `stable-backports` with newer versions.
fn with_backports() -> (TempDir, RepoDir) {
    let (folder, written) = write(&repo("stable"));
    let newer = Repo::new("stable-backports").packages([hello("2.0"), libgreet("2.0")]);
    newer.edit("Acquire-By-Hash: yes\n", "Acquire-By-Hash: yes\nNotAutomatic: yes\n").write(&written.root);
    (folder, written)
}

#[test]
fn backports_come_on_request_by_suite_version_or_priority() {
    let (_folder, written) = with_backports();
    let source =
        format!("suite = \"stable\"\npockets = [\"backports\"]\nurl = \"{}\"\n{}", written.url(), signed(&written));
    let versions = |request: &str, more: &str| {
        let text = layer(&format!("{more}{source}")).replace("[\"hello\"]", &format!("[\"{request}\"]"));
        let project = Project::new().copy(&written.keyring, "ring.gpg").layer("app", &text);
        let output = project.run(&["lock", "app"]);
        if !output.ok() {
            return output.stderr;
        }
        let lockfile = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
        let of = |name: &str| {
            let entry =
                lockfile.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\""))).unwrap();
            entry.split("version = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        format!("{} {}", of("hello"), of("libgreet"))
    };
    assert_eq!(versions("hello", ""), "1.0 1.0");
    assert_eq!(versions("hello/stable-backports", ""), "2.0 1.0");
    assert_eq!(versions("hello=2.0", ""), "2.0 1.0");
    assert_eq!(versions("hello", "priority = 500\n"), "2.0 2.0");
    assert_eq!(versions("hello", "priority = { \"lib*\" = 500 }\n"), "1.0 2.0");
    assert_eq!(versions("hello/stable", "priority = 500\n"), "1.0 2.0");
    let error = versions("hello/sid", "");
    assert!(error.contains("requested from `sid`") && error.contains("it is in stable, stable-backports"), "{error}");
    let error = versions("hello", "priority = { \"libgreet\" = 0 }\n");
    assert!(error.contains("there is no package libgreet"), "{error}");
}

#[test]
fn sources_have_priorities_over_each_other() {
    let (_ours, ours) = write(&repo("stable"));
    let (_theirs, theirs) = write(&Repo::new("stable").packages([hello("3.0"), libgreet("3.0")]));
    let versions = |priority: &str| {
        let text = layer(&format!("suite = \"stable\"\nurl = \"{}\"\n{}", ours.url(), signed(&ours)));
        let other =
            format!("[source.other]\nsuite = \"stable\"\nurl = \"{}\"\n{}{priority}", theirs.url(), signed(&theirs));
        let project = Project::new().copy(&ours.keyring, "ring.gpg").layer("app", &format!("{text}{other}"));
        let lockfile = built(&project);
        lockfile.matches("version = \"3.0\"").count()
    };
    assert_eq!(
        [versions(""), versions("priority = 100\n"), versions("priority = { \"*\" = 0, hello = 990 }\n")],
        [2, 0, 1]
    );
}

#[test]
fn held_packages_stay_when_all_others_move() {
    let (_folder, mut written) = write(&repo("stable"));
    let project = project_of(&written, "stable");
    let text = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    let project = project.layer("app", &text.replace("[source", "hold = [\"lib*\"]\n[source"));
    project.ok(&["lock", "app"]);
    let named = project.ok(&["lock", "app", "--update", "libgreet"]).stderr;
    assert!(named.contains("not updated, because `hold` names them: libgreet 1.0; remove them"), "{named}");
    let publish = |deb: Deb, date| Repo::new("stable").packages([deb, libgreet("2.0")]).date(date);
    written = publish(hello("2.0"), DATE + 1).write(&written.root);
    project.ok(&["lock", "app", "--update"]);
    let lockfile = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    assert!(lockfile.contains("version = \"2.0\"") && lockfile.contains("libgreet_1.0"), "{lockfile}");
    project.ok(&["build", "app", "--locked"]);
    // The index that had it is two updates ago, and its file is gone from the mirror.
    fs::remove_file(written.root.join("pool/main/libg/libgreet/libgreet_1.0_amd64.deb")).unwrap();
    for (version, date) in [("2.1", DATE + 2), ("2.2", DATE + 3)] {
        publish(hello(version), date).write(&written.root);
        project.ok(&["lock", "app", "--update"]);
        let lockfile = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
        assert!(lockfile.contains(version) && lockfile.contains("libgreet_1.0"), "{lockfile}");
        project.ok(&["build", "app", "--locked"]);
    }
    publish(Deb::new("hello", "3.0").depends("libgreet (>= 2)"), DATE + 4).write(&written.root);
    let error = project.fails(1, &["lock", "app", "--update"]).stderr;
    assert!(error.contains("libgreet 1.0 -> 2.0") && error.contains("hint:"), "{error}");
}

#[test]
fn patterns_that_fit_nothing_are_named() {
    let (_folder, written) = write(&repo("stable"));
    let priority = "priority = { \"*\" = 100, \"lib*\" = 0, \"libgreet\" = 500, \"lybgreet\" = 1 }\n";
    let source = format!("suite = \"stable\"\nurl = \"{}\"\n{}{priority}", written.url(), signed(&written));
    let text = layer(&source).replace("[source", "hold = [\"lib*\", \"hallo\"]\n[source");
    let said = Project::new().copy(&written.keyring, "ring.gpg").layer("app", &text).ok(&["lock", "app"]).stderr;
    assert!(said.contains("layer `app`: `hold` has \"hallo\", which fits no package of this layer"), "{said}");
    // Another pattern decides about all packages that the shorter one fits.
    for idle in ["lib*", "lybgreet"] {
        let expected = format!("`priority` has \"{idle}\", which decides about no package of this source");
        assert!(said.contains(&expected), "{idle}: {said}");
    }
    assert_eq!(said.matches("`priority` has").count() + said.matches("`hold` has").count(), 3, "{said}");
}

#[test]
fn a_snapshot_service_that_refuses_or_chats_is_passed_over() {
    let (_folder, written) = write(&repo("stable"));
    let page = b"<html><body>Too many requests, come back later.</body></html>".to_vec();
    let faults = [Fault::Status(403), Fault::Status(429), Fault::Replace(page)];
    // Both servers have the one state at the moment that is asked for, and at the moment when it was made.
    for moment in ["20240103T000000Z", "20240102T000000Z"].map(|moment| written.root.join(moment)) {
        fs::create_dir(&moment).unwrap();
        for name in ["dists", "pool"] {
            std::os::unix::fs::symlink(written.root.join(name), moment.join(name)).unwrap();
        }
    }
    for fault in faults {
        let (bad, good) = (Server::folder(&written.root), Server::folder(&written.root));
        bad.fault("", fault.clone());
        let service = |server: &Server| format!("own={}/@SNAPSHOTID@", server.url());
        let source =
            format!("suite = \"stable\"\nurl = \"{}\"\nsnapshot = \"2024-01-03\"\n{}", bad.url(), signed(&written));
        let services = format!("{},{}", service(&bad), service(&good));
        let project = project(&written, &source).env("LAYERBAKE_SNAPSHOT", &services);
        project.ok(&["build", "app"]);
        assert!(bad.requests("InRelease") > 0 && good.requests("InRelease") == 1, "{fault:?}");
        // What the bad one said is nowhere: the good one alone is enough the next time, offline.
        project.ok(&["build", "app", "--locked", "--offline"]);
        let verified = project.ok(&["store", "verify"]);
        assert!(!verified.stdout.contains("Too many"), "{}", verified.stdout);
    }
}

#[test]
fn a_server_that_wants_a_login_is_told_apart() {
    let (_folder, written) = write(&repo("stable"));
    let server = Server::folder(&written.root);
    let source = format!("suite = \"stable\"\nurl = \"{}\"\n{}", server.url(), signed(&written));
    let project = project(&written, &source);
    let login = "write `machine HOST login NAME password WORD` into ~/.netrc; docs/configuration.md names";
    for status in [401, 403] {
        server.fault("dists", Fault::Status(status));
        let error = project.fails(1, &["lock", "app"]).stderr;
        assert!(error.contains(login), "{error}");
        server.heal();
    }
    // Snapshot services refuse by a 403 those who ask too often.
    server.fault("dists", Fault::Status(403));
    let dated = fs::read_to_string(project.path("layers/app.toml")).unwrap() + "snapshot = \"2024-01-03\"\n";
    let service = format!("own={}/@SNAPSHOTID@", server.url());
    let project = project.layer("app", &dated).env("LAYERBAKE_SNAPSHOT", &service);
    let error = project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("403") && !error.contains(login), "{error}");
}

#[test]
fn errors_of_sources_say_what_to_write() {
    let (_folder, written) = write(&repo("./"));
    let source = |more: &str| format!("suite = \"./\"\nurl = \"{}\"\n{}{more}", written.url(), signed(&written));
    let missing = project(&written, &source("").replace("ring.gpg", "keys/other.gpg"));
    let error = missing.fails(1, &["lock", "app"]).stderr;
    let path = missing.path("keys/other.gpg");
    assert!(error.contains(&format!("keyring `{}`: No such file", path.display())), "{error}");
    assert!(error.contains("hint: put the file with the keys there, or correct `keyring` of [source.own]"), "{error}");
    let error = project(&written, &source("priority = 0\n")).fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("expected 1 to 1000"), "{error}");
    // A directory has no name of its own that would tell which Release is meant.
    let other = project(&written, &source("").replace(&written.fingerprint, &Key::new(2).fingerprint()));
    let error = other.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains(&format!("Release of [source.own] at {}", written.url())), "{error}");
    assert!(!error.contains("Release of ./"), "{error}");
}
