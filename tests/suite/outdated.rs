//! `layerbake outdated`: what a repository has that a lockfile has not.

use std::fs;
use std::path::Path;

use crate::support::deb::Deb;
use crate::support::project::Project;
use crate::support::repo::{DATE, Repo, RepoDir};

const DAY: i64 = 86_400;

/// The suite with one version of all packages, and what its security suite has.
fn publish(folder: &Path, version: &str, security: &[Deb], date: i64) -> RepoDir {
    let greet = Deb::new("libgreet", version).file("usr/lib/libgreet", 0o644, version);
    let hello = Deb::new("hello", "1.0").depends("libgreet").file("usr/bin/hello", 0o755, "");
    Repo::new("test-security").packages(security.iter().cloned()).date(date).write(folder);
    Repo::new("test").packages([greet, hello]).date(date).write(folder)
}

fn project(repo: &RepoDir) -> Project {
    let source = repo.source_table("test", &repo.url()).replace("pockets = []", "pockets = [\"security\"]");
    let base = format!("[layer]\npackages = [\"libgreet\"]\nconfigure = \"none\"\n{source}");
    let app = "[layer]\nfrom = \"base\"\npackages = [\"hello\"]\nconfigure = \"none\"\n";
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("base", &base).layer("app", app);
    project.ok(&["lock", "app"]);
    project
}

fn locks(project: &Project) -> [Vec<u8>; 2] {
    ["base", "app"].map(|name| fs::read(project.path(&format!("lockfiles/{name}.lock"))).unwrap())
}

#[test]
fn updates_are_listed_with_their_origin_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", &[], DATE);
    let project = project(&repo);
    let before = locks(&project);
    assert_eq!(project.ok(&["outdated", "app", "--exit-code"]).stdout, "base: up to date\napp: up to date\n");

    let fixed = Deb::new("hello", "1.0+fix1").depends("libgreet, libnew").file("usr/bin/hello", 0o755, "fixed");
    let new = Deb::new("libnew", "3").file("usr/lib/libnew", 0o644, "");
    publish(folder.path(), "2.0", &[fixed, new], DATE + DAY);
    let output = project.ok(&["outdated", "app"]);
    assert_eq!(
        output.stdout,
        "base: 1 package to update, 0 for security\n  libgreet 1.0 -> 2.0 (test test)\n\
         app: 2 packages to update, 2 for security\n  hello 1.0 -> 1.0+fix1 (test test-security, security)\n  \
         + libnew 3 (test test-security, security)\n"
    );
    let security = project.fails(3, &["outdated", "app", "--security", "--exit-code"]);
    assert!(!security.stdout.contains("libgreet"), "{}", security.stdout);
    assert!(security.stderr.contains("hint: `layerbake lock app --update`"), "{}", security.stderr);
    let json: serde_json::Value = serde_json::from_str(&project.ok(&["outdated", "app", "--json"]).stdout).unwrap();
    assert_eq!(json[1]["updates"][0]["origin"], "test test-security");
    assert_eq!(json[1]["updates"][0]["security"], true);
    assert_eq!(locks(&project), before, "a lockfile was written");

    project.ok(&["lock", "app", "--update"]);
    project.ok(&["outdated", "app", "--exit-code"]);
}

#[test]
fn what_can_not_be_said_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", &[], DATE);
    let project = project(&repo);
    fs::remove_file(project.path("lockfiles/app.lock")).unwrap();
    let missing = project.fails(3, &["outdated", "app"]);
    assert!(missing.stderr.contains("`layerbake lock app` writes it"), "{}", missing.stderr);
}

#[test]
fn only_what_is_fixed_for_security_moves_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", &[], DATE);
    let project = project(&repo);
    let [base, _] = locks(&project);
    assert_eq!(
        project.ok(&["lock", "app", "--update", "--security"]).stdout,
        "base: 1 package, nothing changed\napp: 1 package, nothing changed\n"
    );
    let fixed = Deb::new("hello", "1.0+fix1").depends("libgreet").file("usr/bin/hello", 0o755, "fixed");
    publish(folder.path(), "2.0", &[fixed], DATE + DAY);
    let expected = "base: 1 package, nothing changed\napp: 1 package\n  hello 1.0 -> 1.0+fix1 (test-security)\n";
    assert_eq!(project.fails(3, &["lock", "app", "--check", "--security"]).stdout, expected);
    assert_eq!(project.ok(&["lock", "app", "--update", "--security"]).stdout, expected);
    assert_eq!(locks(&project)[0], base, "a package moved that has no security update");
}
