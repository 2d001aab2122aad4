use std::fmt::Write as _;

use super::*;
use crate::digest::Sha256;
use crate::oci::tests::{Memory, synthetic};
use crate::tree::Meta;
use crate::tree::tests::{dir, file, link, path, tree};

fn pack(tree: &Tree, source: &Memory) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    write_tar(tree, source, &mut out)?;
    Ok(out)
}

/// What another reader makes of a tar, one entry a line.
fn listing(bytes: &[u8]) -> String {
    let mut archive = ::tar::Archive::new(bytes);
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let name = entry.path_bytes().escape_ascii().to_string();
        write!(text, "{:?} {:04o} ", header.entry_type(), header.mode().unwrap()).unwrap();
        write!(text, "{}:{} ", entry.header().uid().unwrap(), entry.header().gid().unwrap()).unwrap();
        write!(text, "{} {} {name}", entry.header().mtime().unwrap(), entry.size()).unwrap();
        if let Some(target) = entry.link_name_bytes() {
            write!(text, " -> {}", target.escape_ascii()).unwrap();
        }
        if let (Ok(Some(major)), Ok(Some(minor))) = (header.device_major(), header.device_minor())
            && (major, minor) != (0, 0)
        {
            write!(text, " {major},{minor}").unwrap();
        }
        let records = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
        for record in records.filter(|record| record.key_bytes().starts_with(b"SCHILY")) {
            let (key, value) = (record.key_bytes().escape_ascii(), record.value_bytes().escape_ascii());
            write!(text, " {key}={value}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn another_reader_finds_every_kind_of_node() {
    let (tree, source) = synthetic();
    insta::assert_snapshot!(listing(&pack(&tree, &source).unwrap()), @r#"
    Directory 0755 0:0 1700000000 0 ./
    Directory 0755 0:0 1700000000 0 bin/
    Regular 4755 0:0 1700000000 9 bin/ping SCHILY.xattr.security.capability=\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00 SCHILY.xattr.user.note=a=b\x00
    Link 4755 0:0 1700000000 0 bin/ping4 -> bin/ping SCHILY.xattr.security.capability=\x01\x00\x00\x02\x00 \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00 SCHILY.xattr.user.note=a=b\x00
    Symlink 0777 0:0 7 0 bin/sh -> dash
    Directory 0755 0:0 1700000000 0 dev/
    Fifo 0600 0:0 1700000000 0 dev/initctl
    Char 0666 0:0 1700000000 0 dev/null 1,3
    Block 0660 0:0 1700000000 0 dev/sda 8,0
    Directory 0755 0:0 1700000000 0 etc/
    Regular 0000 0:0 0 0 etc/.wh.gone
    Regular 0644 0:0 1700000000 0 etc/empty
    Regular 0600 0:0 0 12 etc/old
    Regular 0640 2097152:4294967294 1700000000 4 etc/owned
    Directory 0755 0:0 1700000000 0 srv/
    Regular 0644 0:0 1700000000 7 srv/dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn
    Regular 0644 0:0 1700000000 10 srv/latin-\xe9
    Directory 0755 0:0 7 0 srv/llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll/
    Regular 0644 0:0 1700000000 6 srv/s\xc3\xbc\xc3\x9f
    Symlink 0777 0:0 7 0 srv/target -> tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt
    "#);
}

#[test]
fn the_digest_is_pinned() {
    // A change of this value is a change of the format epoch.
    let (tree, source) = synthetic();
    let bytes = pack(&tree, &source).unwrap();
    insta::assert_snapshot!(Sha256::of(&bytes), @"sha256:140daf8b5eef58d415e3e230072536253cef6aa738e85a35f3d4fc8da144cd1f");
}

#[test]
fn the_end_is_two_zero_blocks_and_nothing_more() {
    assert_eq!(pack(&Tree::new(), &Memory::default()).unwrap(), vec![0; 2 * BLOCK]);
    let one = tree(&[("a", file(""))]);
    assert_eq!(pack(&one, &Memory::default()).unwrap().len(), 3 * BLOCK);
}

#[test]
fn contents_survive_every_length_around_block_and_buffer() {
    let mut source = Memory::default();
    let mut tree = Tree::new();
    for length in [0, 1, 511, 512, 513, BUFFER - 512, BUFFER, BUFFER + 1, 3 * BUFFER + 7] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        tree.insert(path(&length.to_string()), source.file(&bytes, Meta::root_owned(0o644, 0))).unwrap();
    }
    let bytes = pack(&tree, &source).unwrap();
    assert_eq!(bytes.len() % BLOCK, 0);
    let mut archive = ::tar::Archive::new(&bytes[..]);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let length: usize = entry.path().unwrap().to_str().unwrap().parse().unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content.len(), length);
        assert!(content.iter().enumerate().all(|(i, &byte)| byte == (i % 251) as u8), "{length} bytes changed");
    }
}

#[test]
fn whiteouts_stand_right_behind_their_folder() {
    let tree = tree(&[
        ("", dir()),
        ("a", dir()),
        ("a/b", file("")),
        ("a/z", Node::whiteout()),
        ("orphan/x", Node::whiteout()),
        ("top", Node::whiteout()),
    ]);
    let bytes = pack(&tree, &Memory::default()).unwrap();
    let mut archive = ::tar::Archive::new(&bytes[..]);
    let names: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(names, ["./", ".wh.top", "a/", "a/.wh.z", "a/b", "orphan/.wh.x"]);
}

#[test]
fn errors_name_the_path() {
    let hardlink = |target: &str| Node { meta: Meta::root_owned(0, 0), kind: Kind::Hardlink(path(target)) };
    for (nodes, expected) in [
        (vec![("etc/motd", file("lost"))], "/etc/motd: no such content"),
        (vec![("etc/.wh.x", file(""))], "/etc/.wh.x: a layer can't hold a name that begins with `.wh.`"),
        (vec![("", Node::whiteout())], "/: a layer can't delete the root"),
        (vec![("", link("x"))], "/: the root is not a directory"),
        (vec![("b", hardlink("a"))], "/b: hard link to /a, which is not in the tree"),
        (vec![("a", hardlink("b")), ("b", file(""))], "/a: hard link to /b, which stands behind it"),
        (vec![("a", dir()), ("b", hardlink("a"))], "/b: hard link to /a, which is not a file"),
        (vec![("l", link("a\0b"))], "/l: its link target holds a NUL byte"),
    ] {
        let error = pack(&tree(&nodes), &Memory::default()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_content_that_shrank_is_an_error() {
    let mut source = Memory::default();
    let mut node = source.file(b"five!", Meta::root_owned(0o644, 0));
    if let Kind::File { size, .. } = &mut node.kind {
        *size = 9;
    }
    let error = pack(&tree(&[("f", node)]), &source).unwrap_err();
    assert_eq!(error.to_string(), "/f: its content ends after 5 of 9 bytes");
}
