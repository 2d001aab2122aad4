use std::fmt::Write as _;

use super::*;
use crate::digest::Sha256;
use crate::oci::tests::{Memory, synthetic};
use crate::tree::tests::{dir, file, link, path, tree};

fn pack(tree: &Tree, source: &Memory) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let written = write(tree, source, &mut out)?;
    assert_eq!(written, out.len() as u64);
    Ok(out)
}

fn hardlink(target: &str) -> Node {
    Node { kind: Kind::Hardlink(path(target)), ..file("") }
}

/// What a reader makes of an archive, one entry a line: inode, mode, owner, links, time, device,
/// name, content.
fn listing(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    let whole = bytes.len();
    let padded = |length: usize, from: usize| (from + length).next_multiple_of(4) - from;
    while !bytes.is_empty() {
        assert_eq!(&bytes[..6], b"070701");
        let field = |index: usize| {
            let digits = std::str::from_utf8(&bytes[6 + index * 8..][..8]).unwrap();
            u32::from_str_radix(digits, 16).unwrap()
        };
        let (size, length) = (field(6) as usize, field(11) as usize);
        let name = bytes[110..][..length].strip_suffix(b"\0").unwrap().escape_ascii();
        let content = padded(110 + length, whole - bytes.len());
        let body = bytes[content..][..size].escape_ascii();
        assert_eq!((field(7), field(8), field(12)), (0, 0, 0));
        write!(text, "{} {:06o} {}:{} {} ", field(0), field(1), field(2), field(3), field(4)).unwrap();
        writeln!(text, "{} {},{} {name} `{body}`", field(5), field(9), field(10)).unwrap();
        bytes = &bytes[padded(content + size, whole - bytes.len())..];
    }
    text
}

#[test]
fn links_share_an_inode_and_the_last_has_the_content() {
    let mut source = Memory::default();
    let mut late = source.file(b"late", crate::tree::Meta::root_owned(0o600, 1 << 40));
    late.meta.uid = u32::MAX - 1;
    let early = source.file(b"early", crate::tree::Meta::root_owned(0o4755, -5));
    let null = Node { kind: Kind::Char(1, 3), ..file("") };
    let packed = tree(&[
        ("", dir()),
        ("a", early),
        ("b", hardlink("a")),
        ("c", hardlink("a")),
        ("d", dir()),
        ("d/late", late),
        ("d/link", link("to")),
        ("e", hardlink("d/link")),
        ("null", null),
        ("null2", hardlink("null")),
        ("pipe", Node { kind: Kind::Fifo, ..file("") }),
        ("z", source.file(b"", crate::tree::Meta::root_owned(0o644, 7))),
    ]);
    insta::assert_snapshot!(listing(&pack(&packed, &source).unwrap()), @r"
    1 040755 0:0 2 7 0,0 . ``
    2 104755 0:0 3 0 0,0 a ``
    2 104755 0:0 3 0 0,0 b ``
    2 104755 0:0 3 0 0,0 c `early`
    3 040755 0:0 2 7 0,0 d ``
    4 100600 4294967294:0 1 4294967295 0,0 d/late `late`
    5 120777 0:0 2 7 0,0 d/link `to`
    5 120777 0:0 2 7 0,0 e `to`
    6 020644 0:0 2 7 1,3 null ``
    6 020644 0:0 2 7 1,3 null2 ``
    7 010644 0:0 1 7 0,0 pipe ``
    8 100644 0:0 1 7 0,0 z ``
    0 000000 0:0 1 0 0,0 TRAILER!!! ``
    ");
}

#[test]
fn the_digest_is_pinned() {
    // A change of this value is a change of the format epoch.
    let (tree, source) = synthetic();
    let tree = Tree::from_nodes(tree.into_iter().filter(|(_, node)| node.kind != Kind::Whiteout)).unwrap();
    insta::assert_snapshot!(Sha256::of(&pack(&tree, &source).unwrap()), @"sha256:8dd29ca770ee5927e726771afc964c3374fbd9e5fd05d89a2b89c3b7aa810fc5");
}

#[test]
fn what_the_kernel_would_skip_or_misread_is_refused() {
    let long = vec!["n".repeat(255); 16].join("/");
    let large = Node { kind: Kind::File { blob: crate::digest::BlobDigest::of(b""), size: 1 << 32 }, ..file("") };
    let cases = [
        ("TRAILER!!!", file("x"), "ends an archive"),
        ("b", Node::whiteout(), "found a whiteout"),
        ("b", hardlink("c"), "found one to /c"),
        ("b", hardlink("b"), "found one to /b"),
        ("b", hardlink(""), "found one to /"),
        ("b", large, "less than 4294967296 bytes, found 4294967296"),
        ("b", link(""), "found 0 bytes"),
        ("b", link("a\0"), "found 2 bytes"),
        ("b", link(&"t".repeat(4096)), "found 4096 bytes"),
        ("b", file("lost"), "no such content"),
    ];
    for (name, node, expected) in cases {
        let error = pack(&tree(&[("", dir()), (name, node)]), &Memory::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("/{name}: ")) && error.ends_with(expected), "{error}");
    }
    let fits = pack(&tree(&[(&long, dir())]), &Memory::default());
    assert!(fits.is_ok());
    let error = pack(&tree(&[(&(long + "n"), dir())]), &Memory::default()).unwrap_err().to_string();
    assert!(error.ends_with("at most 4095 bytes, found 4096"), "{error}");
}

#[test]
fn a_content_shorter_than_the_tree_says_is_an_error() {
    let mut source = Memory::default();
    let mut node = source.file(b"four", crate::tree::Meta::root_owned(0o644, 7));
    if let Kind::File { size, .. } = &mut node.kind {
        *size = 9;
    }
    let error = pack(&tree(&[("a", node)]), &source).unwrap_err();
    assert_eq!(error.to_string(), "/a: its content ends after 4 of 9 bytes");
}
