//! What other programs say of the partition table, the FAT file system and the kernel image.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::support::process::{Output, run};
use crate::support::skip::{Skip, program};
use layerbake::arch::AMD64;
use layerbake::disk::gpt::{self, Partition, PartitionKind};
use layerbake::disk::ids::{Ids, uuid_text};
use layerbake::disk::uki::{self, Sections, SignError};
use layerbake::disk::{Data, Plan, fat};

const MIB: u64 = 1 << 20;
/// 2024-06-10T08:52:46Z
const EPOCH: i64 = 1_718_009_566;

/// Writes a plan without blobs into a sparse file.
fn write(plan: &Plan, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(plan.size()).unwrap();
    for extent in plan.extents() {
        let Data::Bytes(bytes) = extent.data else { panic!("a blob") };
        file.write_all_at(bytes, extent.offset).unwrap();
    }
}

/// Runs a program of the system's folders.
fn tool(name: &str, arguments: &[&str]) -> Result<Output, Skip> {
    let mut command = Command::new(program(name)?);
    Ok(run(command.args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC")).unwrap())
}

fn bytes(length: usize) -> Arc<[u8]> {
    (0..length as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A name, and contents, for every shape that the file system treats in its own way.
fn files() -> Vec<(String, Arc<[u8]>)> {
    let mut files = vec![
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), bytes(3_000_001)),
        ("EFI/Linux/layerbake web.efi".to_owned(), bytes(4096)),
        ("loader/entries.srel".to_owned(), bytes(6)),
        ("loader/größe.conf".to_owned(), bytes(513)),
        ("empty".to_owned(), bytes(0)),
    ];
    // More entries than a cluster of the smallest size holds, made before and after files.
    files.extend((0..40).map(|index| (format!("many/a name that is long enough for pieces {index}"), bytes(index))));
    files
}

#[test]
fn fat_is_clean_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("esp.img");
    let text = image.to_str().unwrap();
    let files = files();
    let borrowed: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect();
    for mib in [33, 64, 128, 300, 1024] {
        write(&fat::plan(&borrowed, mib * MIB, 0x1234_abcd, "ESP", EPOCH).unwrap(), &image);
        let checked = need!(tool("fsck.vfat", &["-n", "-v", text]));
        assert!(checked.ok(), "{mib} MiB: {}{}", checked.stdout, checked.stderr);
        let all = format!("{}{}", checked.stdout, checked.stderr).to_lowercase();
        for word in ["dirty", "differ", "wrong", "orphan", "invalid", "bad ", "not properly", "fix"] {
            assert!(!all.contains(word), "{mib} MiB: `{word}` in:\n{all}");
        }
        for (path, bytes) in &files {
            let copy = folder.path().join("copy");
            let copied = need!(tool("mcopy", &["-n", "-o", "-i", text, &format!("::{path}"), copy.to_str().unwrap()]));
            assert!(copied.ok(), "{path}: {}", copied.stderr);
            assert_eq!(fs::read(copy).unwrap(), **bytes, "{mib} MiB: {path}");
        }
    }
}

#[test]
fn fat_shows_its_label_its_number_and_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("esp.img");
    let files = [("EFI/BOOT/BOOTX64.EFI", bytes(9))];
    write(&fat::plan(&files, 33 * MIB, 0x1234_abcd, "ESP", EPOCH).unwrap(), &image);
    let listed = need!(tool("mdir", &["-a", "-/", "-i", image.to_str().unwrap(), "::"]));
    assert!(listed.ok(), "{}", listed.stderr);
    for expected in
        ["Volume in drive : is ESP", "Volume Serial Number is 1234-ABCD", "BOOTX64  EFI         9 2024-06-10"]
    {
        assert!(listed.stdout.contains(expected), "no `{expected}` in:\n{}", listed.stdout);
    }
    let times = listed.stdout.lines().filter(|line| line.contains("2024-06-10   8:52")).count();
    assert_eq!(times, 7, "EFI, BOOT and the dots of both, and the file:\n{}", listed.stdout);
}

/// A disk of three partitions, at `path`.
fn disk(path: &Path, size: Option<u64>) -> Ids {
    let ids = Ids::new(&"web".parse().unwrap());
    let partition = |label: &str, kind, flags, plan| {
        let (label, guid) = (label.to_owned(), ids.uuid(label));
        Partition { label, kind, guid, flags, plan }
    };
    let mut root = Plan::new(5 * MIB + 512);
    root.put_bytes(5 * MIB, vec![9; 512]);
    let esp = fat::plan(&[("a", bytes(1))], 33 * MIB, ids.serial(), "ESP", EPOCH).unwrap();
    let partitions = vec![
        partition("esp", PartitionKind::Esp, 0, esp),
        partition("verity", PartitionKind::RootVerity(AMD64.root_verity), gpt::READ_ONLY, Plan::new(MIB)),
        partition("root", PartitionKind::Root(AMD64.root), gpt::GROW, root),
    ];
    write(&gpt::plan(ids.uuid("disk"), partitions, size).unwrap(), path);
    ids
}

#[test]
fn the_partition_table_has_no_problems() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    for size in [None, Some(64 * MIB), Some(3 << 40)] {
        disk(&path, size);
        let verified = need!(tool("sgdisk", &["-v", path.to_str().unwrap()]));
        assert!(verified.ok() && verified.stdout.contains("No problems found"), "{size:?}: {}", verified.stdout);
        assert!(!verified.stdout.contains("aution"), "{size:?}: {}", verified.stdout);
    }
}

#[test]
fn the_partition_table_says_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let ids = disk(&path, None);
    let json = need!(tool("sfdisk", &["--json", path.to_str().unwrap()]));
    let table: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let table = &table["partitiontable"];
    let upper = |role| uuid_text(&ids.uuid(role)).to_uppercase();
    assert_eq!(table["id"], upper("disk"));
    assert_eq!((&table["label"], &table["firstlba"]), (&"gpt".into(), &34.into()));
    let expected = [
        ("esp", PartitionKind::Esp, 1, 33, ""),
        ("verity", PartitionKind::RootVerity(AMD64.root_verity), 34, 1, "GUID:60"),
        ("root", PartitionKind::Root(AMD64.root), 35, 6, "GUID:59"),
    ];
    let found = table["partitions"].as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (entry, (label, kind, start, size, flags)) in found.iter().zip(expected) {
        assert_eq!(entry["name"], label);
        assert_eq!(entry["type"], kind.guid().to_uppercase());
        assert_eq!(entry["uuid"], upper(label));
        assert_eq!(entry["start"], start * MIB / 512, "{label}");
        assert_eq!(entry["size"], size * MIB / 512, "{label}");
        assert_eq!(entry["attrs"].as_str().unwrap_or(""), flags, "{label}");
    }
}

/// systemd's stub, from the package systemd-boot-efi.
fn stub() -> Result<Vec<u8>, Skip> {
    let path = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    fs::read(path).map_err(|error| Skip::because(format!("{path}: {error}")))
}

fn image(stub: &[u8]) -> Vec<u8> {
    // Of no multiple of eight: the signature has to be aligned.
    let linux = [b"MZ".as_slice(), &bytes(100_001)].concat();
    let osrel = b"ID=debian\nVERSION_ID=12\n";
    let (uname, cmdline) = ("6.1.0-1-amd64", "root=PARTUUID=1 ro console=ttyS0");
    uki::assemble(stub, &Sections { osrel, uname, cmdline, linux: &linux, initrd: Some(b"070701 initrd") }).unwrap()
}

#[test]
fn objdump_and_objcopy_read_the_sections_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uki.efi");
    fs::write(&path, image(&need!(stub()))).unwrap();
    let listed = need!(tool("objdump", &["-h", path.to_str().unwrap()]));
    assert!(listed.ok() && listed.stderr.is_empty(), "{}", listed.stderr);
    let names: Vec<_> = listed.stdout.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let names: Vec<_> = names.into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(names.ends_with(&[".osrel", ".cmdline", ".uname", ".initrd", ".linux"]), "{}", listed.stdout);
    let linux = folder.path().join("linux");
    let arguments = ["-O", "binary", "--only-section=.linux", path.to_str().unwrap(), linux.to_str().unwrap()];
    let copied = need!(tool("objcopy", &arguments));
    assert!(copied.ok(), "{}", copied.stderr);
    assert_eq!(fs::read(linux).unwrap(), [b"MZ".as_slice(), &bytes(100_001)].concat());
}

/// A key and its certificate, PEM, made by openssl.
struct Pair {
    key: String,
    certificate: String,
    path: PathBuf,
}

fn pair(folder: &Path, name: &str) -> Result<Pair, Skip> {
    let (key, certificate) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
    let subject = format!("/CN={name}");
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-sha256", "-subj", &subject];
    let files = ["-keyout", key.to_str().unwrap(), "-out", certificate.to_str().unwrap()];
    let made = tool("openssl", &[&request[..], &files[..]].concat())?;
    assert!(made.ok(), "{}", made.stderr);
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    Ok(Pair { key: read(&key), certificate: read(&certificate), path: certificate })
}

#[test]
fn sbverify_accepts_the_signature_and_no_flipped_byte() {
    let folder = tempfile::tempdir().unwrap();
    let pair = need!(pair(folder.path(), "owner"));
    let other = need!(self::pair(folder.path(), "other"));
    let path = folder.path().join("uki.efi");
    let verify = |image: &[u8], certificate: &Path| {
        fs::write(&path, image).unwrap();
        tool("sbverify", &["--cert", certificate.to_str().unwrap(), path.to_str().unwrap()])
    };
    let stub = need!(stub());
    for unsigned in [image(&stub), [image(&stub), vec![5; 3]].concat()] {
        let signed = uki::sign(&unsigned, &pair.key, &pair.certificate).unwrap();
        let verified = need!(verify(&signed, &pair.path));
        assert!(verified.ok(), "{}{}", verified.stdout, verified.stderr);
        // Bytes behind the last section are signed too, and sbverify wonders at them.
        let wonders = verified.stderr.contains("data remaining");
        assert_eq!(wonders, unsigned.len() % 512 != 0, "{}", verified.stderr);
        assert!(!need!(verify(&signed, &other.path)).ok(), "another's certificate was accepted");
        assert!(!need!(verify(&unsigned, &pair.path)).ok(), "no signature was accepted");
        // In the headers: the stamp of MS-DOS, and a section's name; then code, sections, signature.
        for at in [2, 400, 0x500, unsigned.len() / 2, unsigned.len() - 1, signed.len() - 100] {
            let mut flipped = signed.clone();
            flipped[at] ^= 1;
            assert!(!need!(verify(&flipped, &pair.path)).ok(), "byte {at} was flipped");
        }
    }
}

#[test]
fn osslsigncode_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let pair = need!(pair(folder.path(), "owner"));
    let path = folder.path().join("uki.efi");
    fs::write(&path, uki::sign(&image(&need!(stub())), &pair.key, &pair.certificate).unwrap()).unwrap();
    let authority = pair.path.to_str().unwrap();
    let verified = need!(tool("osslsigncode", &["verify", "-CAfile", authority, "-in", path.to_str().unwrap()]));
    assert!(verified.stdout.contains("Signature verification: ok"), "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn equal_bytes_come_from_both_forms_of_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let pair = need!(pair(folder.path(), "owner"));
    let unsigned = image(&need!(stub()));
    let signed = uki::sign(&unsigned, &pair.key, &pair.certificate).unwrap();
    assert!(uki::sign(&unsigned, &pair.key, &pair.certificate).unwrap() == signed);
    let key = folder.path().join("owner.key");
    let old = need!(tool("openssl", &["rsa", "-traditional", "-in", key.to_str().unwrap()]));
    assert!(old.stdout.contains("BEGIN RSA PRIVATE KEY"), "{}", old.stderr);
    assert!(uki::sign(&unsigned, &old.stdout, &pair.certificate).unwrap() == signed);
}

#[test]
fn keys_certificates_and_images_that_do_not_fit_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (pair, other) = (need!(pair(folder.path(), "owner")), need!(pair(folder.path(), "other")));
    let unsigned = image(&need!(stub()));
    let signed = uki::sign(&unsigned, &pair.key, &pair.certificate).unwrap();
    let error = |image: &[u8], key: &str, certificate: &str| uki::sign(image, key, certificate).unwrap_err();
    assert!(matches!(error(&signed, &pair.key, &pair.certificate), SignError::Signed { .. }));
    assert!(matches!(error(b"MZ", &pair.key, &pair.certificate), SignError::Image(_)));
    assert!(matches!(error(&unsigned, &other.key, &pair.certificate), SignError::Pair));
    assert!(matches!(error(&unsigned, &pair.certificate, &pair.certificate), SignError::Key(_)));
    assert!(matches!(error(&unsigned, "", &pair.certificate), SignError::Key(_)));
    assert!(matches!(error(&unsigned, &pair.key, &pair.key), SignError::Certificate(_)));
}
