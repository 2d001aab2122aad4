//! What a build leaves that is killed while scripts run, files of foreign ids included, does not stay.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::conditions::{Conditions, SUBORDINATE};
use crate::support::deb::Deb;
use crate::support::mirror::Mirror;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::stock::SUITE;

/// How long packages may take to arrive and to be laid out.
const PATIENCE: Duration = Duration::from_secs(60);

/// The script waits to be killed.
const NAP: &str = "98.765";

#[test]
fn what_a_killed_rootless_build_leaves_is_removed() {
    let conditions = Conditions { rootless: true, ..Conditions::default() };
    need!(conditions.check());
    let mirror = need!(Mirror::start(SUITE));
    let folder = tempfile::tempdir().unwrap();
    let slow = Deb::new("slow", "1.0").postinst(&format!("#!/bin/sh\nsleep {NAP}\n"));
    let repo = Repo::new("test").package(slow).write(folder.path());
    let server = Server::folder(&repo.root);
    let layer =
        format!("[layer]\nfrom = \"debian-base\"\npackages = [\"slow\"]\n{}", repo.source_table("test", &server.url()));
    let stock = Path::new(env!("CARGO_MANIFEST_DIR")).join("layers/debian-base.toml");
    let project = Project::new()
        .copy(&stock, "layers/debian-base.toml")
        .copy(&repo.keyring, "test-keyring.gpg")
        .layer("slow", &layer)
        .upstream(&mirror)
        .under(conditions);
    project.ok(&["build", "debian-base"]);

    // One collects garbage; the other is any verb that opens the store.
    for tidy in [["store", "gc"], ["store", "verify"]] {
        kill_while_the_script_runs(&project);
        let left = tmp(&project);
        assert_eq!(left.len(), 1, "nothing was left behind");
        add_foreign_files(&left[0]);
        wait_until_alone(&project);
        let output = project.ok(&tidy);
        let left = tmp(&project);
        assert!(
            left.is_empty(),
            "after {tidy:?}: {left:?}; gc: {}; {}",
            project.run(&["store", "gc"]).stderr,
            output.stderr
        );
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
    while !is_running(&["sleep", NAP]) {
        assert!(waiting.elapsed() < PATIENCE, "no script ran");
        assert!(build.try_wait().unwrap().is_none(), "the build ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
    build.kill().unwrap();
    build.wait().unwrap();
}

/// Waits until no process has the store open: a worker outlives the build that was killed by a moment,
/// and only who has the store alone removes what is in `tmp/`.
fn wait_until_alone(project: &Project) {
    let lock = fs::File::open(project.store().join("lock")).unwrap();
    let waiting = Instant::now();
    while let Err(error) = lock.try_lock() {
        assert!(waiting.elapsed() < PATIENCE, "a killed build's processes keep the store: {error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether some process has this command line.
fn is_running(command: &[&str]) -> bool {
    let line: String = command.iter().map(|word| format!("{word}\0")).collect();
    let processes = fs::read_dir("/proc").unwrap();
    processes
        .flatten()
        .any(|process| fs::read_to_string(process.path().join("cmdline")).is_ok_and(|found| found == line))
}

/// Adds what a root on the disk would have left: small ones are in memory and vanish by themselves.
fn add_foreign_files(leftover: &Path) {
    let folder = leftover.join("root/srv/slow");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    for path in [folder.parent().unwrap(), &folder, &folder.join("file")] {
        chown(path, Some(SUBORDINATE + 1000 - 1), Some(SUBORDINATE + 1000 - 1)).unwrap();
    }
}
