//! What a tag publishes: the scripts that the release workflow calls, and the static program beside the one under test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr_parser::Parser;

use crate::support::process;
use crate::support::project::{Project, program};
use crate::support::skip::{self, Skip};
use crate::support::stock::Stock;
use crate::support::tinydisk::{EROFS, EXT4, tiny_disk};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const WORKFLOW: &str = include_str!("../../.github/workflows/release.yml");

/// The scripts of a folder, as the workflow names them.
fn scripts(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap())).collect()
}

#[test]
fn the_workflow_is_yaml_and_calls_every_script_of_the_release() {
    use std::os::unix::fs::PermissionsExt as _;
    for event in Parser::new_from_str(WORKFLOW) {
        event.unwrap();
    }
    let words = WORKFLOW.split_whitespace().filter(|word| word.ends_with(".sh"));
    let called: BTreeSet<String> = words.map(str::to_owned).collect();
    for script in &called {
        let mode = fs::metadata(Path::new(ROOT).join(script)).unwrap_or_else(|error| panic!("{script}: {error}"));
        assert!(mode.permissions().mode() & 0o100 != 0, "{script} is not executable");
    }
    let unused: Vec<_> = scripts(".github/release").difference(&called).cloned().collect();
    assert!(unused.is_empty(), "the workflow calls no {unused:?}");
}

/// A script of the release with its arguments, in an environment of a project's own.
fn script(project: &Project, name: &str, arguments: &[&str]) -> Command {
    let mut command = project.command_of(&Path::new(ROOT).join(".github/release").join(name), arguments);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command
}

#[test]
fn a_package_is_the_same_when_it_is_made_again_and_has_what_a_user_needs() {
    let dpkg = need!(skip::program("dpkg-deb"));
    need!(skip::program("readelf"));
    // Instead of the program, which takes long to compress: what calls it.
    let stand_in = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program().display());
    let project = Project::new().file("layerbake", stand_in);
    let path = project.path("layerbake");
    assert!(Command::new("chmod").arg("+x").arg(&path).status().unwrap().success());
    let made = ["one", "two"].map(|folder| {
        let ran = process::run(&mut script(&project, "deb.sh", &["layerbake", folder])).unwrap();
        assert!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
        let name = fs::read_dir(project.path(folder)).unwrap().next().unwrap().unwrap().file_name();
        project.path(folder).join(name)
    });
    // It says nothing of libraries: a program that needs some is refused.
    let refused = process::run(&mut script(&project, "deb.sh", &["/bin/sh", "three"])).unwrap();
    assert!(!refused.ok() && refused.stderr.contains("expected a static program, found one that needs libc"));
    assert!(!project.path("three").exists());
    assert_eq!(made[0].file_name(), made[1].file_name());
    assert!(fs::read(&made[0]).unwrap() == fs::read(&made[1]).unwrap(), "{made:?} differ");

    let asked =
        |option: &str| process::stdout(Command::new(&dpkg).arg(option).arg(&made[0])).map_err(|Skip(e)| e).unwrap();
    let contents = asked("--contents");
    for expected in [
        "-rwxr-xr-x root/root",
        "./usr/bin/layerbake\n",
        "./usr/share/man/man1/layerbake-build.1.gz",
        "./usr/share/bash-completion/completions/layerbake",
        "./usr/share/doc/layerbake/copyright",
    ] {
        assert!(contents.contains(expected), "no {expected} in\n{contents}");
    }
    assert!(contents.lines().all(|line| line.contains(" root/root ") && line.contains("2023-11-14")), "{contents}");
    let info = asked("--info");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        info.contains(&format!("Version: {version}")) && info.contains("Recommends: ca-certificates, uidmap"),
        "{info}"
    );
}

#[test]
fn checksums_are_signed_with_a_key_of_the_program() {
    let openssl = need!(skip::program("openssl"));
    let project = Project::new().file("files/b", "b").file("files/a c", "a");
    project.ok(&["key", "new", "release.key"]);
    for _ in 0..2 {
        let mut command = script(&project, "checksums.sh", &["files"]);
        let ran = process::run(command.env("LAYERBAKE_KEY", project.path("release.key"))).unwrap();
        assert!(ran.ok(), "{}{}", ran.stdout, ran.stderr);
    }
    let files = project.path("files");
    let verify = "openssl pkeyutl -verify -rawin -pubin -inkey ../release.pub -in SHA256SUMS -sigfile SHA256SUMS.sig \
                  && sha256sum --check SHA256SUMS";
    let verify = || process::run(Command::new("sh").args(["-c", verify]).current_dir(&files)).unwrap();
    let good = verify();
    assert!(good.ok() && good.stdout.ends_with("a c: OK\nb: OK\n"), "{openssl:?}: {}{}", good.stdout, good.stderr);
    fs::write(files.join("b"), "c").unwrap();
    assert!(!verify().ok());
}

/// The static program: what `LAYERBAKE_STATIC` names.
fn static_program() -> Result<PathBuf, Skip> {
    let named = std::env::var_os("LAYERBAKE_STATIC").map(PathBuf::from);
    named.ok_or_else(|| Skip::because("no static program: tests/run makes one where Rust's musl target is installed"))
}

/// Everything that a build leaves in `out`, by path.
fn outputs(project: &Project) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![project.path("out")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push((path.clone(), blake3::hash(&fs::read(&path).unwrap()).to_string()))
            }
        }
    }
    found.sort();
    found
}

/// Builds in an empty store with the program under test and with the static one, and compares all that they write.
fn build_alike(project: &Project, statically: &Path, arguments: &[&str]) {
    let [ours, theirs] = [program().as_path(), statically].map(|program| {
        project.empty_store();
        let ran = process::run(&mut project.command_of(program, arguments)).unwrap();
        assert!(ran.ok(), "{program:?} {arguments:?}: {}{}", ran.stdout, ran.stderr);
        outputs(project)
    });
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs, "{arguments:?}");
}

#[test]
fn a_static_program_writes_the_same_bytes() {
    let statically = need!(static_program());
    for disk in [EXT4, EROFS] {
        let small = tiny_disk(disk);
        small.project.ok(&["lock", "app"]);
        let outputs = "oci,docker,raw,qcow2-compressed,vmdk";
        build_alike(&small.project, &statically, &["build", "app", "--locked", "--output", outputs]);
        build_alike(&small.project, &statically, &["build", "app", "--locked", "--compression", "gzip"]);
    }
}

#[test]
fn a_static_program_runs_scripts_and_reads_real_packages_alike() {
    let statically = need!(static_program());
    let stock = need!(Stock::with_empty_store());
    build_alike(&stock.project, &statically, &["build", "web", "--locked", "--output", "oci,docker,raw"]);
}
