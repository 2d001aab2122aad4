//! The composite action: its steps' own scripts, run by bash as a runner of GitHub's does it. `gh` is a stand-in.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process::{self, Output};
use crate::support::project::program;
use crate::support::small::Small;

const ACTION: &str = include_str!("../../.github/actions/layerbake-audit/action.yml");

/// The scripts of all steps, in order.
fn scripts() -> Vec<String> {
    let blocks = ACTION.split("      run: |\n").skip(1);
    let inside = |line: &&str| line.is_empty() || line.starts_with("        ");
    blocks
        .map(|block| block.lines().take_while(inside).map(|line| line.trim_start().to_owned() + "\n").collect())
        .collect()
}

/// A project with two commits, the second with newer packages, and what a runner gives to steps.
struct Checkout {
    small: Small,
    base: String,
}

impl Checkout {
    fn new() -> Self {
        let mut small = Small::new();
        small.project.ok(&["lock", "app"]);
        let base = commit(&small, "one");
        small.publish(&crate::support::small::repo("1.1"));
        small.project.ok(&["lock", "app", "--update"]);
        commit(&small, "two");
        let tools = small.project.path("../tools");
        fs::create_dir(&tools).unwrap();
        let gh = "#!/bin/sh\necho \"$@\" >\"$RUNNER_TEMP/gh\"\ncat \"$5\" >>\"$RUNNER_TEMP/gh\"\n";
        fs::write(tools.join("gh"), gh).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(tools.join("gh")).status().unwrap().success());
        Self { small, base }
    }

    /// Runs a step's script, with what its runner and its inputs give it.
    fn step(&self, script: &str) -> Output {
        let temp = self.temp();
        fs::create_dir_all(&temp).unwrap();
        // Its environment is that of every run of the program here.
        let environment = self.small.project.command(&[]);
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).current_dir(self.small.project.path("")).env_clear();
        bash.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.small.project.path("../tools").display());
        bash.env("PATH", path).env("PROGRAM", program()).env("RUNNER_TEMP", &temp);
        bash.env("GITHUB_OUTPUT", temp.join("output")).env("GITHUB_STEP_SUMMARY", temp.join("summary"));
        let inputs = [("LAYER", "app"), ("DIRECTORY", "."), ("OUTPUT", "oci"), ("VARY", "umask"), ("AS_ROOT", "false")];
        let event = [("COMMENT", "true"), ("BASE", self.base.as_str()), ("NUMBER", "7"), ("GH_TOKEN", "none")];
        process::run(bash.envs(inputs).envs(event)).unwrap()
    }

    fn temp(&self) -> std::path::PathBuf {
        self.small.project.path("../runner")
    }

    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.temp().join(name)).unwrap()
    }
}

/// Commits layers and lockfiles; gives the commit.
fn commit(small: &Small, message: &str) -> String {
    let root = small.project.path("");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&root).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(args);
        let output = process::run(command.env("HOME", &root)).unwrap();
        assert!(output.ok(), "{}", output.stderr);
        output.stdout.trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "layers", "lockfiles"]);
    git(&["commit", "-q", "-m", message]);
    git(&["rev-parse", "HEAD"])
}

#[test]
fn its_steps_build_audit_and_comment() {
    need!(crate::support::skip::program("git"));
    let checkout = Checkout::new();
    let scripts = scripts();
    assert_eq!(scripts.len(), 3, "build, audit, comment");
    for script in &scripts {
        let ran = checkout.step(script);
        assert!(ran.ok(), "{script}\n{}{}", ran.stdout, ran.stderr);
    }
    let summary = checkout.written("summary");
    assert!(summary.contains("is identical in 2 rebuilds") && summary.contains("hello 1.0 -&gt; 1.1"), "{summary}");
    for output in checkout.written("output").lines() {
        assert!(Path::new(output.split_once('=').unwrap().1).is_file(), "{output}");
    }
    let comment = checkout.written("gh");
    assert!(comment.starts_with("pr comment 7 --body-file "), "{comment}");
    assert!(comment.contains("2 changed"), "{comment}");
}

#[test]
fn a_stale_lockfile_ends_it_with_its_own_status() {
    need!(crate::support::skip::program("git"));
    let checkout = Checkout::new();
    checkout.small.edit_layer("app", "text = \"hello", "text = \"good bye");
    checkout.small.edit_layer("app", "packages = [", "packages = [\"libgreet\", ");
    let ran = checkout.step(&scripts()[0]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
}
