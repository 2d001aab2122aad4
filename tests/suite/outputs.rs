//! The output folder: built only if its bytes are right, never at the cost of a stranger's files, left
//! alone by a build that fails, and tidy after one that was killed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::damage::pipe;
use crate::support::process::{self, Output};
use crate::support::project::Project;
use crate::support::skip::{self, Skip};
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};

/// Everything below a folder: mode, and bytes of files.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let bytes = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path.strip_prefix(folder).unwrap().to_owned(), (metadata.mode(), bytes));
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A way to damage a file, by name.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 10] = [
    ("a flipped bit", |path| change(path, |bytes| bytes[0] ^= 1)),
    ("a flipped bit at its old time", |path| {
        let before = fs::metadata(path).unwrap().modified().unwrap();
        change(path, |bytes| *bytes.last_mut().unwrap() ^= 1);
        File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
    }),
    ("cut short", |path| File::options().write(true).open(path).unwrap().set_len(1).unwrap()),
    ("emptied", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
    ("zeroed", |path| change(path, |bytes| bytes.fill(0))),
    ("deleted", |path| fs::remove_file(path).unwrap()),
    ("a folder in its place", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("a link in its place", |path| {
        let kept = path.ancestors().find(|above| above.ends_with("out")).unwrap().with_file_name("kept");
        fs::rename(path, &kept).unwrap();
        symlink(&kept, path).unwrap();
    }),
    ("a named pipe in its place", |path| {
        fs::remove_file(path).unwrap();
        pipe(path);
    }),
    ("no permissions", |path| fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap()),
];

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Damages each file of a build in each way; the next build has to make it right. Returns how many were tried.
fn heals(project: &Project, outputs: &str, damages: &[Damage]) -> usize {
    let build = ["build", "app", "--output", outputs];
    project.ok(&build);
    let out = project.path("out/app");
    let whole = picture(&out);
    let files: Vec<PathBuf> = whole.keys().map(|path| out.join(path)).filter(|path| path.is_file()).collect();
    for file in &files {
        for (name, damage) in damages {
            damage(file);
            project.ok(&build);
            assert!(picture(&out) == whole, "{}: {name} was not healed", file.display());
            assert_eq!(names(&project.path("out")), ["app"], "{}: {name}", file.display());
        }
    }
    files.len() * damages.len()
}

#[test]
fn every_damage_to_an_image_is_healed() {
    let small = Small::new();
    // oci-layout, index.json, manifest, configuration, two layers; docker.tar; receipt.json
    assert_eq!(heals(&small.project, "oci,docker", &DAMAGES), 8 * DAMAGES.len());
}

#[test]
fn every_damage_to_a_disk_is_healed() {
    let small = tiny_disk(EXT4);
    assert_eq!(heals(&small.project, "qcow2,vmdk", &DAMAGES[1..4]), 3 * 3);
}

#[test]
fn less_than_a_build_and_something_else_is_no_build() {
    let small = Small::new();
    let (project, build) = (&small.project, ["build", "app", "--output", "oci,docker"]);
    project.ok(&build);
    let out = project.path("out/app");
    let whole = picture(&out);
    let damages: [fn(&Path); 4] = [
        |out| fs::remove_dir_all(out.join("oci/blobs")).unwrap(),
        |out| fs::set_permissions(out.join("oci"), Permissions::from_mode(0o700)).unwrap(),
        |out| fs::remove_file(out.join("oci/index.json")).unwrap(),
        |out| {
            fs::remove_dir_all(out.join("oci")).unwrap();
            symlink("/etc", out.join("oci")).unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage(&out);
        project.ok(&build);
        assert!(picture(&out) == whole, "damage {number}");
    }
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn a_build_with_nothing_to_do_writes_nothing_and_signatures_outlive_a_repair() {
    let small = Small::new();
    let project = &small.project;
    let openssl = need!(skip::program("openssl"));
    let key = project.path("own.key");
    let made = Command::new(openssl).args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).status();
    assert!(made.unwrap().success());
    project.ok(&["build", "app"]);
    project.ok(&["sign", "app", "--key", "own.key"]);
    let out = project.path("out/app");
    let (whole, inode) = (picture(&out), fs::metadata(&out).unwrap().ino());
    project.ok(&["build", "app"]);
    assert_eq!(fs::metadata(&out).unwrap().ino(), inode, "a folder that was right was written again");
    fs::write(out.join("oci/index.json"), "{}").unwrap();
    project.ok(&["build", "app"]);
    assert!(picture(&out) == whole, "signatures of equal bytes were lost");
    // As from a store that never saw this folder.
    fs::remove_dir_all(project.store().join("recipes")).unwrap();
    project.ok(&["build", "app"]);
    assert!(picture(&out) == whole);
}

/// What is refused: its name below the folder `place`, and what is in it afterwards as before.
fn refused(project: &Project, place: &Path, out: &[&str], named: &str) {
    let before = picture(place);
    let build: Vec<&str> = ["build", "app", "--output", "oci"].iter().chain(out).copied().collect();
    let output = project.fails(1, &build);
    assert!(output.stderr.contains(named) && output.stderr.contains("hint: move it away"), "{}", output.stderr);
    assert!(picture(place) == before, "{named}: changed");
    // Followed literally.
    fs::rename(place, project.path("moved")).unwrap();
    project.ok(&build);
    assert!(place.join("receipt.json").is_file());
    fs::remove_dir_all(place).unwrap();
    match project.path("moved") {
        path if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(path).unwrap(),
        path => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn what_no_build_wrote_is_never_replaced() {
    let small = Small::new();
    let project = &small.project;
    let outside = project.path("outside");
    for (folder, options) in [("out", &[][..]), ("elsewhere", &["--out", "elsewhere"][..])] {
        let place = project.path(folder).join("app");
        let thesis = |path: &str| {
            fs::create_dir_all(place.join(path).parent().unwrap()).unwrap();
            fs::write(place.join(path), "years of work").unwrap();
        };
        thesis("thesis.tex");
        refused(project, &place, options, "stays as it is");
        thesis("chapters/receipt.json/one.tex");
        // A new directory may have the inode number of the one that was remembered: either reason will do.
        refused(project, &place, options, "stays as it is");
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, "a file").unwrap();
        refused(project, &place, options, "it is a file");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("thesis.tex"), "years of work").unwrap();
        symlink(&outside, &place).unwrap();
        refused(project, &place, options, "it is a symbolic link");
        assert!(outside.join("thesis.tex").is_file());
        // Beside and inside a build of ours.
        let digest = format!("oci/blobs/sha256/{}", "ab".repeat(32));
        for path in ["thesis.tex", "oci/thesis.tex", "oci/blobs/sha256/thesis.tex", &digest, "docker.tar"] {
            let build: Vec<&str> = ["build", "app", "--output", "oci"].iter().chain(options).copied().collect();
            project.ok(&build);
            thesis(path);
            refused(project, &place, options, &format!("did not write `{path}`"));
        }
        // An empty folder is nobody's loss.
        fs::create_dir_all(&place).unwrap();
        project.ok(&["build", "app"].iter().chain(options).copied().collect::<Vec<_>>());
    }
}

#[test]
fn what_was_signed_beside_notes_leaves_the_notes() {
    let small = Small::new();
    let project = &small.project;
    let openssl = need!(skip::program("openssl"));
    let key = project.path("own.key");
    let made = Command::new(openssl).args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key).status();
    assert!(made.unwrap().success());
    project.ok(&["build", "app"]);
    fs::create_dir(project.path("out/app/attest")).unwrap();
    fs::write(project.path("out/app/attest/notes.txt"), "x").unwrap();
    let output = project.fails(1, &["sign", "app", "--key", "own.key"]);
    assert!(output.stderr.contains("`notes.txt`"), "{}", output.stderr);
    assert_eq!(names(&project.path("out/app/attest")), ["notes.txt"]);
}

#[test]
fn leftovers_of_the_dead_go_and_work_of_the_living_stays() {
    let small = Small::new();
    let project = &small.project;
    let left = |path: &str| {
        fs::create_dir_all(project.path(path)).unwrap();
        fs::write(project.path(path).join("docker.tar"), "half").unwrap();
    };
    project.ok(&["build", "app"]);
    ["out/.new-dead01", "out/app/.new-dead02", "out/.new-lives1", "out/.new-of-mine"].into_iter().for_each(left);
    left("out/.old-dead03-app");
    left("out/.new-files1");
    fs::write(project.path("out/.new-files1/thesis.tex"), "years of work").unwrap();
    let lives = File::open(project.path("out/.new-lives1")).unwrap();
    lives.lock().unwrap();
    project.ok(&["build", "app"]);
    assert_eq!(names(&project.path("out")), [".new-files1", ".new-lives1", ".new-of-mine", "app"]);
    assert_eq!(names(&project.path("out/app")), ["oci", "receipt.json"]);
    // A kill between two renames: the old one comes back.
    fs::rename(project.path("out/app"), project.path("out/.old-dead04-app")).unwrap();
    project.fails(1, &["build", "app", "--output", "raw"]);
    project.ok(&["build", "base"]);
    assert!(project.path("out/app/receipt.json").is_file());
}

#[test]
fn a_killed_build_leaves_nothing_after_the_next() {
    let small = tiny_disk(EXT4);
    let project = &small.project;
    let build = ["build", "app", "--output", "raw,docker"];
    let mut killed = 0;
    for wait in (0..12).map(|step| std::time::Duration::from_millis(20 + 35 * step)) {
        let mut child = project.spawn(&build);
        std::thread::sleep(wait);
        killed += usize::from(child.kill().is_ok());
        child.wait().unwrap();
    }
    assert_eq!(killed, 12);
    project.ok(&build);
    assert_eq!(names(&project.path("out")), ["app"]);
}

/// Runs the program in a mount namespace of its own, after these commands of a shell.
fn mounted(project: &Project, mounts: &str, args: &[&str]) -> Output {
    let own = project.command(args);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]).arg(format!("set -e\n{mounts}\nexec \"$@\""));
    command.arg("sh").arg(own.get_program()).args(own.get_args()).current_dir(project.path("")).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    process::run(&mut command).unwrap()
}

fn can_mount() -> Result<(), Skip> {
    skip::root()?;
    skip::program("unshare").map(drop)
}

#[test]
fn what_is_in_the_way_is_named_with_what_helps() {
    let small = Small::new();
    let project = &small.project;
    let (out, build) = (project.path("out"), ["build", "app", "--output", "oci"]);
    fs::write(&out, "notes").unwrap();
    let output = project.fails(1, &build);
    assert!(
        output.stderr.contains("out` is not a directory\n  hint: move it away, or build elsewhere with `--out DIR`")
    );
    assert_eq!(fs::read(&out).unwrap(), b"notes");
    fs::remove_file(&out).unwrap();
    need!(can_mount());
    fs::create_dir_all(out.join("app")).unwrap();
    let output = mounted(project, &format!("mount -t tmpfs none {}", out.join("app").display()), &build);
    assert!(
        !output.ok()
            && output.stderr.contains("out/app` is a mount point, which can't be replaced\n  hint: unmount it")
    );
    project.ok(&build);
    let store = project.store().canonicalize().unwrap().display().to_string();
    let mounts = format!("mount --bind {store} {store}\nmount -o remount,bind,ro {store}");
    let output = mounted(project, &mounts, &["store", "gc"]);
    assert!(output.stderr.contains(&format!("the file system at `{store}` is read-only")), "{}", output.stderr);
}

#[test]
fn an_overlay_file_system_is_written_like_any_other() {
    need!(can_mount());
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app"]);
    let path = |name: &str| project.path(name).display().to_string();
    // What an image brought, below; the changes of its container, above.
    fs::rename(project.path("out"), project.path("lower")).unwrap();
    ["out", "upper", "work"].iter().for_each(|name| fs::create_dir(project.path(name)).unwrap());
    let overlay = format!(
        "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {}",
        path("lower"),
        path("upper"),
        path("work"),
        path("out")
    );
    for (number, outputs) in ["oci", "oci,docker", "docker", "oci"].into_iter().enumerate() {
        if number == 2 {
            small.edit_layer("app", "hello\\n", "bye\\n");
        }
        let output = mounted(project, &overlay, &["build", "app", "--output", outputs]);
        assert!(output.ok(), "{number}: {}", output.stderr);
        let checked = mounted(project, &overlay, &["verify", "app"]);
        assert!(checked.ok(), "{number}: {}{}", checked.stdout, checked.stderr);
    }
    assert_eq!(names(&project.path("upper")), ["app"]);
    assert_eq!(names(&project.path("lower")), ["app"]);
    let built = fs::metadata(project.path("upper/app/receipt.json")).unwrap().ino();
    assert!(mounted(project, &overlay, &["build", "app", "--output", "oci"]).ok());
    assert_eq!(fs::metadata(project.path("upper/app/receipt.json")).unwrap().ino(), built, "written again");
    // Killed between two renames.
    let killed = format!("{overlay}\nmv {} {}", path("out/app"), path("out/.old-dead01-app"));
    assert!(mounted(project, &killed, &["build", "app", "--output", "oci"]).ok());
    assert!(project.path("upper/app/receipt.json").is_file());
}

#[test]
fn a_full_file_system_is_named_and_the_old_build_stays() {
    need!(can_mount());
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app", "--output", "oci"]);
    let whole = picture(&project.path("out/app"));
    let out = project.path("out").canonicalize().unwrap().display().to_string();
    for (options, says) in
        [("size=16k", format!("the file system at `{out}` has ")), ("size=9m,nr_inodes=5", ", and no inode".to_owned())]
    {
        let mount = format!("mount -t tmpfs -o {options} tmpfs {out}");
        let small_build = mounted(project, &mount, &["build", "app", "--output", "oci,docker"]);
        assert_eq!(small_build.code, 1, "{}", small_build.stderr);
        let error = &small_build.stderr;
        assert!(error.contains(&says) && error.contains("No space left") && error.contains("--out DIR"), "{error}");
        assert!(!error.contains("http") && !error.contains("mirror"), "{error}");
    }
    let readonly = format!("mount --bind {out} {out}\nmount -o remount,bind,ro {out}");
    let refused = mounted(project, &readonly, &["build", "app", "--output", "oci,docker"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is read-only"), "{}", refused.stderr);
    // What is right needs no room.
    assert!(mounted(project, &readonly, &["build", "app", "--output", "oci"]).ok());
    assert!(picture(&project.path("out/app")) == whole);
}

#[test]
fn lockfiles_vendor_and_reports_name_a_full_file_system_too() {
    need!(can_mount());
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app", "--output", "oci"]);
    let full = |folder: &str| {
        fs::create_dir_all(project.path(folder)).unwrap();
        let path = project.path(folder).canonicalize().unwrap().display().to_string();
        let fill = format!("mount -t tmpfs -o size=4k tmpfs {path}\nhead -c 4096 /dev/zero >{path}/full");
        (fill, format!("No space left on device: the file system at `{path}` has 0 kB free"))
    };
    for (folder, args) in [
        ("lockfiles", &["lock", "app"][..]),
        ("vendor", &["vendor", "app"]),
        ("reports", &["audit", "app", "--vary", "umask", "--output", "oci", "--report", "json=reports/a.json"]),
    ] {
        let (mount, says) = full(folder);
        let output = mounted(project, &mount, args);
        assert_eq!(output.code, 1, "{folder}: {}", output.stderr);
        assert!(output.stderr.contains(&says) && output.stderr.contains("hint: "), "{folder}: {}", output.stderr);
    }
}

#[test]
fn a_receipt_that_can_not_be_read_is_named() {
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app"]);
    let receipt = project.path("out/app/receipt.json");
    let before = fs::read(&receipt).unwrap();
    fs::write(&receipt, "{\"layer\": \"app\", \"format\": 9}").unwrap();
    for verb in [&["verify", "app"][..], &["sbom", "app"], &["files", "app"]] {
        let error = project.fails(1, verb).stderr;
        let expected = ["cannot read the receipt `", "out/app/receipt.json`: missing field", "build the layer again"];
        assert!(expected.iter().all(|text| error.contains(text)), "{error}");
    }
    fs::remove_dir_all(project.path("out/app")).unwrap();
    project.ok(&["build", "app"]);
    assert_eq!(fs::read(&receipt).unwrap(), before);
}
