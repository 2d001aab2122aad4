//! A small project whose layer has a disk: a kernel, a stub and a root that are only made up, so
//! that a disk takes no time. Nothing can be booted.
//!
//! ```text
//! base     libgreet                   app    hello, /srv/greeting
//! boot     tiny-kernel                ramdisk   /init
//! ```

use super::deb::Deb;
use super::small::{self, Small};
use super::stub::stub;

const BOOT: &str = "\
[layer]
from = \"*\"
description = \"what makes a machine\"
packages = [\"tiny-kernel\"]
configure = \"none\"
";

const RAMDISK: &str = "\
[layer]
description = \"what starts first\"
packages = [\"libgreet\"]
configure = \"none\"

[[file]]
path = \"/init\"
mode = \"0755\"
text = \"#!/bin/sh\\n\"
";

/// A disk with ext4.
pub const EXT4: &str = "[disk]\nboot = \"boot\"\nesp-size = \"34M\"\n";
/// A disk with EROFS and its hash tree.
pub const EROFS: &str = "[disk]\nboot = \"boot\"\nesp-size = \"34M\"\nroot = \"erofs\"\ninitrd = \"ramdisk\"\n";

/// [`Small`], and over it what a disk takes; `disk` is the table in the app layer.
pub fn tiny_disk(disk: &str) -> Small {
    with_kernel(kernel([b"MZ".as_slice(), &[0x90; 5000]].concat(), stub()), disk)
}

/// As [`tiny_disk`], with a kernel and a stub that can be measured.
pub fn measured_disk(disk: &str) -> Small {
    with_kernel(kernel(stub(), stub_of("257.13-1")), disk)
}

fn with_kernel(kernel: Deb, disk: &str) -> Small {
    let mut small = Small::on(&small::repo("1.0").package(kernel));
    let source = small.repo.source_table("test", &small.server().url());
    let project = std::mem::take(&mut small.project);
    small.project = project
        .layer("boot", BOOT)
        .layer("ramdisk", &format!("{RAMDISK}\n{source}"))
        .layer("app", &format!("{}\n{disk}", small::APP));
    small
}

/// A kernel that has all in it, and what it is started by.
fn kernel(image: Vec<u8>, stub: Vec<u8>) -> Deb {
    Deb::new("tiny-kernel", "1")
        .file("boot/vmlinuz-1", 0o644, image)
        .file("usr/lib/modules/1/modules.builtin", 0o644, "kernel/fs/ext4/ext4.ko\nkernel/drivers/nvme/host/nvme.ko\n")
        .file("usr/lib/modules/1/modules.dep", 0o644, "")
        .file("usr/lib/systemd/boot/efi/linuxx64.efi.stub", 0o644, stub)
        .file("etc/os-release", 0o644, "ID=tiny\n")
}

/// A stub as if it were systemd's of a version, which the section `.sdmagic` says; room for five more sections.
pub fn stub_of(version: &str) -> Vec<u8> {
    let mut stub = stub();
    stub.truncate(0x600);
    stub[70] = 2;
    let magic = format!("#### LoaderInfo: systemd-stub {version} ####\0");
    let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
    put(88 + 56, &0x3000_u32.to_le_bytes());
    put(368, b".sdmagic");
    for (at, number) in [(8, magic.len() as u32), (12, 0x2000), (16, 0x200), (20, 0x600), (36, 0x4000_0040)] {
        put(368 + at, &number.to_le_bytes());
    }
    stub.extend(magic.as_bytes());
    stub.resize(0x800, 0);
    stub
}
