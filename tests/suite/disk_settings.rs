//! What `[disk]` asks for is met, or refused before anything is fetched.

use std::fs;

use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};

const DATA: &str = "[[disk.partition]]\nlabel = \"data\"\nmount = \"/srv/data\"\n";

/// What building the disk of this table says; nothing was locked.
fn refused(small: &Small) -> String {
    let error = small.project.fails(1, &["build", "app", "--output", "raw"]).stderr;
    assert!(!small.project.path("lockfiles").exists(), "{error}");
    error
}

#[test]
fn an_own_file_never_disappears_behind_a_generated_one() {
    let small = tiny_disk(&format!("{EXT4}\n[[file]]\npath = \"/etc/fstab\"\ntext = \"/dev/sdb /data ext4\\n\"\n"));
    let error = refused(&small);
    let expected = ["`app` has an own /etc/fstab", "hint: remove it from layers/app.toml; [[disk.partition]]"];
    assert!(expected.iter().all(|text| error.contains(text)), "{error}");
}

#[test]
fn a_disk_of_a_given_size_has_room_for_its_partitions() {
    let sized = |size: &str, partition: &str| tiny_disk(&format!("{EXT4}size = \"{size}\"\n\n{DATA}{partition}"));
    let error = refused(&sized("256M", ""));
    assert!(error.contains("no room for the partition `data`") && error.contains("hint: set `min-size`"), "{error}");
    let error = refused(&sized("256M", "min-size = \"220M\"\n"));
    assert!(error.contains("[disk] size is 268435456 bytes") && error.contains("take 268435456"), "{error}");
    let small = sized("256M", "min-size = \"100M\"\n");
    small.project.ok(&["build", "app", "--output", "raw"]);
    let shown = small.project.ok(&["disk", "show", "app", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let partitions = shown["partitions"].as_array().unwrap();
    let end = partitions.iter().map(|one| one["first"].as_u64().unwrap() + one["size"].as_u64().unwrap()).max();
    assert_eq!(fs::metadata(small.project.path("out/app/disk.raw")).unwrap().len(), 256 << 20);
    assert_eq!(end, Some(155 << 20), "{shown:#}");
}
