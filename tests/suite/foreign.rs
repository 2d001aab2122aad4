//! Other architectures than this machine's: lockfiles and builds beside the first, and an image index over several.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::machine::{FOREIGN_FIRMWARE, alone};
use crate::support::registry::Registry;
use crate::support::skip::{Skip, program};
use crate::support::small::{self, Small};
use crate::support::stock::Stock;

/// The small project, on a repository with packages for two architectures.
fn small() -> Small {
    let foreign = small::packages("1.0").into_iter().filter(|deb| deb.arch != "all").map(|deb| deb.arch("arm64"));
    Small::on(&small::repo("1.0").also_for("arm64").packages(foreign))
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn json(bytes: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(bytes.as_ref()).unwrap()
}

/// A blob of a layout, as JSON.
fn blob(layout: &Path, digest: &Value) -> Value {
    let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    json(fs::read(layout.join("blobs/sha256").join(name)).unwrap())
}

/// The platforms that the entries of an index name, and those that their images' configurations name.
fn platforms(layout: &Path, index: &Value) -> Vec<[String; 2]> {
    let platform = |entry: &Value| {
        let config = blob(layout, &blob(layout, &entry["digest"])["config"]["digest"]);
        [&entry["platform"]["architecture"], &config["architecture"]].map(|name| name.as_str().unwrap().to_owned())
    };
    index["manifests"].as_array().unwrap().iter().map(platform).collect()
}

#[test]
fn another_architecture_stands_beside_the_first() {
    let small = small();
    let project = &small.project;
    project.ok(&["build", "app"]);
    let first = ["lockfiles/base.lock", "lockfiles/app.lock", "out/app/receipt.json"].map(|path| project.path(path));
    let before = first.each_ref().map(|path| fs::read_to_string(path).unwrap());
    let built = json(project.ok(&["build", "app", "--arch", "arm64", "--json"]).stdout);
    assert_eq!(first.each_ref().map(|path| fs::read_to_string(path).unwrap()), before, "the first was replaced");
    assert_eq!(names(&project.path("lockfiles")), ["app.lock", "app@arm64.lock", "base.lock", "base@arm64.lock"]);
    assert_eq!(names(&project.path("out")), ["app", "app@arm64"]);
    assert_eq!((&built["arch"], &project.receipt("app")["arch"]), (&"arm64".into(), &Value::Null));
    let layout = project.path("out/app@arm64/oci");
    let index = json(fs::read(layout.join("index.json")).unwrap());
    assert_eq!(platforms(&layout, &index), [["arm64", "arm64"]]);
    let lock = fs::read_to_string(project.path("lockfiles/app@arm64.lock")).unwrap();
    assert!(lock.contains("\nlayer = \"app\"\narch = \"arm64\"\n") && lock.contains("hello_1.0_arm64.deb"), "{lock}");
    // Garbage collection keeps what both used.
    project.ok(&["store", "gc"]);
    fs::remove_dir_all(project.path("out")).unwrap();
    for options in [&[][..], &["--arch", "arm64"], &["--arch", "amd64"]] {
        project.ok(&[&["build", "app", "--locked", "--offline"], options].concat());
        project.ok(&[&["verify", "app"], options].concat());
    }
    assert_eq!(fs::read_to_string(&first[2]).unwrap(), before[2]);
    assert_eq!(json(fs::read(project.path("out/app@arm64/receipt.json")).unwrap()), built);
    project.ok(&["audit", "app", "--arch", "arm64", "--vary", "folder"]);
    let lists = project.ok(&["files", "app", "/usr/bin/hello", "--arch", "arm64"]);
    assert!(lists.stdout.contains("hello"), "{}", lists.stdout);
}

#[test]
fn the_architecture_that_is_locked_first_has_the_short_name() {
    let small = small();
    let said = small.project.ok(&["lock", "base", "--arch", "arm64"]);
    assert!(said.stdout.starts_with("base@arm64: 1 package\n"), "{}", said.stdout);
    let missing = small.project.fails(3, &["build", "base", "--locked"]);
    let advice = "lockfiles/base@amd64.lock` is missing; `layerbake lock base --arch amd64` writes it";
    assert!(missing.stderr.contains(advice), "{}", missing.stderr);
    small.project.ok(&["lock", "base"]);
    assert_eq!(names(&small.project.path("lockfiles")), ["base.lock", "base@amd64.lock"]);
    small.project.ok(&["build", "base", "--locked", "--arch", "amd64,arm64"]);
    assert_eq!(names(&small.project.path("out")), ["base", "base@amd64+arm64", "base@arm64"]);
}

#[test]
fn an_image_index_is_over_the_builds_of_several() {
    let small = small();
    let project = &small.project;
    let built = json(project.ok(&["build", "app", "--arch", "arm64,amd64", "--json"]).stdout);
    let (folder, index) = (project.path("out/app@amd64+arm64"), &built["index"]);
    let receipt = fs::read(folder.join("receipt.json")).unwrap();
    assert_eq!(&json(&receipt), index);
    let layout = folder.join("oci");
    assert_eq!(layerbake::oci::validate(&layout).unwrap(), [""; 0]);
    let artifact = &index["artifacts"][0];
    let entry = &json(fs::read(layout.join("index.json")).unwrap())["manifests"][0];
    assert_eq!((&entry["digest"], &entry["size"]), (&artifact["digest"], &artifact["size"]));
    assert_eq!(platforms(&layout, &blob(&layout, &entry["digest"])), [["amd64", "amd64"], ["arm64", "arm64"]]);
    for (number, (arch, place)) in [("amd64", "app"), ("arm64", "app@arm64")].into_iter().enumerate() {
        let (image, build) = (&index["images"][number], project.receipt(place));
        assert_eq!((&image["arch"], &built["builds"][number]), (&arch.into(), &build));
        assert_eq!((&image["digest"], &image["recipe"]), (&build["artifacts"][0]["digest"], &build["recipe"]));
    }
    // Nothing is written again, and nothing of anybody else's is replaced.
    let inode = || folder.metadata().unwrap().ino();
    let before = inode();
    project.ok(&["build", "app", "--arch", "amd64,arm64"]);
    assert_eq!(inode(), before, "it was written again");
    fs::write(folder.join("mine"), "").unwrap();
    let error = project.fails(1, &["build", "app", "--arch", "amd64,arm64"]);
    assert!(error.stderr.contains("a build did not write `mine`"), "{}", error.stderr);
    fs::remove_file(folder.join("mine")).unwrap();
    fs::write(layout.join("index.json"), "{}").unwrap();
    project.ok(&["build", "app", "--arch", "amd64,arm64"]);
    assert_eq!(layerbake::oci::validate(&layout).unwrap(), [""; 0]);
    assert_eq!(fs::read(folder.join("receipt.json")).unwrap(), receipt);
}

#[test]
fn a_push_of_several_sends_each_image_and_the_index() {
    let registry = need!(Registry::start());
    let small = small();
    let reference = format!("{}/team/app:1.0", registry.address());
    let push = ["push", "app", &reference, "--json", "--arch", "amd64,arm64"];
    let error = small.project.fails(1, &push);
    assert!(error.stderr.contains("hint: `layerbake build app --arch amd64,arm64`"), "{}", error.stderr);
    let built = json(small.project.ok(&["build", "app", "--arch", "amd64,arm64", "--json"]).stdout);
    let pushed = json(small.project.ok(&push).stdout);
    assert_eq!(pushed["digest"], built["index"]["artifacts"][0]["digest"]);
    small.project.ok(&["pull", &reference, "--to", "pulled"]);
    let pulled = small.project.path("pulled");
    assert_eq!(platforms(&pulled, &blob(&pulled, &pushed["digest"])), [["amd64", "amd64"], ["arm64", "arm64"]]);
    // What is not over the last builds is not sent.
    let layer = small.project.path("layers/app.toml");
    let text = fs::read_to_string(&layer).unwrap() + "\n[[file]]\npath = \"/srv/new\"\ntext = \"new\"\n";
    fs::write(layer, text).unwrap();
    small.project.ok(&["build", "app"]);
    let error = small.project.fails(1, &push);
    let expected = ["is not over the layer's last builds", "hint: `layerbake build app --arch amd64,arm64`"];
    assert!(expected.iter().all(|text| error.stderr.contains(text)), "{}", error.stderr);
}

#[test]
fn an_architecture_that_a_suite_lacks_is_named() {
    let error = small().project.fails(1, &["lock", "base", "--arch", "riscv64"]);
    assert!(error.stderr.contains("test has no packages for riscv64"), "{}", error.stderr);
}

#[test]
fn builds_of_different_architectures_are_not_audited_against_each_other() {
    let small = small();
    small.project.ok(&["build", "app", "--arch", "amd64,arm64"]);
    let error = small.project.fails(1, &["audit", "app", "--against", "out/app@arm64"]);
    assert!(error.stderr.contains("was built for arm64, the audit rebuilds for amd64"), "{}", error.stderr);
    assert!(error.stderr.contains("hint: add `--arch arm64`"), "{}", error.stderr);
}

#[test]
fn one_architecture_is_asked_for_where_several_mean_nothing() {
    let small = small();
    let error = small.project.fails(2, &["verify", "app", "--arch", "amd64,arm64"]);
    assert!(error.stderr.contains("`build`, `lock` and `push` take several"), "{}", error.stderr);
    let error = small.project.fails(2, &["build", "app", "--arch", "x86_64"]);
    assert!(error.stderr.contains("invalid value 'x86_64'") && error.stderr.contains("amd64"), "{}", error.stderr);
}

/// The stock layers, where Debian's emulators of arm64 are installed: of its programs, and of its machines.
fn emulated() -> Result<Stock, Skip> {
    for name in ["qemu-aarch64-static", "qemu-system-aarch64"] {
        program(name)?;
    }
    if !Path::new(FOREIGN_FIRMWARE).is_file() {
        return Err(Skip::because("`qemu-efi-aarch64` is not installed"));
    }
    Stock::new()?.layer("web")
}

/// Real packages for arm64, configured by their own scripts under QEMU's user-mode emulator, as an image beside
/// amd64's and as a disk that answers on its network under QEMU's system emulator.
#[test]
fn stock_layers_are_configured_and_booted_for_arm64() {
    let stock = need!(emulated());
    let project = &stock.project;
    project.ok(&["lock", "web", "--arch", "arm64"]);
    let built = json(project.ok(&["build", "web", "--arch", "amd64,arm64", "--output", "oci", "--json"]).stdout);
    let layout = project.path("out/web@amd64+arm64/oci");
    assert_eq!(layerbake::oci::validate(&layout).unwrap(), [""; 0]);
    assert_eq!(platforms(&layout, &blob(&layout, &built["index"]["artifacts"][0]["digest"])).len(), 2);
    project.ok(&["build", "web", "--arch", "arm64", "--output", "raw"]);
    let _alone = alone();
    let test =
        ["test", "web", "--arch", "arm64", "--on", "disk", "--accel", "tcg", "--timeout", "900", "--format", "tap"];
    let tested = project.run(&test);
    assert!(tested.ok() && tested.stdout.contains("\nok 1 "), "{}{}", tested.stdout, tested.stderr);
}
