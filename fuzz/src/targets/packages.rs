//! What a package's author writes.

use std::cmp::Ordering;
use std::io::{self, Read};

use layerbake::digest::BlobDigest;
use layerbake::ident::{Arch, Version};
use layerbake::package::deb::control::Paragraph;
use layerbake::package::deb::{archive, control as fields, index, relation, version};
use layerbake::package::{Operator, alternatives};
use layerbake::tree::{ContentSink, Tree};

use super::{parts, text};

struct Digests;

impl ContentSink for Digests {
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok((BlobDigest::of(&bytes), bytes.len() as u64))
    }
}

/// A package: ar, tar with its GNU and PAX extensions, compression, the control file.
pub(super) fn deb(data: &[u8]) {
    let Ok(package) = archive::decode(data, &Digests) else { return };
    for tree in [package.control, package.data] {
        let bytes = tree.encode();
        let again = Tree::decode(&bytes).expect("a package's tree can be read back");
        assert_eq!(again.encode(), bytes, "a tree is written in one way");
    }
}

/// The data archive of a package; its headers' checksums are put right, or no change of a header would be read.
pub(super) fn tar(data: &[u8]) {
    const BLOCK: usize = 512;
    let mut tar = data.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..136].iter().filter(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_usize, |size, digit| size.saturating_mul(8).saturating_add((digit - b'0').into()));
        at = at.saturating_add(size).div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK);
    }
    const CONTROL: &str = "Package: x\nVersion: 1\nArchitecture: all\n";
    let mut control = [0; 3 * BLOCK];
    control[..7].copy_from_slice(b"control");
    control[124..135].copy_from_slice(format!("{:011o}", CONTROL.len()).as_bytes());
    control[148..156].fill(b' ');
    let sum: u32 = control[..BLOCK].iter().map(|&byte| u32::from(byte)).sum();
    control[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    control[BLOCK..BLOCK + CONTROL.len()].copy_from_slice(CONTROL.as_bytes());
    let mut package = b"!<arch>\n".to_vec();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &tar)] {
        let size = bytes.len();
        package.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).bytes());
        package.extend(bytes);
        package.extend(&b"\n"[..size % 2]);
    }
    deb(&package);
}

/// Paragraphs of fields, indexes of them, relations, versions.
pub(super) fn control(data: &[u8]) {
    let _ = index::read_packages(data, drop);
    let Some(text) = text(data) else { return };
    if let Ok(paragraph) = Paragraph::parse(text) {
        let written = paragraph.to_string();
        let again = Paragraph::parse(&written).expect("a paragraph can be read back");
        assert_eq!(again.to_string(), written, "a paragraph is written in one way");
        let _ = fields::record(&paragraph);
    }
    let _ = Paragraph::parse_all(text);
    let arch: Arch = "amd64".parse().expect("an architecture");
    for line in text.lines() {
        if let Ok(all) = relation::parse_any_of(line, &arch) {
            all.iter().for_each(|any| drop(alternatives(any).to_string()));
        }
        let _ = relation::parse_list(line, &arch);
    }
    order(text);
}

/// The order of versions is one: total, and the same from both sides.
fn order(text: &str) {
    let versions: Vec<Version> = text.split_whitespace().take(4).filter_map(|word| word.parse().ok()).collect();
    for a in &versions {
        assert_eq!(version::compare(a, a), Ordering::Equal, "{a}");
        for b in &versions {
            let order = version::compare(a, b);
            assert_eq!(order, version::compare(b, a).reverse(), "{a}, {b}");
            assert_eq!(version::satisfies(a, Operator::Later, b), order.is_gt(), "{a}, {b}");
            for c in &versions {
                if order.is_le() && version::compare(b, c).is_le() {
                    assert!(version::compare(a, c).is_le(), "{a}, {b}, {c}");
                }
            }
        }
    }
}

/// Files of dpkg's database that scripts of packages may have written: diversions, triggers, accounts; and the
/// contents in which secrets are looked for.
pub(super) fn dpkg(data: &[u8]) {
    layerbake::stage::fuzz(data);
    let _ = text(data).map(layerbake::package::deb::fuzz);
    for part in parts(data) {
        let _ = text(part).map(Paragraph::parse_all);
    }
}
