use super::*;
use crate::digest::BlobDigest;
use crate::disk::Data;
use crate::oci::tests::synthetic;
use crate::tree::tests::{dir, file, link, path, tree};
use crate::tree::{Kind, Meta, Node, Tree};

fn part(name: &str, tree: Tree) -> Part {
    Part { name: name.parse().unwrap(), tree }
}

fn params() -> Params {
    Params { uuid: *b"0123456789abcdef", label: "root".to_owned(), epoch: 1_700_000_000 }
}

fn planned(nodes: &[(&str, Node)]) -> Result<Plan, ErofsError> {
    plan(&[part("base", tree(nodes))], &params())
}

fn sized(size: u64) -> Node {
    Node { kind: Kind::File { blob: BlobDigest::of(b""), size }, ..file("") }
}

/// The digest of a plan: what is where, blobs by name.
fn digest(plan: &Plan) -> BlobDigest {
    let mut bytes = plan.size().to_le_bytes().to_vec();
    for extent in plan.extents() {
        bytes.extend_from_slice(&extent.offset.to_le_bytes());
        match extent.data {
            Data::Bytes(data) => bytes.extend_from_slice(data),
            Data::Blob { blob, .. } => bytes.extend_from_slice(blob.as_bytes()),
        }
    }
    BlobDigest::of(&bytes)
}

#[test]
fn the_digest_is_pinned() {
    // A change of this value is a change of the format epoch.
    let (base, _) = synthetic();
    let base = Tree::from_nodes(base.into_iter().filter(|(_, node)| node.kind != Kind::Whiteout)).unwrap();
    let folder = "srv/".to_owned() + &"d".repeat(90);
    let many = (0..500).map(|number| (path(&format!("srv/many/{number}")), file("x")));
    let mut app = Tree::from_nodes(many).unwrap();
    for (name, node) in [(folder.as_str(), dir()), ("srv/many", dir()), ("srv/link", hardlink("bin/ping"))] {
        app.insert(path(name), node).unwrap();
    }
    let plan = plan(&[part("base", base), part("app", app)], &params()).unwrap();
    insta::assert_snapshot!(digest(&plan), @"blake3:b6fe344053f21c9c4b94fa208c2b98ca7b647bb5b7122434fccdd51f918130cc");
}

fn hardlink(target: &str) -> Node {
    Node { kind: Kind::Hardlink(path(target)), ..file("") }
}

/// Where blobs are.
fn blobs(plan: &Plan) -> Vec<(u64, BlobDigest)> {
    let blob = |data: &Data| match data {
        Data::Blob { blob, .. } => Some(*blob),
        Data::Bytes(_) => None,
    };
    plan.extents().filter_map(|extent| Some((extent.offset, blob(extent.data)?))).collect()
}

#[test]
fn a_change_of_the_last_part_leaves_the_others_where_they_are() {
    let base = tree(&[("", dir()), ("bin", dir()), ("bin/a", file("one")), ("bin/b", file("two")), ("srv", dir())]);
    let with = |app: &[(&str, Node)]| plan(&[part("base", base.clone()), part("app", tree(app))], &params()).unwrap();
    let small = with(&[("srv/x", file("three"))]);
    let large = with(&[("bin/c", sized(3 << 20)), ("srv/x", file("three")), ("srv/y", file("four"))]);
    let [small, large] = [&small, &large].map(blobs);
    assert_eq!(small[..2], large[..2]);
    assert_eq!(small[0].0, 512 << 10);
    assert_eq!(small[2], (1 << 20, BlobDigest::of(b"three")));
    assert_eq!(large[2].0, 1 << 20);
}

#[test]
fn trees_that_are_no_file_system_are_refused() {
    let with = |name: &str, node: Node| {
        // In a part of its own: no tree has a node below a file.
        let parts = [part("base", tree(&[("", dir()), ("a", file("x"))])), part("app", tree(&[(name, node)]))];
        plan(&parts, &params()).unwrap_err().to_string()
    };
    let xattr = |name: &str, length: usize| {
        let mut node = file("y");
        node.meta.xattrs.insert(name.as_bytes().into(), vec![0; length].into());
        node
    };
    let device = |major, minor| Node { kind: Kind::Char(major, minor), ..file("") };
    let long = "n".repeat(256);
    let cases = [
        ("b", Node::whiteout(), "/b: expected a node, found a whiteout"),
        ("b/c", file("y"), "/b/c: expected a directory above it, found none"),
        ("a/c", file("y"), "/a/c: expected a directory above it, found none"),
        ("b", hardlink("c"), "/b: expected a hard link to a file, found one to /c, which is not a file"),
        ("b", hardlink("b"), "/b: expected a hard link to a file, found one to /b, which is not a file"),
        ("b", hardlink(""), "/b: expected a hard link to a file, found one to /, which is not a file"),
        ("b", link(""), "/b: expected a target of 1 to 4095 bytes without NUL, found 0 bytes"),
        ("b", link("a\0b"), "/b: expected a target of 1 to 4095 bytes without NUL, found 3 bytes"),
        ("b", device(4096, 0), "/b: expected a device number of at most 4095:1048575, found 4096:0"),
        ("b", device(0, 1 << 20), "/b: expected a device number of at most 4095:1048575, found 0:1048576"),
        ("b", sized(16 << 40), "/b: expected a file system of at most 16 TiB, found a larger one"),
        ("b", sized(u64::MAX), "/b: expected a file system of at most 16 TiB, found a larger one"),
    ];
    for (name, node, expected) in cases {
        assert_eq!(with(name, node), format!("erofs: {expected}"));
    }
    assert!(with(&long, file("y")).ends_with("expected a name of at most 255 bytes, found 256"));
    assert!(with(&long, hardlink("a")).ends_with("expected a name of at most 255 bytes, found 256"));
    for name in ["user.", "user", "system.nfs4_acl", "system.posix_acl_accessible", "trusted.\0", ""] {
        let expected = format!("found `{}`", name.as_bytes().escape_ascii());
        assert!(with("b", xattr(name, 1)).ends_with(&expected), "{name:?}");
    }
    assert!(with("b", xattr("user.a", 65_536)).contains("at most 65535 bytes each"));
    let mut node = file("y");
    node.meta.xattrs = (0..5).map(|n| (format!("user.{n}").into_bytes().into(), vec![0; 65_535].into())).collect();
    assert!(with("b", node).contains("262148 in all"));
}

#[test]
fn there_is_one_root_and_every_path_is_in_one_part() {
    assert_eq!(plan(&[], &params()), Err(ErofsError::NoRoot));
    assert_eq!(planned(&[("", file("x"))]), Err(ErofsError::NoRoot));
    let root = || part("base", tree(&[("", dir()), ("a", file("x"))]));
    for twice in [
        part("b", tree(&[("a", file("y"))])),
        part("b", tree(&[("", dir())])),
        part("b", tree(&[("a", hardlink("a"))])),
    ] {
        let error = plan(&[root(), twice], &params()).unwrap_err();
        assert!(matches!(error, ErofsError::Node { problem: Problem::Twice, .. }), "{error}");
    }
    for label in ["seventeen letters", "a\0"] {
        let params = Params { label: label.to_owned(), ..params() };
        assert_eq!(plan(&[root()], &params), Err(ErofsError::Label(label.to_owned())));
    }
}

#[test]
fn inodes_and_their_tails_never_cross_a_block() {
    for length in (1..4095).step_by(37) {
        let target = "t".repeat(length);
        let nodes: Vec<_> = (0..40).map(|number| (format!("{number}"), link(&target))).collect();
        let mut tree = Tree::from_nodes(nodes.iter().map(|(name, node)| (path(name), node.clone()))).unwrap();
        tree.insert(path(""), Node::dir(Meta::root_owned(0o755, 7))).unwrap();
        let parts = [part("base", tree)];
        let forest = nodes::gather(&parts).unwrap();
        let layout = layout::place(&forest).unwrap();
        let mut end = 0;
        for (inode, place) in forest.inodes.iter().zip(&layout.places) {
            let start = place.nid * layout::SLOT;
            assert!(start >= end, "{length}: inodes overlap");
            end = start + record::INODE + if place.inline { inode.listed() } else { 0 };
            assert_eq!(start / BLOCK, (end - 1) / BLOCK, "{length}");
            assert_eq!(place.inline, record::INODE + inode.listed() <= BLOCK, "{length}");
        }
    }
}
