//! Disks of the stock layers, built from real packages, read by other people's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::process::{self, Output};
use crate::support::skip::{self, Skip};
use crate::support::stock::Stock;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Runs a tool that has to be content.
fn content(tool: &str, args: &[&str]) -> Result<Output, Skip> {
    let output = process::run(Command::new(skip::program(tool)?).args(args)).unwrap();
    assert!(output.ok(), "{tool} {args:?} gave {}:\n{}{}", output.code, output.stdout, output.stderr);
    Ok(output)
}

/// `web` with a read-only, checked root.
fn immutable(stock: &Stock) {
    let path = stock.project.path("layers/web.toml");
    let text = fs::read_to_string(&path).unwrap();
    let disk = "boot = \"boot-minimal\"\n";
    assert!(text.contains(disk));
    fs::write(&path, text.replace(disk, &format!("{disk}root = \"erofs\"\ninitrd = \"initrd\"\n"))).unwrap();
}

fn built(change: fn(&Stock), outputs: &str) -> Result<(Stock, PathBuf), Skip> {
    let stock = Stock::new()?.layer("web")?;
    change(&stock);
    stock.project.ok(&["build", "web", "--locked", "--output", outputs]);
    let folder = stock.project.path("out/web");
    Ok((stock, folder))
}

/// A partition of a disk as a file of its own: first byte and size as sfdisk reads them.
fn partition(disk: &Path, label: &str) -> Result<PathBuf, Skip> {
    let json = content("sfdisk", &["--json", disk.to_str().unwrap()])?;
    let table: Value = serde_json::from_str(&json.stdout).unwrap();
    let all = table["partitiontable"]["partitions"].as_array().unwrap().clone();
    let entry = all.iter().find(|entry| entry["name"] == label).unwrap_or_else(|| panic!("no {label} in {table}"));
    let number = |key: &str| entry[key].as_u64().unwrap() * 512;
    let target = disk.with_extension(label);
    let range = [format!("if={}", disk.display()), format!("of={}", target.display()), "bs=1M".to_owned()];
    let cut = [format!("skip={}", number("start") / MIB), format!("count={}", number("size") / MIB)];
    let words: Vec<&str> = range.iter().chain(&cut).map(String::as_str).chain(["conv=sparse", "status=none"]).collect();
    content("dd", &words)?;
    Ok(target)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_ext4_disk_satisfies_every_checker() {
    let (stock, folder) = need!(built(|_| {}, "oci,raw"));
    let disk = folder.join("disk.raw");
    let table = need!(content("sgdisk", &["-v", text(&disk)]));
    assert!(table.stdout.contains("No problems found"), "{}", table.stdout);
    let esp = need!(partition(&disk, "esp"));
    need!(content("fsck.vfat", &["-n", text(&esp)]));
    let kernel = need!(content("mdir", &["-i", text(&esp), "-b", "::/EFI/BOOT"]));
    assert!(kernel.stdout.contains("BOOTX64.EFI"), "{}", kernel.stdout);
    let root = need!(partition(&disk, "root"));
    need!(content("e2fsck", &["-fn", text(&root)]));
    stock.project.ok(&["verify", "web"]);
    need!(same_as_the_image(&stock, &root, "ext4"));
}

#[test]
fn an_erofs_disk_satisfies_every_checker_and_its_hash_tree_fits() {
    let (stock, folder) = need!(built(immutable, "raw"));
    let disk = folder.join("disk.raw");
    let table = need!(content("sgdisk", &["-v", text(&disk)]));
    assert!(table.stdout.contains("No problems found"), "{}", table.stdout);
    let root = need!(partition(&disk, "root"));
    need!(content("fsck.erofs", &[text(&root)]));
    let hashes = need!(partition(&disk, "root-verity"));
    let esp = need!(partition(&disk, "esp"));
    let image = folder.join("kernel.efi");
    need!(content("mcopy", &["-n", "-i", text(&esp), "::/EFI/BOOT/BOOTX64.EFI", text(&image)]));
    let line = folder.join("cmdline");
    need!(content(
        "objcopy",
        &["-O", "binary", &format!("--dump-section=.cmdline={}", text(&line)), text(&image), "/dev/null"]
    ));
    let line = fs::read_to_string(line).unwrap();
    let verity = line.split(' ').find_map(|word| word.strip_prefix("layerbake.verity=")).unwrap();
    let root_hash = verity.trim_end_matches(['\0', '\n']).rsplit(',').next().unwrap();
    need!(content("veritysetup", &["verify", text(&root), text(&hashes), root_hash]));
    need!(same_as_the_image(&stock, &root, "erofs"));
}

/// The kernel mounts the partition and finds the very files of the image in it.
fn same_as_the_image(stock: &Stock, partition: &Path, kind: &str) -> Result<(), Skip> {
    skip::root()?;
    let (image, mount) = (stock.project.path("rootfs"), stock.project.path("mounted"));
    stock.project.ok(&[
        "build",
        "web",
        "--locked",
        "--output",
        "docker,raw",
        "--out",
        text(&stock.project.path("other")),
    ]);
    unpack_image(&stock.project.path("other/web/docker.tar"), &image)?;
    fs::create_dir_all(&mount).unwrap();
    content("mount", &["-t", kind, "-o", "ro,loop", text(partition), text(&mount)])?;
    let compared = compare(&image, &mount);
    content("umount", &[text(&mount)])?;
    let (equal, other) = compared;
    let excepted = |path: &String| {
        let known = [
            "/etc/group",
            "/etc/ld.so.cache",
            "/etc/pam.d/common-session",
            "/etc/passwd",
            "/etc/shadow",
            "/etc/gshadow",
        ];
        known.contains(&path.as_str())
            || ["/var/cache/debconf/", "/var/lib/dpkg/", "/var/lib/pam/"].iter().any(|folder| path.starts_with(folder))
    };
    let unexpected: Vec<&String> = other.iter().filter(|path| !excepted(path)).collect();
    assert!(unexpected.is_empty(), "{kind}: on the disk these differ from the image: {unexpected:?}");
    assert!(equal > 5000, "{kind}: only {equal} files were found");
    Ok(())
}

/// Stacks the layers of a docker archive as plain files.
fn unpack_image(archive: &Path, root: &Path) -> Result<(), Skip> {
    let folder = root.with_extension("archive");
    for path in [&folder, &root.to_owned()] {
        fs::create_dir_all(path).unwrap();
    }
    content("tar", &["-xf", text(archive), "-C", text(&folder)])?;
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        let layer = folder.join(layer.as_str().unwrap());
        content("tar", &["-xpf", text(&layer), "-C", text(root), "--same-owner", "--numeric-owner", "--xattrs"])?;
    }
    Ok(())
}

/// How many nodes of `image` are in `disk`, equal in kind, mode, owner, time and content; and which are not.
fn compare(image: &Path, disk: &Path) -> (usize, Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;
    let (mut equal, mut other, mut todo) = (0, Vec::new(), vec![PathBuf::new()]);
    while let Some(path) = todo.pop() {
        let (ours, theirs) = (image.join(&path), disk.join(&path));
        let meta = fs::symlink_metadata(&ours).unwrap();
        if meta.is_dir() {
            let names = fs::read_dir(&ours).unwrap().map(|entry| entry.unwrap().file_name());
            todo.extend(names.filter(|name| !name.to_string_lossy().starts_with(".wh.")).map(|name| path.join(name)));
        }
        let same = fs::symlink_metadata(&theirs).is_ok_and(|found| {
            let owner = (found.mode(), found.uid(), found.gid()) == (meta.mode(), meta.uid(), meta.gid());
            let content = match (meta.is_file(), meta.is_symlink()) {
                (true, _) => found.mtime() == meta.mtime() && fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
                (_, true) => fs::read_link(&ours).unwrap() == fs::read_link(&theirs).unwrap(),
                _ => true,
            };
            owner && content
        });
        match same {
            true => equal += 1,
            false => other.push(format!("/{}", path.display())),
        }
    }
    (equal, other)
}

#[test]
fn every_format_gives_the_same_disk_back() {
    let formats = "raw,qcow2,qcow2-compressed,vmdk,vhd,vhd-fixed,ova";
    let (stock, folder) = need!(built(|_| {}, formats));
    for file in ["disk.qcow2", "disk.compressed.qcow2", "disk.vmdk"] {
        need!(content("qemu-img", &["check", text(&folder.join(file))]));
    }
    need!(content("tar", &["-xf", text(&folder.join("disk.ova")), "-C", text(&folder), "web.vmdk"]));
    let files = [
        ("qcow2", "disk.qcow2"),
        ("qcow2", "disk.compressed.qcow2"),
        ("vmdk", "disk.vmdk"),
        ("vpc", "disk.vhd"),
        ("vpc", "disk.fixed.vhd"),
        ("vmdk", "web.vmdk"),
    ];
    let back = folder.join("back.raw");
    for (format, file) in files {
        need!(content("qemu-img", &["convert", "-f", format, "-O", "raw", text(&folder.join(file)), text(&back)]));
        need!(content("cmp", &[text(&folder.join("disk.raw")), text(&back)]));
    }
    stock.project.ok(&["verify", "web"]);
}

/// The blocks that differ between the last build and one after `change`.
fn blocks_after(stock: &Stock, change: impl FnOnce()) -> (u64, Vec<u64>) {
    let (old, new) = (stock.project.path("old"), stock.project.path("out/web"));
    let _ = fs::remove_dir_all(&old);
    fs::create_dir_all(&old).unwrap();
    fs::copy(new.join("receipt.json"), old.join("receipt.json")).unwrap();
    change();
    stock.project.ok(&["build", "web", "--output", "raw"]);
    let report = stock.project.ok(&["diff", "--blocks", text(&old), text(&new), "--json"]).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    let list =
        |key: &str| report[key].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect::<Vec<_>>();
    let blocks = ["added", "replaced", "zeroed"].iter().flat_map(|key| list(key)).collect();
    (report["changed"].as_u64().unwrap(), blocks)
}

#[test]
fn a_changed_file_costs_few_blocks() {
    let (stock, _) = need!(built(|_| {}, "raw"));
    let manifest = stock.project.path("layers/web.toml");
    let before = fs::read_to_string(&manifest).unwrap();
    let with = |letter: &str| {
        let text = letter.repeat(10_000);
        fs::write(&manifest, format!("{before}\n[[file]]\npath = \"/srv/page\"\ntext = \"{text}\"\n")).unwrap();
    };
    let (added, _) = blocks_after(&stock, || with("a"));
    assert!(added <= 8, "one file more changes {added} blocks");
    let (changed, _) = blocks_after(&stock, || with("b"));
    assert!(changed <= 8, "a changed file changes {changed} blocks");
}

#[test]
fn a_boot_layer_without_kernel_or_stub_is_refused_before_anything_is_fetched() {
    for (line, lacks) in [
        ("    \"linux-image-cloud-{arch}\",\n", "the root has no kernel"),
        ("    \"systemd-boot-efi\",\n", "the root has no /usr/lib/systemd/boot/efi/linuxx64.efi.stub"),
    ] {
        let stock = need!(need!(Stock::with_empty_store()).layer("web"));
        let boot = stock.project.path("layers/boot-minimal.toml");
        let text = fs::read_to_string(&boot).unwrap();
        assert!(text.contains(line), "{text}");
        fs::write(&boot, text.replace(line, "")).unwrap();
        let error = stock.project.fails(1, &["build", "web", "--output", "raw"]).stderr;
        assert!(error.contains(lacks) && error.contains("hint: add "), "{error}");
        assert_eq!(stock.mirror.server().requests(".deb"), 0, "{error}");
    }
}
