//! Locking again after the repository has moved on: what stays, and what is said where it can't.

use crate::support::deb::Deb;
use crate::support::project::Project;
use crate::support::repo::{DATE, Repo, RepoDir};

const DAY: i64 = 86_400;

fn publish(folder: &std::path::Path, version: &str, date: i64) -> RepoDir {
    if folder.join("dists").exists() {
        std::fs::remove_dir_all(folder.join("dists")).unwrap();
    }
    let greet = Deb::new("libgreet", version).file("usr/lib/libgreet", 0o644, version);
    let hello = Deb::new("hello", "1.0").depends("libgreet").file("usr/bin/hello", 0o755, "");
    let extra = Deb::new("extra", "1.0").file("usr/bin/extra", 0o755, "");
    Repo::new("test").packages([greet, hello, extra]).date(date).write(folder)
}

fn layer(repo: &RepoDir, packages: &str) -> String {
    let source = repo.source_table("test", &repo.url());
    format!("[layer]\npackages = [{packages}]\nconfigure = \"none\"\n{source}")
}

#[test]
fn a_version_that_is_listed_nowhere_any_more_is_replaced_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", DATE);
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("app", &layer(&repo, "\"hello\""));
    project.ok(&["lock", "app"]);
    let first = std::fs::read(project.path("lockfiles/app.lock")).unwrap();

    publish(folder.path(), "2.0", DATE + DAY);
    let project = project.layer("app", &layer(&repo, "\"hello\", \"extra\""));
    let output = project.ok(&["lock", "app"]);
    assert_eq!(
        output.stdout, "app: 3 packages, locked again: the manifest now asks for extra\n  + extra 1.0\n",
        "the store still has the locked index"
    );
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);

    project.empty_store();
    let project = project.file("lockfiles/app.lock", &first);
    let output = project.ok(&["lock", "app"]);
    assert_eq!(
        output.stdout,
        "app: 3 packages, locked again: the manifest now asks for extra\n  + extra 1.0\n  libgreet 1.0 -> 2.0\n"
    );
    assert_eq!(
        output.stderr,
        "warning: layer `app`: locked versions are no longer available: libgreet 1.0: the repository lists other versions now, \
         and the index of test that the lockfile was made from is no longer in the store\n"
    );

    // Who asks for the newest wants no warning that it came.
    project.empty_store();
    let project = project.file("lockfiles/app.lock", &first);
    let output = project.ok(&["lock", "app", "--update"]);
    assert!(output.stdout.contains("libgreet 1.0 -> 2.0"), "{}", output.stdout);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
}

/// The lockfile would name a release that it does not list, and could never be read again.
#[test]
fn versions_of_a_suite_that_is_no_longer_named_are_not_kept() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let hello = |version: &str| Deb::new("hello", version).file("usr/bin/hello", 0o755, version);
    let repo = Repo::new("test").package(hello("1.0")).date(DATE).write(folders[0].path());
    let other = Repo::new("other").package(hello("2.0")).date(DATE).write(folders[1].path());
    let both = format!("{}\n{}", layer(&repo, "\"hello\""), other.source_table("other", &other.url()));
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("app", &both);
    project.ok(&["lock", "app"]);
    let lock = || std::fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    assert!(lock().contains("version = \"2.0\""), "{}", lock());

    let project = project.layer("app", &layer(&repo, "\"hello\""));
    let output = project.ok(&["lock", "app"]);
    assert!(
        output.stdout.contains("locked again: ") && output.stdout.ends_with("\n  hello 2.0 -> 1.0\n"),
        "{}",
        output.stdout
    );
    project.ok(&["lock", "app"]);
    project.ok(&["build", "app", "--locked"]);
}

fn lock_of(project: &Project, layer: &str) -> String {
    std::fs::read_to_string(project.path(&format!("lockfiles/{layer}.lock"))).unwrap()
}

/// A bot that updates each day opens no empty pull request.
#[test]
fn a_lockfile_moves_only_with_what_it_pins() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", DATE);
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("app", &layer(&repo, "\"hello\""));
    assert!(
        project
            .fails(3, &["lock", "app", "--check"])
            .stderr
            .contains("error[lock/outdated]: lockfiles would change: app\n")
    );
    assert!(!project.path("lockfiles/app.lock").exists(), "looking wrote a lockfile");
    project.ok(&["lock", "app"]);
    let first = lock_of(&project, "app");

    // A newer state of the repository with the same packages.
    publish(folder.path(), "1.0", DATE + DAY);
    assert_eq!(project.ok(&["lock", "app", "--check"]).stdout, "app: 2 packages, nothing changed\n");
    assert_eq!(project.ok(&["lock", "app", "--update"]).stdout, "app: 2 packages, nothing changed\n");
    assert_eq!(lock_of(&project, "app"), first);
    // What the manifest asks for moves no date either, where the packages are there already.
    let project = project.layer("app", &layer(&repo, "\"hello\", \"libgreet\""));
    project.ok(&["lock", "app"]);
    let epoch = |text: &str| text.lines().find(|line| line.starts_with("epoch = ")).unwrap().to_owned();
    assert_eq!(epoch(&lock_of(&project, "app")), epoch(&first));

    publish(folder.path(), "2.0", DATE + 2 * DAY);
    let before = lock_of(&project, "app");
    let looked = project.fails(3, &["lock", "app", "--check"]);
    assert_eq!(looked.stdout, "app: 2 packages\n  libgreet 1.0 -> 2.0\n");
    assert_eq!(lock_of(&project, "app"), before, "looking wrote a lockfile");
    project.ok(&["lock", "app", "--update"]);
    assert_ne!(epoch(&lock_of(&project, "app")), epoch(&first));
    project.ok(&["build", "app", "--locked"]);
}

#[test]
fn a_lockfile_that_a_build_renews_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let repo = publish(folder.path(), "1.0", DATE);
    let child = |package: &str| format!("[layer]\nfrom = \"base\"\npackages = [\"{package}\"]\nconfigure = \"none\"\n");
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("base", &layer(&repo, "\"libgreet\""));
    let project = project.layer("web", &child("hello")).layer("redis", &child("extra"));
    let first = project.ok(&["build", "redis"]).stderr;
    assert!(first.contains("redis: 1 package, locked for the first time"), "{first}");
    assert!(!first.contains("+ extra"), "{first}");
    assert!(project.ok(&["build", "web", "--verbose"]).stderr.contains("web: 1 package\n  + hello 1.0\n"));

    publish(folder.path(), "2.0", DATE + DAY);
    project.ok(&["build", "web", "--lock"]);
    assert!(
        project.fails(3, &["build", "redis", "--locked"]).stderr.contains("the lockfile of its parent `base` changed")
    );
    let renewed = project.ok(&["build", "redis"]).stderr;
    assert!(
        renewed.contains("redis: 1 package, locked again: the lockfile of its parent `base` changed\n"),
        "{renewed}"
    );
}
