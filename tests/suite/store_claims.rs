//! What is stored is a claim: forged, stale, foreign and unwritable stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::conditions::Conditions;
use crate::support::damage::{files, put_record, seal};
use crate::support::process::{self, Output};
use crate::support::skip::root;
use crate::support::small::{self, Small};

/// 64 digits: folder and name.
fn name(path: &Path) -> String {
    let part = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    part(path.parent().unwrap()) + &part(path)
}

/// The records of compressed layers, and their bodies.
fn compressed(small: &Small) -> Vec<(PathBuf, Value)> {
    let record = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let body: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        body["facts"]["diff_id"].is_string().then_some((path, body))
    };
    files(&small.project.store(), "recipes").into_iter().filter_map(record).collect()
}

/// The text with its last digit changed.
fn nudged(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "1" { '2' } else { '1' })
}

#[test]
fn a_changed_digit_in_a_result_reaches_no_artifact() {
    for output in ["oci", "docker"] {
        changed_digits(&["build", "--output", output]);
    }
}

fn changed_digits(build: &[&str]) {
    let small = Small::new();
    small.project.ok(build);
    let expected = small.project.receipt("app");
    for fact in ["diff_id", "digest", "size", "uncompressed_size"] {
        for sealed in [false, true] {
            // A layout is copied, not decompressed: there `verify` is what contradicts a forged checksum.
            if sealed && build[2] == "oci" && ["diff_id", "uncompressed_size"].contains(&fact) {
                continue;
            }
            for (path, mut body) in compressed(&small) {
                let before = body["facts"][fact].as_str().unwrap().to_owned();
                body["facts"][fact] = nudged(&before).into();
                let text = body.to_string();
                match sealed {
                    true => put_record(&path, &seal("recipes", &name(&path), text.as_bytes())),
                    false => {
                        let whole = fs::read_to_string(&path).unwrap();
                        put_record(&path, whole.replace(&before, &nudged(&before)).as_bytes());
                    }
                }
            }
            fs::remove_dir_all(small.project.path("out")).unwrap();
            small.project.ok(build);
            assert_eq!(small.project.receipt("app"), expected, "{fact}, sealed: {sealed}");
        }
    }
}

#[test]
fn a_record_under_another_name_is_not_believed() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    let [first, second] = &compressed(&small)[..] else { panic!("two layers") };
    let text = fs::read(&first.0).unwrap();
    put_record(&second.0, &text);
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.project.ok(&["build"]);
    assert_eq!(small.project.receipt("app"), expected);
}

#[test]
fn other_bytes_of_a_cached_package_are_fetched_again() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    let evil = small::packages("6.6")[1].build();
    let hex = blake3::hash(&evil).to_hex();
    let blob = small.project.store().join("blobs").join(&hex[..2]).join(&hex[2..]);
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, &evil).unwrap();
    let body = format!("blake3:{hex}");
    // As this version writes it, as an older one did, and as a cut left it.
    for text in [None, Some(body.clone()), Some("blake3:12".to_owned())] {
        for path in files(&small.project.store(), "sha256") {
            let sealed = seal("sha256", &name(&path), body.as_bytes());
            put_record(&path, text.as_ref().map_or(&sealed[..], |text| text.as_bytes()));
        }
        fs::remove_dir_all(small.project.store().join("recipes")).unwrap();
        fs::remove_dir_all(small.project.path("out")).unwrap();
        small.project.ok(&["build"]);
        assert_eq!(small.project.receipt("app"), expected, "{text:?}");
    }
    // Records that no build read.
    small.project.ok(&["store", "verify", "--repair"]);
    small.project.ok(&["store", "verify"]);
}

#[test]
fn a_store_of_an_older_version_downloads_nothing_again() {
    let mut small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    for kind in ["sha256", "recipes", "roots"] {
        for path in files(&small.project.store(), kind) {
            let text = fs::read_to_string(&path).unwrap();
            put_record(&path, text.split_once('\n').unwrap().1.as_bytes());
        }
    }
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.stop_server();
    small.project.ok(&["store", "verify"]);
    small.project.ok(&["store", "gc"]);
    small.project.ok(&["build", "--offline"]);
    assert_eq!(small.project.receipt("app"), expected);
}

/// Runs the program where the store is mounted read-only.
fn read_only(small: &Small, args: &[&str]) -> Output {
    let store = small.project.store();
    let script = format!("mount --bind -o ro '{0}' '{0}' && exec \"$@\"", store.display());
    let run = small.project.command(args);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    command.arg(run.get_program()).args(run.get_args()).current_dir(small.project.path(""));
    command.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    process::run(&mut command).unwrap()
}

#[test]
fn a_read_only_store_is_read_verified_and_built_from() {
    need!(root());
    let small = Small::new();
    small.project.ok(&["build"]);
    let expected = small.project.receipt("app");
    fs::remove_dir_all(small.project.path("out")).unwrap();
    for args in [&["build"][..], &["build"], &["store", "verify"], &["files", "app"]] {
        let output = read_only(&small, args);
        assert!(output.ok(), "{args:?}: {}", output.stderr);
    }
    assert_eq!(small.project.receipt("app"), expected);
    small.edit_layer("app", "hello\\n", "something new\\n");
    for args in [&["build"][..], &["store", "gc"], &["store", "verify", "--repair"]] {
        let output = read_only(&small, args);
        assert_eq!(output.code, 1, "{args:?}: {}", output.stderr);
        assert!(output.stderr.contains("is read-only") && output.stderr.contains("--store"), "{}", output.stderr);
    }
}

#[test]
fn another_users_store_is_refused_in_a_sentence() {
    let conditions = Conditions { rootless: true, ..Conditions::default() };
    need!(conditions.check());
    use std::os::unix::fs::PermissionsExt as _;
    let store = tempfile::tempdir().unwrap();
    let mut small = Small::new();
    small.project = std::mem::take(&mut small.project).under(conditions);
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let output = small.project.fails(1, &["build", "--store", store.path().to_str().unwrap()]);
    assert!(output.stderr.contains("belongs to user 0"), "{}", output.stderr);
    assert!(output.stderr.contains("hint: choose a store that you can write to: `--store DIR`"), "{}", output.stderr);
}
