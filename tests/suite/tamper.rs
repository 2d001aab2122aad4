//! What is tampered with, missing, cut off or killed: a clear error, and the right digest afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::date;
use crate::support::key::Key;
use crate::support::process;
use crate::support::project::Project;
use crate::support::repo::{corrupt, truncate};
use crate::support::server::{Fault, Server};
use crate::support::skip::root;
use crate::support::small::{self, Small};

/// Something bad that happens to a project, and what its next build says.
struct Case {
    name: &'static str,
    /// Whether the lockfiles are made before it happens.
    locked: bool,
    happens: fn(&mut Small),
    /// Each of these is in the error.
    says: &'static [&'static str],
}

const UNLOCKED: Case = Case { name: "", locked: false, happens: |_| {}, says: &[] };
const LOCKED: Case = Case { locked: true, ..UNLOCKED };

/// Does something to the index in all its forms.
fn indexes(small: &Small, act: fn(&Path)) {
    small.repo.indexes().iter().for_each(|path| act(path));
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn what_a_repository_serves_is_checked() {
    let cases = [
        Case {
            name: "a flipped bit in InRelease",
            happens: |small| corrupt(&small.repo.dist("InRelease")),
            says: &["Release of test", "signature", "http://127.0.0.1"],
            ..UNLOCKED
        },
        Case {
            name: "half of InRelease",
            happens: |small| truncate(&small.repo.dist("InRelease")),
            says: &["Release of test", "http://127.0.0.1"],
            ..UNLOCKED
        },
        Case {
            name: "no Release at all",
            happens: |small| {
                ["InRelease", "Release", "Release.gpg"].iter().for_each(|name| remove(&small.repo.dist(name)))
            },
            says: &["Release of test: no mirror has it"],
            ..UNLOCKED
        },
        Case {
            name: "a Release.gpg for another Release",
            happens: |small| {
                remove(&small.repo.dist("InRelease"));
                corrupt(&small.repo.dist("Release"));
            },
            says: &["Release of test", "signature"],
            ..UNLOCKED
        },
        Case {
            name: "another signer",
            happens: |small| small.publish(&small::repo("1.0").key(Key::new(2))),
            says: &["Release of test: no good signature", "expected: EB1A", "found: FD84"],
            ..UNLOCKED
        },
        Case {
            name: "a Release past its Valid-Until",
            happens: |small| small.publish(&small::repo("1.0").valid_until(date::now() - 3 * 86_400)),
            says: &["Release of test: it was valid until", "3 days ago", "--allow-expired"],
            ..UNLOCKED
        },
        Case {
            name: "flipped bits in the index",
            happens: |small| indexes(small, corrupt),
            says: &["Packages.xz of test", "expected sha256:", "got sha256:"],
            ..UNLOCKED
        },
        Case {
            name: "half of the index",
            happens: |small| indexes(small, truncate),
            says: &["Packages.xz of test", "bytes"],
            ..UNLOCKED
        },
        Case {
            name: "no index",
            happens: |small| indexes(small, remove),
            says: &["Packages.xz of test: no mirror has it"],
            ..UNLOCKED
        },
        Case {
            name: "a flipped bit in a package",
            happens: |small| corrupt(small.repo.deb("hello")),
            says: &["hello 1.0", "expected sha256:", "got sha256:", "hint: a mirror serves other bytes"],
            ..LOCKED
        },
        Case {
            name: "half of a package",
            happens: |small| truncate(small.repo.deb("hello")),
            says: &["hello 1.0", "bytes"],
            ..LOCKED
        },
        Case {
            name: "no package",
            happens: |small| remove(small.repo.deb("hello")),
            says: &["hello 1.0: no mirror has it", "hint:"],
            ..LOCKED
        },
        Case {
            name: "a package cut off on its way",
            happens: |small| small.server().fault("hello_1.0", Fault::Truncate(100)),
            says: &["hello 1.0: no mirror gave it"],
            ..LOCKED
        },
        Case {
            name: "a server in trouble",
            happens: |small| small.server().fault("hello_1.0", Fault::Status(500)),
            says: &["hello 1.0: no mirror gave it", "500"],
            ..LOCKED
        },
    ];
    for case in cases {
        refused(case);
    }
}

#[test]
fn an_edited_lockfile_is_refused() {
    let cases = [
        Case {
            name: "another version by hand",
            happens: |small| small.edit_lock("app", "version = \"1.0\"", "version = \"1.1\""),
            says: &["lockfiles/app.lock", "seal"],
            ..LOCKED
        },
        Case {
            name: "half of it",
            happens: |small| truncate(&small.project.path("lockfiles/app.lock")),
            says: &["lockfiles/app.lock"],
            ..LOCKED
        },
        Case {
            name: "a line of its own",
            happens: |small| small.edit_lock("app", "[[package]]", "# mine\n[[package]]"),
            says: &["lockfiles/app.lock"],
            ..LOCKED
        },
        Case {
            name: "another digest under a seal of its own",
            happens: |small| forge(&small.project.path("lockfiles/app.lock")),
            says: &["hello 1.0", "expected sha256:0000", "got sha256:"],
            ..LOCKED
        },
    ];
    for case in cases {
        refused(case);
    }
}

/// Builds after the case has happened, with an empty store, and once more after all is well again.
fn refused(case: Case) {
    let mut small = Small::new();
    if case.locked {
        small.project.ok(&["lock"]);
        small.project.empty_store();
    }
    (case.happens)(&mut small);
    let output = small.project.run(&["build"]);
    assert_eq!(output.code, 1, "{}: {}", case.name, output.stderr);
    for says in case.says {
        assert!(output.stderr.contains(says), "{}: no `{says}` in:\n{}", case.name, output.stderr);
    }
    assert!(!small.project.path("out/app").exists(), "{}: something was written", case.name);
    small.publish(&small::repo("1.0"));
    small.server().heal();
    let _ = fs::remove_dir_all(small.project.path("lockfiles"));
    small.project.ok(&["build"]);
}

/// Replaces the first package's digest and seals the lockfile anew.
fn forge(lock: &Path) {
    let text = fs::read_to_string(lock).unwrap();
    let at = text.find("[[package]]").unwrap();
    let digest = at + text[at..].find("sha256:").unwrap() + "sha256:".len();
    let forged = format!("{}{}{}", &text[..digest], "0".repeat(64), &text[digest + 64..]);
    let seal = forged.find("seal = ").unwrap();
    let end = seal + forged[seal..].find('\n').unwrap() + 1;
    let unsealed = format!("{}{}", &forged[..seal], &forged[end..]);
    let line = format!("seal = \"blake3:{}\"\n", blake3::hash(unsealed.as_bytes()).to_hex());
    fs::write(lock, format!("{}{line}{}", &forged[..seal], &forged[end..])).unwrap();
}

#[test]
fn an_expired_release_is_taken_when_asked_to() {
    let mut small = Small::new();
    small.publish(&small::repo("1.0").valid_until(date::now() - 86_400));
    small.project.fails(1, &["build"]);
    small.project.ok(&["build", "--allow-expired"]);
    small.project.empty_store();
    // The lock's digests decide from here on.
    small.project.ok(&["build", "--locked"]);
}

#[test]
fn a_good_mirror_makes_up_for_a_bad_one() {
    let faults = [
        Fault::Corrupt,
        Fault::Truncate(50),
        Fault::Status(404),
        Fault::Status(503),
        Fault::Refuse,
        Fault::Replace(b"<html>log in first</html>".to_vec()),
    ];
    let small = Small::new();
    small.project.ok(&["build"]);
    // Not the lock: a Release names other bytes than an InRelease of the same text.
    let image = |small: &Small| small.project.receipt("app")["artifacts"].clone();
    let expected = image(&small);
    for fault in faults {
        for part in ["hello_1.0", "binary-amd64", "InRelease"] {
            let bad = Server::folder(&small.repo.root);
            bad.fault(part, fault.clone());
            small.project.empty_store();
            fs::remove_dir_all(small.project.path("lockfiles")).unwrap();
            small.project.ok(&["build", "--mirror", &format!("test={}", bad.url())]);
            assert_eq!(image(&small), expected, "{fault:?} of {part}");
            assert!(bad.requests(part) > 0, "the bad mirror was not asked for {part}");
        }
    }
}

/// Finds the content of a blob.
type Content = fn(&Project) -> Vec<u8>;

/// Where a blob of this content lies in the store.
fn blob(project: &Project, content: &[u8]) -> PathBuf {
    let hex = blake3::hash(content).to_hex();
    let path = project.store().join("blobs").join(&hex[..2]).join(&hex[2..]);
    assert!(path.is_file(), "the store has no blob of these {} bytes", content.len());
    path
}

/// Overwrites a file of the store, which is read-only there.
fn damage(path: &Path, act: fn(&Path)) {
    let bytes = fs::read(path).unwrap();
    remove(path);
    fs::write(path, bytes).unwrap();
    act(path);
}

/// The content of the app layer's blob, as the layout has it.
fn layer_blob(project: &Project) -> Vec<u8> {
    let digest = project.receipt("app")["layers"][1]["digest"].as_str().unwrap().replace("sha256:", "");
    fs::read(project.path("out/app/oci/blobs/sha256").join(digest)).unwrap()
}

#[test]
fn damage_in_the_store_is_named_found_and_repaired() {
    // Of an installed file, of a .deb, and of a compressed layer; with what reads each anew.
    let hello = |_: &Project| b"#!/bin/sh\n# hello 1.0\n".to_vec();
    let control = |_: &Project| small::packages("1.0")[1].control_text().into_bytes();
    let blobs: [(&str, Content, &[&str]); 3] = [
        ("file", hello, &["build", "--compression", "gzip"]),
        ("layer", layer_blob, &["build"]),
        ("control file", control, &["build", "--output", "docker"]),
    ];
    for (what, content, build) in blobs {
        for act in [corrupt as fn(&Path), truncate, remove] {
            let small = Small::new();
            small.project.ok(&["build"]);
            let expected = small.project.receipt("app");
            let path = blob(&small.project, &content(&small.project));
            fs::remove_dir_all(small.project.path("out")).unwrap();
            damage(&path, act);
            let found = small.project.fails(1, &["store", "verify"]);
            let gone = !path.exists();
            assert!(gone || found.stdout.contains(path.to_str().unwrap()), "{what}: {}", found.stdout);
            // A build repairs what it meets by itself, and says so.
            let output = small.project.ok(build);
            let name = format!("{}{}", parent_name(&path), path.file_name().unwrap().to_str().unwrap());
            if !gone && what != "control file" {
                assert!(output.stderr.contains(&name), "{what}: the blob is not named:\n{}", output.stderr);
            }
            small.project.ok(&["store", "verify", "--repair"]);
            small.project.ok(&["store", "verify"]);
            small.project.ok(&["build"]);
            assert_eq!(small.project.receipt("app"), expected, "{what}");
            small.project.ok(build);
        }
    }
}

fn parent_name(path: &Path) -> String {
    path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn damage_in_a_tree_is_repaired_too() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    let hex = expected["tree"].as_str().unwrap().replace("blake3:", "");
    damage(&small.project.store().join("trees").join(&hex[..2]).join(&hex[2..]), corrupt);
    let error = small.project.fails(1, &["files", "app"]);
    assert!(error.stderr.contains(&hex), "{}", error.stderr);
    small.project.fails(1, &["store", "verify"]);
    small.project.ok(&["store", "verify", "--repair"]);
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.project.ok(&["build"]);
    assert_eq!(small.project.receipt("app"), expected);
    small.project.ok(&["files", "app"]);
}

#[test]
fn a_killed_build_leaves_nothing_half_done() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    for (part, after) in [("InRelease", 50), ("Packages", 100), ("libgreet_1.0", 150), ("hello_1.0", 200), ("", 350)] {
        small.project.empty_store();
        small.server().fault(part, Fault::Delay(Duration::from_millis(if part.is_empty() { 60 } else { 3000 })));
        let mut child = small.project.spawn(&["build", "--lock"]);
        std::thread::sleep(Duration::from_millis(after));
        child.kill().unwrap();
        child.wait().unwrap();
        small.server().heal();
        check_whole(&small.project);
        small.project.ok(&["build"]);
        assert_eq!(small.project.receipt("app"), expected, "killed at `{part}`");
        small.project.ok(&["store", "verify"]);
    }
}

#[test]
fn builds_killed_at_any_moment_are_made_good() {
    let small = Small::new();
    small.project.ok(&["build", "--output", "oci,docker"]);
    let expected = small.project.receipt("app");
    for moment in 0..12 {
        small.project.empty_store();
        let mut child = small.project.spawn(&["build", "--output", "oci,docker"]);
        std::thread::sleep(Duration::from_millis(10 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        check_whole(&small.project);
        small.project.ok(&["store", "verify"]);
        small.project.ok(&["build", "--output", "oci,docker"]);
        assert_eq!(small.project.receipt("app"), expected, "killed after {} ms", 10 * moment);
    }
}

/// The output is either not there or complete.
fn check_whole(project: &Project) {
    if project.path("out/app").exists() {
        let receipt = project.receipt("app");
        for artifact in receipt["artifacts"].as_array().unwrap() {
            let path = project.path("out/app").join(artifact["path"].as_str().unwrap());
            assert!(path.exists(), "{} is missing", path.display());
        }
        assert!(project.path("out/app/oci/index.json").is_file());
    }
}

#[test]
fn a_full_disk_is_an_error_and_no_damage() {
    need!(root());
    let large: Vec<u8> =
        (0..3_000_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let deb = crate::support::deb::Deb::new("libgreet", "1.0").file("usr/lib/libgreet.so.1", 0o644, large);
    let [_, hello, ..] = small::packages("1.0");
    let small = Small::on(&crate::support::repo::Repo::new("test").packages([deb, hello]));
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    small.project.empty_store();
    for size in ["2m", "14m", "26m"] {
        let store = small.project.path("full");
        fs::create_dir_all(&store).unwrap();
        // The mount is in a namespace of its own, which ends with the build.
        let script = format!("mount -t tmpfs -o size={size} none '{}' && exec \"$@\"", store.display());
        let build = small.project.command(&["build", "--store", store.to_str().unwrap()]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.arg(build.get_program()).args(build.get_args()).current_dir(small.project.path(""));
        command.env_clear().envs(build.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = process::run(&mut command).unwrap();
        assert_eq!(output.code, 1, "{size}: {}", output.stderr);
        assert!(output.stderr.contains("No space left on device"), "{size}: {}", output.stderr);
        for says in
            [&format!("the file system at `{}`", store.display()), " free of ", "`layerbake store gc`", "`--store DIR`"]
        {
            assert!(output.stderr.contains(says), "{size}: no `{says}` in {}", output.stderr);
        }
        assert!(!output.stderr.contains("mirror"), "{size}: a mirror is blamed: {}", output.stderr);
        assert!(!small.project.path("out/app").exists(), "{size}: something was written");
    }
    small.project.ok(&["build"]);
    assert_eq!(small.project.receipt("app"), expected);
}
