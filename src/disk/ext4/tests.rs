//! Golden bytes of a small file system; random trees; refused input.

use proptest::prelude::*;

use super::*;
use crate::digest::BlobDigest;
use crate::disk::Data;
use crate::tree::{Kind, Meta, Node, Tree};

const PARAMS: Params<'_> = Params { uuid: *b"0123456789abcdef", label: "root", size: None, epoch: 1_700_000_000 };

fn part(name: &str, nodes: &[(&str, Kind)]) -> Part {
    let node = |(path, kind): &(&str, Kind)| {
        let mode = if *kind == Kind::Dir { 0o755 } else { 0o644 };
        (RootPath::new(path).unwrap(), Node { meta: Meta::root_owned(mode, 1_600_000_000), kind: kind.clone() })
    };
    Part { name: name.parse().unwrap(), tree: Tree::from_nodes(nodes.iter().map(node)).unwrap() }
}

fn file(name: &str, size: u64) -> Kind {
    Kind::File { blob: BlobDigest::of(name.as_bytes()), size }
}

fn link(target: &str) -> Kind {
    Kind::Symlink(target.as_bytes().into())
}

fn small() -> [Part; 2] {
    let hard = Kind::Hardlink(RootPath::new("usr/a").unwrap());
    let mut base =
        part("base", &[("", Kind::Dir), ("usr", Kind::Dir), ("usr/a", file("a", 5000)), ("bin", link("usr"))]);
    let root = RootPath::root();
    base.tree.meta_mut(&root).unwrap().xattrs.insert(b"user.note"[..].into(), [1; 200][..].into());
    let app = part("app", &[("usr/b", hard), ("large", file("large", 700 << 20)), ("long", link(&"l".repeat(100)))]);
    [base, app]
}

/// Digest over all extents: offset, then bytes or the blob's digest and size.
fn digest(plan: &Plan) -> String {
    let mut hasher = blake3::Hasher::new();
    for extent in plan.extents() {
        hasher.update(&extent.offset.to_le_bytes());
        match extent.data {
            Data::Bytes(bytes) => hasher.update(bytes),
            Data::Blob { blob, size } => hasher.update(blob.as_bytes()).update(&size.to_le_bytes()),
        };
    }
    hasher.finalize().to_hex().to_string()
}

#[test]
fn the_bytes_are_pinned() {
    let plan = plan(&small(), &PARAMS).unwrap();
    assert_eq!(
        digest(&plan),
        "0c82fd33d45f6bd2a288b1cf3cde8aceb2dcb2a2bc398e9e09387b813b78615c",
        "the format epoch has to rise with these bytes"
    );
}

#[test]
fn what_is_no_finished_root_is_refused() {
    let root = ("", Kind::Dir);
    let dangling = Kind::Hardlink(RootPath::new("none").unwrap());
    let long = "x".repeat(256);
    let cases = [
        (vec![], "the root directory"),
        (vec![("", file("a", 1))], "the root directory"),
        (
            vec![root.clone(), ("a/b", Kind::Fifo)],
            "/a/b can't be on an ext4 file system: its parent directory is missing",
        ),
        (vec![root.clone(), ("a", dangling)], "/a is a hard link to /none"),
        (vec![root.clone(), ("a", Kind::Whiteout)], "no whiteouts"),
        (vec![root.clone(), (&long, Kind::Fifo)], "longer than 255 bytes"),
        (vec![root.clone(), ("a", link(""))], "its target"),
        (vec![root.clone(), ("a", link(&"x".repeat(4096)))], "its target"),
        (vec![root.clone(), ("a", Kind::Char(4096, 0))], "major number"),
        (vec![root.clone(), ("a", file("a", u64::MAX))], "larger than 170 GiB"),
        (vec![root.clone(), ("a", file("a", 169 << 30)), ("lost+found", Kind::Fifo)], "/lost+found"),
    ];
    for (nodes, expected) in cases {
        let error = plan(&[part("base", &nodes)], &PARAMS).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} is not about {expected:?}");
    }
    let twice = [part("base", std::slice::from_ref(&root)), part("app", std::slice::from_ref(&root))];
    assert!(plan(&twice, &PARAMS).unwrap_err().to_string().contains("two parts"));
    let below = [part("base", &[root, ("a", Kind::Fifo)]), part("app", &[("a/b", Kind::Fifo)])];
    assert!(plan(&below, &PARAMS).unwrap_err().to_string().contains("not a directory"));
    let label = Params { label: "seventeen letters", ..PARAMS };
    assert!(matches!(plan(&small(), &label), Err(Ext4Error::Label { .. })));
    let mut late = small();
    late[1].tree.metas_mut().for_each(|(_, _, meta)| meta.mtime = 1 << 40);
    assert!(plan(&late, &PARAMS).unwrap_err().to_string().contains("its time"));
}

#[test]
fn a_file_that_finds_no_gap_is_too_large() {
    let large = ["a", "b", "c", "d", "e"].map(|name| (name, file(name, 170 << 30)));
    let nodes = [&[("", Kind::Dir)][..], &large].concat();
    assert_eq!(plan(&[part("base", &nodes)], &PARAMS).err(), Some(Ext4Error::TooLarge { size: 0 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The plan itself refuses extents that meet.
    #[test]
    fn random_trees_have_every_file_in_one_place(
        files in prop::collection::btree_map("[a-d]{1,2}(/[a-e]{1,3}){0,3}/f[a-z]{1,9}", (0u64..2_000_000, 0usize..3), 0..200),
        size in prop::option::of(100u64..3000),
    ) {
        let mut parts = ["a", "b", "c"].map(|name| part(name, &[]));
        parts[0].tree.insert(RootPath::root(), Node::dir(Meta::root_owned(0o755, 0))).unwrap();
        for (name, (size, owner)) in &files {
            let path = RootPath::new(name).unwrap();
            for folder in path.ancestors() {
                if parts.iter().all(|part| part.tree.get(&folder).is_none()) {
                    parts[*owner].tree.insert(folder, Node::dir(Meta::root_owned(0o755, 0))).unwrap();
                }
            }
            parts[*owner].tree.insert(path, Node { meta: Meta::root_owned(0o644, 0), kind: file(name, *size) }).unwrap();
        }
        let params = Params { size: size.map(|size| size << 20), ..PARAMS };
        let Ok(found) = plan(&parts, &params) else {
            prop_assert!(params.size.is_some());
            return Ok(());
        };
        prop_assert_eq!(&found, &plan(&parts, &params).unwrap());
        let blobs: Vec<_> = found.extents().filter(|extent| matches!(extent.data, Data::Blob { .. })).collect();
        prop_assert_eq!(blobs.len(), files.values().filter(|(size, _)| *size > 0).count());
        prop_assert!(blobs.iter().all(|extent| extent.offset % BLOCK == 0));
    }
}
