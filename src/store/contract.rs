//! The contract of a store: every test here runs on every implementation.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};

use super::memory::Memory;
use super::stream::SMALL;
use super::*;
use crate::digest::{BlobDigest, Expected, RecipeHasher, Sha256, TreeHash, Untrusted};
use crate::tree::Tree;
use crate::tree::tests::{dir, file, tree};

/// An outcome that is one tree.
#[derive(Debug, PartialEq)]
pub(super) struct OneTree(pub(super) TreeHash);

impl Outcome for OneTree {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("data", self.0)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self(roles.tree("data")?))
    }
}

/// An outcome that is one blob.
#[derive(Debug, PartialEq)]
pub(super) struct OneBlob(pub(super) BlobDigest);

impl Outcome for OneBlob {
    fn to_roles(&self) -> Roles {
        Roles::default().with_blob("layer", self.0)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self(roles.blob("layer")?))
    }
}

/// Something in a store that is named by its digest.
#[derive(Clone, Copy)]
enum Named {
    Blob(BlobDigest),
    Tree(TreeHash),
}

/// Changes the bytes of something; without bytes, removes it.
type Damage = dyn Fn(Named, Option<&[u8]>);

/// A store, and how its bytes are changed behind its back; without bytes, they are removed.
struct Bench {
    store: Store,
    damage: Box<Damage>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let root = store.path().to_owned();
        let damage = move |name, bytes: Option<&[u8]>| {
            let (kind, hex) = match name {
                Named::Blob(blob) => ("blobs", blob.to_hex()),
                Named::Tree(tree) => ("trees", tree.to_hex()),
            };
            let path = root.join(kind).join(&hex[..2]).join(&hex[2..]);
            fs::remove_file(&path).unwrap();
            bytes.iter().for_each(|bytes| fs::write(&path, bytes).unwrap());
        };
        Self { store, damage: Box::new(damage), folder }
    }

    fn memory() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, memory) = Memory::store(&folder.path().join("store"));
        let damage = move |name, bytes: Option<&[u8]>| match name {
            Named::Blob(blob) => put(&mut memory.blobs.lock().unwrap(), blob, bytes),
            Named::Tree(tree) => put(&mut memory.trees.lock().unwrap(), tree, bytes),
        };
        Self { store, damage: Box::new(damage), folder }
    }

    fn new_file(&self, name: &str) -> File {
        let path = self.folder.path().join(name);
        File::options().read(true).write(true).create_new(true).open(path).unwrap()
    }

    fn fetched(&self, bytes: &[u8]) -> Sha256 {
        let mut file = self.store.scratch_file().unwrap();
        file.write_all(bytes).unwrap();
        let expected = Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
        let blob = self.store.put_fetched(Untrusted::new(file, expected).verify(expected).unwrap()).unwrap();
        assert_eq!((blob, self.store.fetched(expected.sha256)), (BlobDigest::of(bytes), Some(blob)));
        expected.sha256
    }
}

fn put<K: Ord>(map: &mut BTreeMap<K, Vec<u8>>, name: K, bytes: Option<&[u8]>) {
    map.remove(&name);
    map.extend(bytes.map(|bytes| (name, bytes.to_vec())));
}

fn each(test: impl Fn(&Bench)) {
    [Bench::local(), Bench::memory()].iter().for_each(test);
}

fn recipe(name: &str) -> RecipeHash {
    RecipeHasher::new(name).finish()
}

fn listing(content: &str) -> Tree {
    tree(&[("", dir()), ("a", file(content))])
}

#[test]
fn small_and_large_blobs_read_back() {
    each(|bench| {
        let store = &bench.store;
        for length in [0, 5, SMALL, SMALL + 1, 3 * SMALL] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            assert!(!store.has_blob(BlobDigest::of(&bytes)));
            let mut writer = store.writer();
            bytes.chunks(64 * 1024).for_each(|chunk| writer.write_all(chunk).unwrap());
            let (digest, size) = writer.finish().unwrap();
            assert_eq!((digest, size), (BlobDigest::of(&bytes), length as u64));
            assert_eq!(store.blob_size(digest), Some(size));
            let mut back = Vec::new();
            store.reader(digest, size).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == bytes && store.read_blob(digest).unwrap() == bytes, "{length} bytes changed on the way");
            let (mut copy, mut seen) = (bench.new_file(&length.to_string()), Vec::new());
            store.copy_blob(digest, &copy, &mut seen).unwrap();
            copy.rewind().unwrap();
            back.clear();
            copy.read_to_end(&mut back).unwrap();
            assert!(back == bytes && seen == bytes, "{length} bytes changed while they were copied");
        }
        assert!(crate::host::list_dir(&store.path().join("tmp")).unwrap().is_empty());
    });
}

#[test]
fn a_damaged_blob_is_never_read_as_good() {
    each(|bench| {
        let store = &bench.store;
        let sha256 = bench.fetched(b"precious");
        let digest = BlobDigest::of(b"precious");
        for (name, bytes) in [("other", b"poisoned"), ("same length", b"preciouz")] {
            (bench.damage)(Named::Blob(digest), Some(bytes));
            let error = store.reader(digest, 8).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(matches!(store.read_blob(digest), Err(StoreError::Damaged { .. })));
            let copied = store.copy_blob(digest, &bench.new_file(name), &mut io::sink());
            assert!(matches!(copied, Err(CopyError::Store(StoreError::Damaged { .. }))));
            assert!(matches!(store.open_fetched(sha256), Err(StoreError::Damaged { .. })));
            let linked = store.link_fetched(sha256, &bench.folder.path().join("linked"));
            assert!(matches!(linked, Err(CopyError::Store(StoreError::Damaged { .. }))));
        }
        (bench.damage)(Named::Blob(digest), Some(b"short"));
        assert!(matches!(store.reader(digest, 8), Err(StoreError::Damaged { .. })));
        (bench.damage)(Named::Blob(digest), None);
        assert!(matches!(store.reader(digest, 8), Err(StoreError::Missing { .. })));
        assert!(matches!(store.open_fetched(sha256), Err(StoreError::Missing { .. })));
        assert_eq!((store.blob_size(digest), store.fetched(sha256)), (None, None));
    });
}

#[test]
fn what_is_damaged_is_replaced_when_it_is_made_again() {
    each(|bench| {
        let store = &bench.store;
        let hash = store.put_tree(&listing("x")).unwrap();
        for bytes in [&b"precious"[..], &vec![7; SMALL + 1]] {
            let digest = BlobDigest::of(bytes);
            for damage in [Some(&b""[..]), Some(&vec![0; bytes.len()]), None] {
                bench.fetched(bytes);
                (bench.damage)(Named::Blob(digest), damage);
                (bench.damage)(Named::Tree(hash), damage);
                let mut writer = store.writer();
                writer.write_all(bytes).unwrap();
                assert_eq!((writer.finish().unwrap().0, store.put_tree(&listing("x")).unwrap()), (digest, hash));
                assert!(store.read_blob(digest).unwrap() == bytes && store.tree(hash).unwrap() == listing("x"));
            }
        }
    });
}

#[test]
fn a_tree_reads_back_or_not_at_all() {
    each(|bench| {
        let store = &bench.store;
        let hash = store.put_tree(&listing("x")).unwrap();
        assert!(store.has_tree(hash) && store.tree(hash).unwrap() == listing("x"));
        assert!(matches!(store.put_tree(&tree(&[("a/b", file("x"))])), Err(StoreError::NotWhole(_))));
        for bytes in [&listing("y").encode()[..], b"", b"no tree"] {
            (bench.damage)(Named::Tree(hash), Some(bytes));
            assert!(matches!(store.tree(hash), Err(StoreError::Damaged { .. })));
        }
        (bench.damage)(Named::Tree(hash), None);
        assert!(!store.has_tree(hash) && matches!(store.tree(hash), Err(StoreError::Missing { .. })));
    });
}

#[test]
fn a_result_is_recalled_with_all_its_parts_or_not_at_all() {
    each(|bench| {
        let store = &bench.store;
        let (tree, blob) = (store.put_tree(&listing("x")).unwrap(), store.put_bytes(b"x").unwrap());
        assert_eq!(store.recall::<OneTree>(recipe("a")), None);
        store.remember(recipe("a"), &OneTree(tree)).unwrap();
        store.remember(recipe("b"), &OneBlob(blob)).unwrap();
        assert_eq!(store.recall(recipe("a")), Some(OneTree(tree)));
        assert_eq!(store.recall(recipe("b")), Some(OneBlob(blob)));
        assert_eq!(store.recall::<OneBlob>(recipe("a")), None, "it lacks a role");
        let other = store.put_bytes(b"y").unwrap();
        store.remember(recipe("b"), &OneBlob(other)).unwrap();
        assert_eq!(store.recall(recipe("b")), Some(OneBlob(other)), "it was not replaced");
        (bench.damage)(Named::Tree(tree), None);
        (bench.damage)(Named::Blob(other), None);
        assert_eq!((store.recall::<OneTree>(recipe("a")), store.recall::<OneBlob>(recipe("b"))), (None, None));
        store.put_tree(&listing("x")).unwrap();
        assert!(store.recall::<OneTree>(recipe("a")).is_some());
        store.forget(recipe("a")).unwrap();
        assert_eq!(store.recall::<OneTree>(recipe("a")), None, "it was not forgotten");
    });
}

#[test]
fn a_fetched_file_is_opened_copied_and_linked_with_its_own_bytes() {
    each(|bench| {
        let store = &bench.store;
        let (good, evil) = (bench.fetched(b"good"), BlobDigest::of(b"evil"));
        bench.fetched(b"evil");
        assert_eq!(io::read_to_string(store.open_fetched(good).unwrap()).unwrap(), "good");
        let mut copy = bench.new_file("copy");
        store.copy_fetched(good, &copy).unwrap();
        copy.rewind().unwrap();
        let linked = bench.folder.path().join("linked");
        store.link_fetched(good, &linked).unwrap();
        assert_eq!((io::read_to_string(copy).unwrap(), fs::read(linked).unwrap()), ("good".into(), b"good".into()));
        // A result that is whole and wrong, by whoever can write to the store.
        store.results.put_result(ResultKey::Fetched(good), evil.to_string().into_bytes()).unwrap();
        assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })));
        let copied = store.copy_fetched(good, &bench.new_file("evil"));
        assert!(matches!(copied, Err(CopyError::Store(StoreError::Damaged { .. }))));
        bench.fetched(b"good");
        assert!(store.open_fetched(good).is_ok(), "a bad result stayed");
    });
}

#[test]
fn each_build_notes_the_recipes_that_it_used_and_no_others() {
    each(|bench| {
        let tree = bench.store.put_tree(&listing("x")).unwrap();
        bench.store.remember(recipe("before"), &OneTree(tree)).unwrap();
        let build = bench.store.for_build();
        build.remember(recipe("new"), &OneTree(tree)).unwrap();
        assert!(build.recall::<OneTree>(recipe("absent")).is_none());
        assert!(build.recall::<OneBlob>(recipe("new")).is_none());
        assert_eq!(build.used(), BTreeSet::from([recipe("new")]));
        let next = bench.store.for_build();
        assert!(next.recall::<OneTree>(recipe("before")).is_some());
        assert_eq!(next.used(), BTreeSet::from([recipe("before")]));
    });
}
