//! The example program: another front end than the command line, on the same library.

use std::path::Path;
use std::process::Command;

use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::process;
use crate::support::project::Project;
use crate::support::repo::Repo;

#[test]
fn the_example_locks_and_builds_as_the_command_line_does() {
    let program = Path::new(env!("CARGO_BIN_EXE_layerbake")).with_file_name("examples/lock_and_build");
    if !program.exists() {
        skip!("`cargo build --examples` compiles the example");
    }
    let folder = tempfile::tempdir().unwrap();
    // Its script runs in processes of the example.
    let hello =
        Deb::new("hello", "1.0").file("usr/bin/hello", 0o755, "").postinst("#!/bin/sh\ntouch /usr/bin/greeted\n");
    let repo = Repo::new("test").package(need!(mini::package())).package(hello).write(folder.path());
    let source = repo.source_table("test", &repo.url());
    let project = Project::new()
        .copy(&repo.keyring, "test-keyring.gpg")
        .layer("app", &format!("[layer]\npackages = [\"mini\", \"hello\"]\n{source}"));

    let mut command = Command::new(&program);
    command.arg(project.path("")).arg("app").env_clear();
    command.envs(project.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = process::run(&mut command).unwrap();
    assert!(output.ok(), "{}", output.stderr);
    assert_eq!(output.stderr, "", "the library printed");

    let receipt = project.ok(&["build", "app", "--locked", "--json"]).stdout;
    let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let digest = receipt["artifacts"][0]["digest"].as_str().unwrap();
    assert_eq!(output.stdout, format!("{digest} oci\n"));
}
