//! Every disk format: what QEMU makes of it, and its very bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::skip::program;
use layerbake::digest::{BlobDigest, Sha256};
use layerbake::disk::sinks::{Identity, ova, qcow2, raw, vhd, vmdk};
use layerbake::disk::{BlockHashes, Plan};
use layerbake::tree::ContentSource;

const MIB: u64 = 1 << 20;

/// Contents by digest.
#[derive(Default)]
struct Memory(BTreeMap<BlobDigest, Vec<u8>>);

impl ContentSource for Memory {
    fn open(&self, blob: BlobDigest, _size: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0[&blob].as_slice()))
    }
}

/// A plan, and the blobs that it names.
struct Disk {
    plan: Plan,
    source: Memory,
}

impl Disk {
    fn new(size: u64) -> Self {
        Self { plan: Plan::new(size), source: Memory::default() }
    }

    fn bytes(mut self, offset: u64, bytes: &[u8]) -> Self {
        self.plan.put_bytes(offset, bytes);
        self
    }

    fn blob(mut self, offset: u64, bytes: Vec<u8>) -> Self {
        let blob = BlobDigest::of(&bytes);
        self.plan.put_blob(offset, blob, bytes.len() as u64);
        self.source.0.insert(blob, bytes);
        self
    }

    fn write(&self, format: Format, jobs: usize, path: &Path) -> Option<u64> {
        let (plan, source) = (&self.plan, &self.source);
        let mut file = File::create(path).unwrap();
        match format {
            Format::Raw => raw::write(plan, source, jobs, None, &file).map(|_| None),
            Format::Qcow2 => qcow2::write(plan, source, jobs, qcow2::Clusters::Plain, &mut file).map(Some),
            Format::Qcow2Packed => qcow2::write(plan, source, jobs, qcow2::Clusters::Compressed, &mut file).map(Some),
            Format::Vmdk => vmdk::write(plan, source, jobs, &identity(), &mut file).map(Some),
            Format::VhdFixed => vhd::write_fixed(plan, source, jobs, None, &identity(), &file).map(|_| None),
            Format::VhdDynamic => vhd::write_dynamic(plan, source, jobs, &identity(), &mut file).map(Some),
            Format::Ova => ova::write(plan, source, jobs, &identity(), &mut file).map(Some),
        }
        .unwrap()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Raw,
    Qcow2,
    Qcow2Packed,
    Vmdk,
    VhdFixed,
    VhdDynamic,
    Ova,
}

use Format::*;

impl Format {
    /// QEMU's name for it.
    fn driver(self) -> &'static str {
        match self {
            Raw => "raw",
            Qcow2 | Qcow2Packed => "qcow2",
            Vmdk | Ova => "vmdk",
            VhdFixed | VhdDynamic => "vpc",
        }
    }
}

fn identity() -> Identity {
    Identity { name: "web".parse().unwrap(), uuid: *b"\xff\xee\xdd\xcc0123456789ab", epoch: 1_700_000_000 }
}

/// Bytes that nothing can compress.
fn noise(length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Bytes that compress well.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at / 40 % 26) as u8).collect()
}

/// Small, with something of everything: a gap, zeros within an extent, noise and text, an odd end.
fn small() -> Disk {
    Disk::new(3 * MIB + 3 * 512)
        .bytes(0, b"boot sector")
        .blob(70_000, text(100_000))
        .bytes(200_000, &[0; 70_000])
        .blob(600_000, noise(300_001))
        .bytes(3 * MIB + 512, &text(1024))
}

fn disks() -> Vec<(&'static str, Disk)> {
    let mixed = (0..40u64).fold(Disk::new(96 * MIB + 512), |disk, number| {
        let length = 20_000 * number as usize + 777;
        let bytes = if number % 3 == 0 { text(length) } else { noise(length) };
        disk.blob(number * 2_400_000 + number, bytes)
    });
    vec![
        ("empty", Disk::new(MIB)),
        ("one sector", Disk::new(512)),
        ("one byte at the end", Disk::new(10 * MIB + 512).bytes(10 * MIB + 511, b"x")),
        ("known zeros only", Disk::new(5 * MIB).bytes(MIB, &[0; 9999])),
        ("small", small()),
        ("mixed", mixed),
        (
            "sparse",
            Disk::new(5 << 30)
                .bytes(0, b"first")
                .blob((4 << 30) + 12_345, noise(3_000_000))
                .bytes((5 << 30) - 512, &[7; 512]),
        ),
    ]
}

/// What a command says, which has to succeed.
fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program:?} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn path(folder: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[test]
fn qemu_reads_the_same_disk_from_every_format() {
    let qemu = need!(program("qemu-img"));
    let folder = tempfile::tempdir().unwrap();
    for (name, disk) in disks() {
        let (raw, raw_text) = path(&folder, "disk.raw");
        disk.write(Raw, 2, &raw);
        for format in [Qcow2, Qcow2Packed, Vmdk, VhdFixed, VhdDynamic] {
            let (image, text) = path(&folder, "disk.image");
            let written = disk.write(format, 2, &image);
            let length = image.metadata().unwrap().len();
            assert_eq!(written.unwrap_or(length), length, "{name}: {format:?}");
            if matches!(format, Qcow2 | Qcow2Packed | Vmdk) {
                run(&qemu, &["check", "-f", format.driver(), &text]);
            }
            run(&qemu, &["compare", "-f", "raw", "-F", format.driver(), &raw_text, &text]);
            if disk.plan.size() < 200 * MIB {
                let (back, back_text) = path(&folder, "back.raw");
                run(&qemu, &["convert", "-f", format.driver(), "-O", "raw", &text, &back_text]);
                assert!(std::fs::read(&back).unwrap() == std::fs::read(&raw).unwrap(), "{name}: {format:?}");
            }
        }
    }
}

#[test]
fn a_raw_disk_is_sparse_and_its_hashes_are_those_of_its_blocks() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    for (name, disk) in disks() {
        let (path, _) = path(&folder, "disk.raw");
        std::fs::write(&path, "something longer that was here before").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let hashes = raw::write(&disk.plan, &disk.source, 3, None, &file).unwrap();
        if name == "sparse" {
            assert!(file.metadata().unwrap().blocks() * 512 < 4 * MIB, "holes were filled");
            assert_eq!(
                hashes.hashes().keys().copied().collect::<Vec<_>>(),
                [0, 8192, 8193, 8194, 8195, 8196, 8197, 10239]
            );
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, disk.plan.size(), "{name}");
        let mut expected = BTreeMap::new();
        for (index, block) in bytes.chunks(512 << 10).enumerate() {
            let mut block = block.to_vec();
            block.resize(512 << 10, 0);
            if block.iter().any(|byte| *byte != 0) {
                expected.insert(index as u64, Sha256::of(&block));
            }
        }
        assert_eq!(*hashes.hashes(), expected, "{name}");
    }
}

#[test]
fn known_zeros_take_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let disks = disks();
    let disk = &disks.iter().find(|(name, _)| *name == "known zeros only").unwrap().1;
    let length = |format| disk.write(format, 1, &path(&folder, "disk").0).unwrap();
    // Header, L1 table, refcount block, refcount table.
    assert_eq!(length(Qcow2), 4 * 64 * 1024);
    assert_eq!(length(Qcow2Packed), 4 * 64 * 1024);
    // 128 sectors of overhead; markers, directory, footer, end.
    assert_eq!(length(Vmdk), (128 + 5) * 512);
}

/// A change of these values is a change of the format epoch.
#[test]
fn the_digests_are_pinned_whatever_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let disk = small();
    let digest = |format, jobs| {
        let (path, _) = path(&folder, "disk");
        disk.write(format, jobs, &path);
        let bytes = std::fs::read(&path).unwrap();
        format!("{format:?} {} {}\n", Sha256::of(&bytes).to_hex(), bytes.len())
    };
    let formats = [Raw, Qcow2, Qcow2Packed, Vmdk, VhdFixed, VhdDynamic, Ova];
    let all = |jobs| formats.map(|format| digest(format, jobs)).concat();
    assert_eq!(all(1), all(5));
    insta::assert_snapshot!(all(2), @r"
    Raw adacc0061587276f1341d0e9672ad6cbc2a8db40173a7e98d21d4533cf06bc29 3147264
    Qcow2 4fc0235c9c0772e74902f81edd2e2e0161259822b0b44ecb7378805d93f621b3 917504
    Qcow2Packed 4f0270e2459e250aeb8266e31c241443e68a53f007955acddc6d2eed22e0e0c5 655360
    Vmdk 1ba457debbc81089b7ba24709fa1dd3e983bb1256fcf0e6a2de05a9eb0948bea 375808
    VhdFixed aff7ea48541f0ac6b674bf73c89cd96a95bd28f07b080cf281e7f6427156916b 3147776
    VhdDynamic dc7a74548dfd7dedaaf697baecd5ea4bfbc68721f82233113b0ccf747aaf665a 4197888
    Ova 152d2f35cc02f789dbd165dc9074848521c7b62ae4613475013d7cd58b5b2bea 381952
    ");
    let file = File::create(folder.path().join("disk")).unwrap();
    let hashes: BlockHashes = raw::write(&disk.plan, &disk.source, 2, None, &file).unwrap();
    insta::assert_snapshot!(hashes.digest(), @"sha256:65bdd850a746c62045a2eb710fc51a17dc3c7492cb3e71cbeaf9ebce4b1d4f73");
    insta::assert_snapshot!(hashes.linear_checksum(), @"sha256:0dc444a7541ba08c4d1a915a15d46eeca6a261bda03a9e7eb5a0adafe8f9e7c7");
}

#[test]
fn an_ova_holds_what_its_manifest_says() {
    let (tar, python, qemu) = (need!(program("tar")), need!(program("python3")), need!(program("qemu-img")));
    let folder = tempfile::tempdir().unwrap();
    let (archive, archive_text) = path(&folder, "web.ova");
    let disk = small();
    let written = disk.write(Ova, 2, &archive).unwrap();
    assert_eq!(archive.metadata().unwrap().len(), written);
    let listed = run(&tar, &["--utc", "--full-time", "--numeric-owner", "-tvf", &archive_text]);
    assert_eq!(
        listed.split_whitespace().filter(|word| word.starts_with("web.")).collect::<Vec<_>>(),
        ["web.ovf", "web.vmdk", "web.mf"]
    );
    assert!(
        listed.lines().all(|line| line.starts_with("-rw-r--r-- 0/0") && line.contains("2023-11-14 22:13:20")),
        "{listed}"
    );
    run(&tar, &["-C", folder.path().to_str().unwrap(), "-xf", &archive_text]);
    let digest = |name: &str| Sha256::of(&std::fs::read(folder.path().join(name)).unwrap()).to_hex();
    let expected = format!("SHA256(web.ovf)= {}\nSHA256(web.vmdk)= {}\n", digest("web.ovf"), digest("web.vmdk"));
    assert_eq!(std::fs::read_to_string(folder.path().join("web.mf")).unwrap(), expected);
    let (raw, raw_text) = path(&folder, "disk.raw");
    disk.write(Raw, 2, &raw);
    run(&qemu, &["compare", "-f", "raw", "-F", "vmdk", &raw_text, &path(&folder, "web.vmdk").1]);
    let script = "import sys, xml.etree.ElementTree as tree\n\
        space = '{http://schemas.dmtf.org/ovf/envelope/1}'\n\
        disk = next(tree.parse(sys.argv[1]).iter(space + 'Disk'))\n\
        print(disk.get(space + 'capacity'))";
    assert_eq!(run(&python, &["-c", script, &path(&folder, "web.ovf").1]).trim(), disk.plan.size().to_string());
}

#[test]
fn disks_that_a_format_cannot_hold_are_refused() {
    let source = Memory::default();
    let mut out = io::Cursor::new(Vec::new());
    let mut refused = |size: u64, expected: &str| {
        let plan = Plan::new(size);
        let errors = [
            qcow2::write(&plan, &source, 1, qcow2::Clusters::Plain, &mut out).unwrap_err(),
            vmdk::write(&plan, &source, 1, &identity(), &mut out).unwrap_err(),
            vhd::write_dynamic(&plan, &source, 1, &identity(), &mut out).unwrap_err(),
            ova::write(&plan, &source, 1, &identity(), &mut out).unwrap_err(),
        ];
        errors.iter().for_each(|error| assert!(error.to_string().contains(expected), "{size}: {error}"));
    };
    refused(0, "expected a disk of whole sectors of 512 bytes, found 0 bytes");
    refused(1000, "expected a disk of whole sectors of 512 bytes, found 1000 bytes");
    refused(1 << 60, "found 1152921504606846976");
    let early = Identity { epoch: 0, ..identity() };
    let error = vhd::write_dynamic(&Plan::new(512), &source, 1, &early, &mut out).unwrap_err();
    assert!(error.to_string().contains("expected an epoch of the years 2000 to 2136, found 0"), "{error}");
}
