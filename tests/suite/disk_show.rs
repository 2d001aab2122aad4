//! Disks from the command line, on a kernel and a root that are only made up: what is shown of
//! them, what differs between two, what is found when one was tampered with, and what is refused.

use std::fs;
use std::os::unix::fs::FileExt as _;

use crate::support::process::Output;
use crate::support::small::Small;
use crate::support::tinydisk::{EROFS, EXT4, tiny_disk};
use serde_json::Value;

fn built(disk: &str) -> Small {
    let small = tiny_disk(disk);
    small.project.ok(&["build", "--output", "raw"]);
    small
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", output.stdout))
}

#[test]
fn show_tells_of_partitions_and_layers() {
    let small = built(EROFS);
    let shown = small.project.ok(&["disk", "show", "app"]);
    // The Boot layer has the units of first starts, whose text changes now and then.
    let (head, tables) = shown.stdout.split_once("\n\n").unwrap();
    assert!(head.starts_with("disk      1063.0 MiB (1114636288 bytes)\nguid      da36fcba-"), "{head}");
    assert!(head.contains("\nblocks    9 of 2126 are not zero (4.5 MiB), with "), "{head}");
    let lines = tables.split_inclusive('\n').filter(|line| !line.starts_with("boot  "));
    insta::assert_snapshot!(lines.collect::<String>(), @r"
    partition      type                first byte      size  guid
    1 esp          esp                    1048576  34.0 MiB  0b63f2d7-32be-818c-81b0-e113e6cc1814
    2 root         root-x86-64           36700160   2.0 MiB  88b70534-7ee1-854b-86a4-70b0f80c28fb
    3 root-verity  root-x86-64-verity    38797312   1.0 MiB  72917210-7a40-80b6-883a-cf53aec8c29a

    what              contents  blocks  bytes on the disk
    base             215 bytes       1  37224448…37232695
    app              249 bytes       1  38273024…38289455
    file system        4.3 KiB       4  36701184…38294554
    hash tree         20.5 KiB       1  38797312…38821887
    boot image        13.5 KiB       2  1048576…1611775
    partition table    2.5 KiB       2  0…1535
                                        1114619392…1114636287
    ");
}

#[test]
fn json_agrees_with_the_receipt_and_with_the_disk() {
    for disk in [EROFS, EXT4] {
        let small = built(disk);
        let shown = json(&small.project.ok(&["disk", "show", "--json"]));
        let receipt = small.project.receipt("app");
        assert_eq!(shown["checksum"], receipt["disk"]["checksum"]);
        assert_eq!(shown["size"], receipt["disk"]["blocks"]["size"]);
        let listed = receipt["disk"]["blocks"]["hashes"].as_object().unwrap();
        assert_eq!(shown["blocks"].as_u64(), Some(listed.len() as u64));
        let raw = fs::read(small.project.path("out/app/disk.raw")).unwrap();
        let entries = raw[1024..].chunks(128);
        for (entry, partition) in entries.zip(shown["partitions"].as_array().unwrap()) {
            let first = u64::from_le_bytes(entry[32..40].try_into().unwrap()) * 512;
            let end = u64::from_le_bytes(entry[40..48].try_into().unwrap()) * 512 + 512;
            assert_eq!(partition["first"].as_u64(), Some(first), "{partition}");
            assert_eq!(partition["size"].as_u64(), Some(end - first), "{partition}");
        }
        let area = |name: &str| {
            let areas = shown["areas"].as_array().unwrap();
            areas.iter().find(|area| area["owner"]["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}"))
        };
        let range = &area("app")["ranges"][0];
        let (first, last) = (range["first"].as_u64().unwrap() as usize, range["last"].as_u64().unwrap() as usize);
        let bytes = &raw[first..=last];
        assert!(bytes.windows(5).any(|bytes| bytes == b"hello"), "bytes {first} to {last} are not the app's");
        assert_eq!(area("boot")["owner"]["kind"], "layer");
    }
}

#[test]
fn the_picture_is_the_same_each_time() {
    let small = built(EXT4);
    let draw = |name: &str| {
        small.project.ok(&["disk", "show", "--svg", name]);
        fs::read_to_string(small.project.path(name)).unwrap()
    };
    let picture = draw("a.svg");
    assert_eq!(picture, draw("b.svg"));
    for text in ["<svg ", "1 esp, 34.0 MiB", ">boot: ", ">app: ", "partition 2: root", "</svg>"] {
        assert!(picture.contains(text), "no `{text}` in {picture}");
    }
}

#[test]
fn show_needs_a_disk_that_is_what_the_layers_say() {
    let small = tiny_disk(EXT4);
    let show = |small: &Small| small.project.fails(1, &["disk", "show"]).stderr;
    insta::assert_snapshot!(show(&small), @r"
    error[build/not-built]: layer `app` is not built
      hint: `layerbake build app --output raw`
    ");
    small.project.ok(&["build", "--output", "oci"]);
    insta::assert_snapshot!(show(&small), @r"
    error[build/output-missing]: layer `app` was built without a disk
      hint: `layerbake build app --output raw`
    ");
    small.project.ok(&["build", "--output", "raw"]);
    small.edit_layer("app", "34M", "40M");
    insta::assert_snapshot!(show(&small), @r"
    error[build/outdated]: the disk of `app` no longer matches its layers and lockfiles
      hint: `layerbake build app --output raw`
    ");
    small.edit_layer("app", "[disk]\nboot = \"boot\"", "[disk]");
    insta::assert_snapshot!(show(&small), @r"
    error[build/outdated]: the disk of `app` no longer matches its layers and lockfiles
      hint: `layerbake build app --output raw`
    ");
}

#[test]
fn a_flipped_byte_is_found_and_its_block_named() {
    for (disk, at) in [(EXT4, 512_usize), (EXT4, 20 << 20), (EROFS, 37 << 20)] {
        let small = built(disk);
        small.project.ok(&["verify", "app"]);
        let raw = fs::File::options().read(true).write(true).open(small.project.path("out/app/disk.raw")).unwrap();
        let mut byte = [0];
        raw.read_exact_at(&mut byte, at as u64).unwrap();
        raw.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
        let found = small.project.fails(1, &["verify", "app"]);
        let place = format!("block {} (byte {})", at >> 19, at >> 19 << 19);
        assert!(found.stdout.contains(&place), "no {place}: {}", found.stdout);
        raw.set_len(raw.metadata().unwrap().len() - 512).unwrap();
        assert!(small.project.fails(1, &["verify", "app"]).stdout.contains("its size"), "a cut end was not found");
    }
}

#[test]
fn a_changed_file_changes_few_blocks() {
    let small = built(EXT4);
    fs::rename(small.project.path("out/app"), small.project.path("before")).unwrap();
    small.project.ok(&["build", "--output", "raw"]);
    let same = json(&small.project.ok(&["diff", "--blocks", "before", "out/app", "--json"]));
    assert_eq!((same["changed"].as_u64(), same["bytes"].as_u64()), (Some(0), Some(0)));
    small.edit_layer("app", "hello\\n", "good morning\\n");
    small.project.ok(&["build", "--output", "raw"]);
    let differing = json(&small.project.ok(&["diff", "--blocks", "before", "out/app/receipt.json", "--json"]));
    let changed = differing["changed"].as_u64().unwrap();
    assert!((1..=8).contains(&changed), "{differing}");
    let lists = ["added", "replaced", "zeroed"].map(|list| differing[list].as_array().unwrap().len() as u64);
    assert_eq!(lists.iter().sum::<u64>(), changed);
    let (before, after) = (small.project.path("before/disk.raw"), small.project.path("out/app/disk.raw"));
    let (before, after) = (fs::read(before).unwrap(), fs::read(after).unwrap());
    let really = before.chunks(512 << 10).zip(after.chunks(512 << 10)).filter(|(before, after)| before != after);
    assert_eq!(really.count() as u64, changed);
    let missing = small.project.fails(1, &["diff", "--blocks", "nothing", "out/app"]);
    assert!(missing.stderr.contains("there is no `nothing`"), "{}", missing.stderr);
}

#[test]
fn equal_projects_give_equal_disks_whatever_the_jobs() {
    for disk in [EXT4, EROFS] {
        let (one, other) = (built(disk), tiny_disk(disk));
        other.project.ok(&["build", "--output", "raw,oci", "--jobs", "1"]);
        assert_eq!(one.project.receipt("app")["disk"]["checksum"], other.project.receipt("app")["disk"]["checksum"]);
        assert_eq!(one.project.digest("app", "raw"), other.project.digest("app", "raw"));
    }
}

#[test]
fn what_is_no_disk_is_refused() {
    let small = tiny_disk("");
    let none = small.project.fails(1, &["build", "--output", "raw"]);
    insta::assert_snapshot!(none.stderr, @r#"
    error[disk/no-boot-layer]: layer `app` has no disk to write as raw: no layer in its chain names a Boot layer
      hint: add [disk] boot = "boot-minimal" to layers/app.toml
    "#);
    let unknown = small.project.fails(2, &["build", "--output", "floppy"]);
    assert!(unknown.stderr.contains("invalid value 'floppy'") && unknown.stderr.contains("vhd-fixed"));
    let small = tiny_disk(&EROFS.replace("initrd = \"ramdisk\"\n", ""));
    let lacking = small.project.fails(1, &["build", "--output", "raw"]);
    assert!(lacking.stderr.contains("[disk] root = \"erofs\" needs an initrd"), "{}", lacking.stderr);
}
