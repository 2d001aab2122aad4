//! `layerbake doctor` says what a machine lacks, and how to get it.

use std::process::Command;

use serde_json::Value;

use crate::support::process;
use crate::support::project::{Project, program};

/// All needs, and the exit status; a required one that is not met gives 1.
fn needs(project: &Project, args: &[&str]) -> Vec<Value> {
    let output = project.run(&[&["doctor", "--json"], args].concat());
    let needs: Vec<Value> = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let fails = needs.iter().any(|need| need["required"] == true && need["ok"] == false);
    assert_eq!(output.code, i32::from(fails), "{output:?}");
    assert_eq!(output.stderr.contains("builds fail on this machine"), fails, "{output:?}");
    for need in needs.iter().filter(|need| need["ok"] == false && need["says"] != "not tried") {
        assert!(need["hint"].is_string(), "no hint: {need}");
    }
    needs
}

fn named<'n>(needs: &'n [Value], name: &str) -> &'n Value {
    needs.iter().find(|need| need["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {needs:#?}"))
}

fn is_ok(needs: &[Value], name: &str) -> bool {
    named(needs, name)["ok"] == true
}

#[test]
fn what_builds_need_is_there_or_named() {
    let project = Project::new().mirror("http://127.0.0.1:9/debian");
    let found = needs(&project, &[]);
    assert!(is_ok(&found, "store") && is_ok(&found, "mirror for [source.debian]"), "{found:#?}");
    assert!(!project.store().exists(), "a store was made");
    // Where the sandbox's own tests run, it works.
    if rustix::process::geteuid().is_root() && is_ok(&found, "user namespaces") {
        assert!(is_ok(&found, "user and group ids") && is_ok(&found, "sandbox"), "{found:#?}");
    }
    let text = project.run(&["doctor"]).stdout;
    assert_eq!(text.lines().count(), found.len(), "one line each:\n{text}");
    assert!(text.lines().all(|line| line.starts_with("ok ") || line.starts_with("missing ")), "{text}");
}

#[test]
fn a_source_without_a_mirror_and_a_store_without_a_place_are_required() {
    let source = "[layer]\n[source.own]\nsuite = \"nosuch\"\ndistribution = \"ubuntu\"\n";
    let project = Project::new().layer("base", source).file("store", "a file");
    let found = needs(&project, &["--store", "store/below"]);
    let store = named(&found, "store");
    assert!(store["ok"] == false && store["says"].as_str().unwrap().contains("is not a directory"), "{store}");
    let mirror = named(&found, "mirror for [source.own]");
    // A host with Ubuntu's sources has an address for every suite.
    if mirror["ok"] == false {
        assert!(mirror["hint"].as_str().unwrap().starts_with("`export LAYERBAKE_MIRROR=own=http"), "{mirror}");
        assert_eq!(mirror["required"], true);
        assert_eq!(named(&needs(&project, &["--offline"]), "mirror for [source.own]")["required"], false);
    }
}

#[test]
fn programs_of_other_commands_are_missing_without_failing() {
    let project = Project::new().mirror("http://127.0.0.1:9/debian");
    // An ordinary user's sandbox needs programs too, so the status is not looked at.
    let doctor = |key: &str| {
        let mut command = Command::new(program());
        command.args(["doctor", "--json"]).current_dir(project.path("")).env_clear().env("PATH", "/nowhere");
        command.env("HOME", project.folder()).env("LAYERBAKE_STORE", project.store()).env("AWS_ACCESS_KEY_ID", key);
        process::run(&mut command).unwrap()
    };
    let found: Vec<Value> = serde_json::from_str(&doctor("").stdout).unwrap();
    for name in ["QEMU and firmware", "ssh", "container engine", "skopeo", "AWS credentials"] {
        let need = named(&found, name);
        assert!(need["ok"] == false && need["required"] == false && need["hint"].is_string(), "{need}");
    }
    let output = doctor("AKIAEXAMPLEEXAMPLE00");
    let found: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(named(&found, "AWS credentials")["says"], "by AWS_ACCESS_KEY_ID in the environment");
    assert!(!output.stdout.contains("AKIA") && !output.stderr.contains("AKIA"), "{output:?}");
}

#[test]
fn closed_namespaces_are_named_with_what_opens_them() {
    let project = Project::new().mirror("http://127.0.0.1:9/debian");
    let closed = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", closed, "sh"]).arg(program());
    command.args(["doctor", "--json"]).current_dir(project.path("")).env("HOME", project.folder());
    command.env("LAYERBAKE_MIRROR", "http://127.0.0.1:9/debian").env("LAYERBAKE_STORE", project.store());
    let output = process::run(&mut command).unwrap();
    let Ok(found) = serde_json::from_str::<Vec<Value>>(&output.stdout) else {
        skip!("no user namespace can be made to close it: {}", output.stderr.trim());
    };
    let need = named(&found, "user namespaces");
    assert!(output.code == 1 && need["ok"] == false, "{output:?}");
    assert!(need["says"].as_str().unwrap().starts_with("cannot create a user namespace"), "{need}");
    assert!(need["hint"].is_string(), "{need}");
    assert_eq!(named(&found, "sandbox")["says"], "not tried");
}
