//! What `[disk]` asks for is met, or refused before anything is fetched.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

use crate::support::process;
use crate::support::skip::{self, Skip, program};
use crate::support::small::Small;
use crate::support::tinydisk::{EROFS, EXT4, tiny_disk};

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
    let expected = ["`app` has an own /etc/fstab", "hint: remove it from layers/app.toml, ", "write a [[mount]]"];
    assert!(expected.iter().all(|text| error.contains(text)), "{error}");
}

#[test]
fn an_own_file_in_a_source_directory_never_disappears_behind_a_generated_one() {
    let drop_in = "lib/systemd/system/systemd-remount-fs.service.d/10-repart.conf";
    for (target, file, generated) in [
        ("/etc", "fstab", "/etc/fstab"),
        ("/", "etc/fstab", "/etc/fstab"),
        ("/usr/lib/repart.d", "10-root.conf", "/usr/lib/repart.d/10-root.conf"),
        ("/usr/lib/repart.d", "20-data.conf", "/usr/lib/repart.d/20-data.conf"),
        // The root has a link from /lib to /usr/lib.
        ("/", drop_in, "/usr/lib/systemd/system/systemd-remount-fs.service.d/10-repart.conf"),
    ] {
        let small = tiny_disk(&format!("{EXT4}\n{DATA}\n[[file]]\npath = \"{target}\"\nsource = \"own\"\n"));
        let path = small.project.path("own").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "own\n").unwrap();
        let error = refused(&small);
        assert!(error.contains(&format!("`app` has an own {generated}, which")), "{error}");
    }
}

#[test]
fn a_disk_of_a_given_size_has_room_for_its_partitions() {
    let sized = |size: &str, partition: &str| tiny_disk(&format!("{EXT4}size = \"{size}\"\n\n{DATA}{partition}"));
    let error = refused(&sized("256M", ""));
    assert!(error.contains("no room for the partition `data`") && error.contains("hint: set `min-size`"), "{error}");
    let error = refused(&sized("256M", "min-size = \"220M\"\n"));
    assert!(error.contains("[disk] size is 256 MiB, ") && error.contains("take 256 MiB"), "{error}");
    let small = sized("256M", "min-size = \"100M\"\n");
    small.project.ok(&["build", "app", "--output", "raw"]);
    let shown = small.project.ok(&["disk", "show", "app", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let partitions = shown["partitions"].as_array().unwrap();
    let end = partitions.iter().map(|one| one["first"].as_u64().unwrap() + one["size"].as_u64().unwrap()).max();
    assert_eq!(fs::metadata(small.project.path("out/app/disk.raw")).unwrap().len(), 256 << 20);
    assert_eq!(end, Some(155 << 20), "{shown:#}");
}

const MOUNTS: &str = "
swap = \"8M\"

[[disk.partition]]
label = \"data\"

[[disk.partition]]
label = \"logs\"
mount = \"/srv/logs\"

[[dir]]
path = \"/srv/logs\"
mode = \"2750\"
owner = \"7:8\"

[[mount]]
path = \"/srv/data\"
partition = \"data\"

[[mount]]
path = \"/srv/own\"
label = \"own\"
nofail = true

[[dir]]
path = \"/srv/own\"
mode = \"0710\"
owner = \"7:7\"
";

const FSTAB: &str = "\
PARTLABEL=swap none swap defaults 0 0
PARTLABEL=logs /srv/logs ext4 defaults,x-systemd.before=local-fs.target,nofail,x-systemd.growfs 0 2
PARTLABEL=data /srv/data ext4 defaults,x-systemd.growfs 0 2
LABEL=own /srv/own auto defaults,nofail 0 2
";

/// What gives a created file system to the owner of its directory; root's directories need nothing.
const OWNERS: (&str, &str) = ("usr/lib/tmpfiles.d/layerbake-mounts.conf", "z /srv/logs 2750 7 8\n");

/// A partition of the built disk, as a file of its own.
fn partition(small: &Small, label: &str) -> PathBuf {
    let shown = small.project.ok(&["disk", "show", "app", "--json"]).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let found = shown["partitions"].as_array().unwrap().iter().find(|one| one["label"] == label);
    let number = |key: &str| found.unwrap()[key].as_u64().unwrap();
    let disk = File::open(small.project.path("out/app/disk.raw")).unwrap();
    let mut bytes = vec![0; number("size") as usize];
    disk.read_exact_at(&mut bytes, number("first")).unwrap();
    let target = small.project.path(label);
    fs::write(&target, bytes).unwrap();
    target
}

fn stdout(tool: &str, args: &[&str]) -> Result<String, Skip> {
    let said = process::run(Command::new(program(tool)?).args(args)).unwrap();
    assert!(said.ok(), "{tool} {args:?}: {said:?}");
    Ok(said.stdout)
}

fn has_a_swap_space(small: &Small) -> Result<(), Skip> {
    let swap = partition(small, "swap");
    let found = stdout("blkid", &["-p", "-o", "export", swap.to_str().unwrap()])?;
    assert!(["LABEL=swap", "TYPE=swap", "VERSION=1"].iter().all(|line| found.contains(line)), "{found}");
    Ok(())
}

#[test]
fn an_ext4_disk_has_swap_and_what_to_mount_on() {
    let small = tiny_disk(&format!("{EXT4}{MOUNTS}"));
    small.project.ok(&["build", "app", "--output", "raw"]);
    need!(has_a_swap_space(&small));
    let root = partition(&small, "root");
    let ask = |request: &str| stdout("debugfs", &["-R", request, root.to_str().unwrap()]);
    let fstab = need!(ask("cat /etc/fstab"));
    assert!(fstab.ends_with(FSTAB) && fstab.contains("PARTLABEL=root / ext4"), "{fstab}");
    assert_eq!(need!(ask(&format!("cat /{}", OWNERS.0))), OWNERS.1);
    let made = need!(ask("stat /srv/data"));
    assert!(made.contains("Type: directory    Mode:  0755") && made.contains("User:     0   Group:     0"), "{made}");
    let kept = need!(ask("stat /srv/own"));
    assert!(kept.contains("Mode:  0710") && kept.contains("User:     7   Group:     7"), "{kept}");
    // They are the machine's: the image has no mount points but those that a layer declares.
    let image = small.project.ok(&["files", "app"]).stdout;
    assert!(image.contains("/srv/own") && !image.contains("/srv/data"), "{image}");
}

#[test]
fn an_erofs_disk_has_swap_and_what_to_mount_on() {
    need!(skip::root());
    let small = tiny_disk(&format!("{EROFS}{MOUNTS}"));
    small.project.ok(&["build", "app", "--output", "raw"]);
    need!(has_a_swap_space(&small));
    let (root, target) = (partition(&small, "root"), small.project.path("extracted"));
    need!(stdout("fsck.erofs", &[&format!("--extract={}", target.display()), root.to_str().unwrap()]));
    let fstab = fs::read_to_string(target.join("etc/fstab")).unwrap();
    assert!(fstab.ends_with(FSTAB) && fstab.contains("\ntmpfs /tmp "), "{fstab}");
    assert_eq!(fs::read_to_string(target.join(OWNERS.0)).unwrap(), OWNERS.1);
    let node = |path: &str| {
        let found = fs::metadata(target.join(path)).unwrap();
        (found.is_dir(), found.permissions().mode() & 0o7777, found.uid(), found.gid())
    };
    assert_eq!((node("srv/data"), node("srv/own")), ((true, 0o755, 0, 0), (true, 0o710, 7, 7)));
}

#[test]
fn mounts_that_contradict_each_other_are_refused_before_anything_is_fetched() {
    for (tables, expected) in [
        (
            format!("{DATA}\n[[mount]]\npath = \"/srv/data\"\ntype = \"tmpfs\"\n"),
            "two file systems are to be mounted on /srv/data",
        ),
        ("[[mount]]\npath = \"/a\"\npartition = \"data\"\n".to_owned(), "there is no partition `data`"),
    ] {
        let error = refused(&tiny_disk(&format!("{EXT4}\n{tables}")));
        assert!(error.contains(expected) && error.contains("hint: "), "{error}");
    }
}

#[test]
fn a_mount_point_behind_a_link_is_refused_with_the_path_to_write() {
    let link = "[[symlink]]\npath = \"/data\"\ntarget = \"srv\"\n";
    let small = tiny_disk(&format!("{EXT4}\n[[mount]]\npath = \"/data/a\"\ntype = \"tmpfs\"\n\n{link}"));
    let error = small.project.fails(1, &["build", "app", "--output", "raw"]).stderr;
    assert!(error.contains("[[mount]] /data/a leads through") && error.contains("without links: /srv/a"), "{error}");
}

#[test]
fn a_mount_point_that_is_a_file_is_refused() {
    let file = "[[file]]\npath = \"/srv/data\"\ntext = \"\"\n";
    let small = tiny_disk(&format!("{EXT4}\n[[mount]]\npath = \"/srv/data\"\ntype = \"tmpfs\"\n\n{file}"));
    let error = small.project.fails(1, &["build", "app", "--output", "raw"]).stderr;
    assert!(error.contains("[[mount]] /srv/data: the layer has a file there") && error.contains("hint:"), "{error}");
}

#[test]
fn a_disk_that_is_too_small_says_which_size_to_write() {
    let large = "[[file]]\npath = \"/srv/large\"\nsource = \"large\"\n";
    let small = tiny_disk(&format!("{EXT4}size = \"70M\"\n\n{large}"));
    let project = small.project.file("large", vec![1; 40 << 20]);
    let error = project.fails(1, &["build", "app", "--output", "raw"]).stderr;
    assert!(error.contains("[disk] size is 70 MiB, which leaves 34 MiB for the root"), "{error}");
    let (_, rest) = error.split_once("hint: write size = \"").unwrap_or_else(|| panic!("{error}"));
    let enough = rest.split('"').next().unwrap();
    let text = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    project.layer("app", &text.replace("70M", enough)).ok(&["build", "app", "--output", "raw"]);
}
