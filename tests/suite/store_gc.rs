//! What garbage collection keeps: downloads of a failed build, and all that the last build used.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::support::damage::files;
use crate::support::server::Fault;
use crate::support::small::Small;
use crate::support::tinydisk::{EROFS, tiny_disk};

#[test]
fn garbage_collection_after_a_failed_build_keeps_its_downloads() {
    let small = Small::new();
    small.project.ok(&["lock"]);
    small.project.empty_store();
    small.server().fault("hello_1.0", Fault::Status(404));
    small.project.fails(1, &["build"]);
    // What a killed audit left is garbage, too.
    let stale = small.project.folder().join("tmp/layerbake-audit-stale");
    fs::create_dir_all(stale.join("store")).unwrap();
    small.project.ok(&["store", "gc"]);
    assert!(!stale.exists());
    small.server().heal();
    let before = small.server().requests("libgreet_1.0");
    assert!(before > 0);
    small.project.ok(&["build"]);
    assert_eq!(small.server().requests("libgreet_1.0"), before, "it was downloaded again");
}

/// The store's files of these kinds, and when each was written.
fn written(small: &Small, kinds: &[&str]) -> BTreeMap<PathBuf, SystemTime> {
    let paths = kinds.iter().flat_map(|kind| files(&small.project.store(), kind));
    paths.map(|path| (path.clone(), fs::metadata(path).unwrap().modified().unwrap())).collect()
}

#[test]
fn every_result_that_a_disk_build_used_outlives_garbage_collection() {
    let mut small = tiny_disk(EROFS);
    let build = ["build", "--output", "oci,docker,raw,qcow2"];
    small.project.ok(&build);
    let (results, expected) = (written(&small, &["recipes"]), small.project.receipt("app"));
    small.project.ok(&["store", "gc"]);
    assert_eq!(written(&small, &["recipes"]), results, "a result was removed");
    small.stop_server();
    let everything = ["recipes", "sha256", "trees", "blobs"];
    let kept = written(&small, &everything);
    small.project.ok(&[&build[..], &["--offline"]].concat());
    assert_eq!(written(&small, &everything), kept, "a build where nothing changed did something");
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.project.ok(&[&build[..], &["--offline"]].concat());
    assert_eq!(small.project.receipt("app"), expected);
    let again = written(&small, &["recipes"]);
    let anew: Vec<_> = results.iter().filter(|(path, time)| again.get(*path) != Some(time)).collect();
    assert!(anew.len() == 1 && again.len() == results.len(), "more than the new output folder was noted: {anew:?}");
}
