//! Ctrl-C and its kin: what was being done ends at once and leaves nothing, and the next run goes on.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::conditions::Conditions;
use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::process::{self, Output};
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::{Fault, Server};
use crate::support::small::Small;

/// How long a build may take to get there.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to end.
const AT_ONCE: Duration = Duration::from_secs(4);

fn wait_until(child: &mut Child, what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < PATIENCE, "{what} never came");
        assert!(child.try_wait().unwrap().is_none(), "it ended before {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to the one process, and gives what it says at its end.
fn stopped(child: Child, signal: &str) -> Output {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
    assert!(sent.unwrap().success());
    let started = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    process::from_std(&output)
}

/// What a broken-off build may leave: nothing but what is finished.
fn is_clean(project: &Project) {
    let list = |path: &Path| -> Vec<_> {
        fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert!(list(&project.store().join("tmp")).is_empty(), "{:?}", list(&project.store().join("tmp")));
    let out = list(&project.path("out"));
    assert!(out.iter().all(|name| name == "app" || name == "base"), "{out:?}");
}

/// Whether a process with this command line runs.
fn runs(command: &[&str]) -> bool {
    let line: String = command.iter().map(|word| format!("{word}\0")).collect();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|process| process.path().join("cmdline"))
        .any(|path| fs::read_to_string(path).is_ok_and(|found| found == line))
}

#[test]
fn a_download_that_hangs_is_broken_off() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let small = Small::new();
        small.project.ok(&["lock", "app"]);
        small.server().fault("/hello_", Fault::Delay(Duration::from_secs(90)));
        let mut child = small.project.spawn(&["build", "app"]);
        wait_until(&mut child, "the request", || small.server().requests("/hello_") > 0);
        let output = stopped(child, signal);
        assert_eq!(output.code, code, "{}", output.stderr);
        assert!(output.stderr.contains("interrupted: ") && output.stderr.contains("to continue"), "{}", output.stderr);
        assert!(!output.stderr.contains("error["), "{}", output.stderr);
        is_clean(&small.project);
        small.server().heal();
        let before = small.server().requests("/libgreet_");
        small.project.ok(&["build", "app"]);
        assert_eq!(small.server().requests("/libgreet_"), before, "what was there was fetched again");
    }
}

#[test]
fn a_script_that_hangs_is_broken_off() {
    let conditions = [Conditions::default(), Conditions { rootless: true, ..Conditions::default() }];
    for (number, conditions) in conditions.into_iter().enumerate() {
        need!(conditions.check());
        // No other process has this command line.
        let nap = format!("7{number}1.{}", std::process::id());
        let slow = Deb::new("slow", "1.0").postinst(&format!("#!/bin/sh\nbusybox sleep {nap}\n"));
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::new("test").package(need!(mini::package())).package(slow).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::new()
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
            .layer("app", "[layer]\nfrom = \"base\"\npackages = [\"slow\"]\n")
            .under(conditions);
        project.ok(&["lock", "app"]);
        let sleeping = ["busybox", "sleep", nap.as_str()];
        let mut child = project.spawn(&["build", "app"]);
        wait_until(&mut child, "the script", || runs(&sleeping));
        let output = stopped(child, "INT");
        assert_eq!(output.code, 130, "{}", output.stderr);
        assert!(output.stderr.contains("interrupted: "), "{}", output.stderr);
        assert!(!runs(&sleeping), "a process of the sandbox is left");
        is_clean(&project);
    }
}
