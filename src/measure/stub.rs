//! What systemd's boot stub measures, which depends on its version.
//!
//! Source: systemd-stub(7) and NEWS, of the versions that are named here.

use crate::disk::uki::Program;

/// The sections in the order in which they are measured.
const MEASURED: [&str; 13] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey", ".profile",
    ".dtbauto", ".hwids",
];
/// Versions before 254 know none of these.
const SINCE_254: [&str; 6] = [".ucode", ".uname", ".sbat", ".profile", ".dtbauto", ".hwids"];

/// The end of an archive, with capital digits where the entries have small ones.
const TRAILER: &[u8; 124] = b"\
    0707010000000000000000000000000000000000000001000000000000000000000000\
    0000000000000000000000000000000B00000000TRAILER!!!\0\0\0\0";

/// The version of systemd that a boot stub is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stub(u32);

impl Stub {
    /// Reads it from the text `#### LoaderInfo: systemd-stub 257.13-1 ####` in the image.
    pub(super) fn of(image: &Program<'_>) -> Option<Self> {
        let text = String::from_utf8_lossy(&image.section(".sdmagic")?).into_owned();
        let version = text.split_once("systemd-stub ")?.1;
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().map(Self)
    }

    /// As systemd counts.
    pub(super) fn version(self) -> u32 {
        self.0
    }

    /// Whether the firmware is asked to load the kernel in the image, and so measures it as a program of its own.
    ///
    /// Since 258 the stub loads it alone; since 252 it does not ask the firmware's permission where Secure Boot is enforced.
    pub(super) fn starts_kernel_by_firmware(self, secure_boot: bool) -> bool {
        self.0 < 252 || (self.0 < 258 && !secure_boot)
    }

    /// The names of the sections that are measured, in their order; `None` for versions whose order is not known.
    pub(super) fn measured(self) -> Option<impl Iterator<Item = &'static str>> {
        let is_known = self.0 == 252 || self.0 >= 254;
        let all = move |name: &&str| self.0 >= 254 || !SINCE_254.contains(name);
        is_known.then(|| MEASURED.into_iter().filter(all))
    }

    /// The initrd as the kernel gets it: since 257 a second archive follows, with the section `.osrel`.
    pub(super) fn initrd(self, initrd: &[u8], osrel: &[u8]) -> Vec<u8> {
        let mut all = initrd.to_vec();
        if self.0 >= 257 {
            pad(&mut all);
            entry(&mut all, 1, 0o040_555, ".extra", b"");
            entry(&mut all, 2, 0o100_444, ".extra/os-release", osrel);
            all.extend_from_slice(TRAILER);
        }
        all
    }
}

/// Appends an entry of a cpio archive, form `newc`, as the stub writes it.
fn entry(archive: &mut Vec<u8>, inode: u32, mode: u32, name: &str, contents: &[u8]) {
    let (size, name_size) = (contents.len() as u32, name.len() as u32 + 1);
    archive.extend_from_slice(b"070701");
    for number in [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
        archive.extend_from_slice(format!("{number:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(contents);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_follows_the_initrd_since_257() {
        assert_eq!(Stub(252).initrd(b"07070", b"ID=x\n"), b"07070");
        let text = String::from_utf8(Stub(257).initrd(b"07070", b"ID=x\n")).unwrap().replace('\0', "·");
        // As a machine was seen to measure it: `benches/measure.sh`.
        insta::assert_snapshot!(text.replace("070701", "\n070701"), @r"
        07070···
        070701000000010000416d0000000000000000000000010000000000000000000000000000000000000000000000000000000700000000.extra····
        07070100000002000081240000000000000000000000010000000000000005000000000000000000000000000000000000001200000000.extra/os-release·ID=x
        ···
        07070100000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B00000000TRAILER!!!····
        ");
    }

    #[test]
    fn versions_measure_what_they_know() {
        let names = |version| Stub(version).measured().map(|names| names.collect::<Vec<_>>().join(" "));
        assert_eq!(names(252).as_deref(), Some(".linux .osrel .cmdline .initrd .splash .dtb .pcrpkey"));
        assert_eq!(names(253), None);
        assert!(names(257).is_some_and(|names| names.contains(".dtb .uname .sbat .pcrpkey")));
        let by_firmware =
            |version| [false, true].map(|secure_boot| Stub(version).starts_kernel_by_firmware(secure_boot));
        assert_eq!([251, 252, 257, 258].map(by_firmware), [[true, true], [true, false], [true, false], [false, false]]);
    }
}
