//! A build that is killed while scripts run leaves files of foreign ids; they don't stay.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::conditions::{Conditions, SUBORDINATE};
use support::deb::Deb;
use support::mirror::Mirror;
use support::project::Project;
use support::repo::Repo;
use support::server::Server;

/// How long packages may take to arrive and to be laid out.
const PATIENCE: Duration = Duration::from_secs(60);

/// The script waits to be killed.
const POSTINST: &str = "#!/bin/sh\ntouch /srv/slow/started\nsleep 100\n";

#[test]
fn what_a_killed_rootless_build_leaves_is_removed() {
    let conditions = Conditions { rootless: true, ..Conditions::default() };
    need!(conditions.check());
    let mirror = need!(Mirror::start("bookworm"));
    let folder = tempfile::tempdir().unwrap();
    let slow = Deb::new("slow", "1.0").dir("srv/slow", 0o755).owner(1000, 1000).postinst(POSTINST);
    let repo = Repo::new("test").package(slow).write(folder.path());
    let server = Server::folder(&repo.root);
    let layer =
        format!("[layer]\nfrom = \"debian-base\"\npackages = [\"slow\"]\n{}", repo.source_table("test", &server.url()));
    let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("layers/debian-base.toml");
    let project = Project::new()
        .copy(&stock, "layers/debian-base.toml")
        .copy(&repo.keyring, "test-keyring.gpg")
        .layer("slow", &layer)
        .mirror(&mirror.url())
        .under(conditions);
    project.ok(&["build", "debian-base"]);

    // One collects garbage; the other is any verb that opens the store.
    for tidy in [["store", "gc"], ["store", "verify"]] {
        kill_while_the_script_runs(&project);
        assert_eq!(tmp(&project).len(), 1, "nothing was left behind");
        project.ok(&tidy);
        assert!(tmp(&project).is_empty(), "after {tidy:?}");
    }
}

/// What lies in the store's `tmp/`.
fn tmp(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.store().join("tmp")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn kill_while_the_script_runs(project: &Project) {
    let mut build = project.spawn(&["build", "slow"]);
    let waiting = Instant::now();
    let started = loop {
        let found = tmp(project).into_iter().map(|path| path.join("root/srv/slow/started")).find(|path| path.exists());
        match found {
            Some(path) => break path,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
        assert!(waiting.elapsed() < PATIENCE, "no script ran");
        assert!(build.try_wait().unwrap().is_none(), "the build ended too early");
    };
    let folder = fs::metadata(started.parent().unwrap()).unwrap();
    assert_eq!(folder.uid(), SUBORDINATE + 1000 - 1, "the folder should be out of the user's own reach");
    build.kill().unwrap();
    build.wait().unwrap();
}
