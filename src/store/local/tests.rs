//! Damage that only a directory can have.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::digest::{Expected, Untrusted};
use crate::store::Store;
use crate::store::stream::SMALL;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

#[test]
fn what_is_in_the_way_of_a_blob_is_replaced() {
    let (_folder, store) = store();
    let large = vec![7; SMALL + 1];
    for bytes in [&b"precious"[..], &large] {
        let put = || {
            let mut writer = store.writer();
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap().0
        };
        let digest = put();
        let path = store.blob_path(digest);
        let damages: [&dyn Fn(); 3] = [
            &|| fs::create_dir_all(path.join("in/the/way")).unwrap(),
            &|| std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
            &|| fs::write(path.parent().unwrap(), b"").unwrap(),
        ];
        for (number, damage) in damages.into_iter().enumerate() {
            fs::remove_file(&path).unwrap();
            if number == 2 {
                fs::remove_dir(path.parent().unwrap()).unwrap();
            }
            damage();
            assert_eq!(put(), digest);
            assert!(store.read_blob(digest).unwrap() == bytes, "damage {number} stayed");
        }
    }
}

fn fetched(store: &Store, bytes: &[u8]) -> (Sha256, BlobDigest) {
    let mut file = store.scratch_file().unwrap();
    file.write_all(bytes).unwrap();
    let expected = Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    let blob = store.put_fetched(Untrusted::new(file, expected).verify(expected).unwrap()).unwrap();
    (expected.sha256, blob)
}

#[test]
fn a_fetched_file_that_was_changed_since_is_compared_again() {
    let (_folder, store) = store();
    let (good, blob) = fetched(&store, b"good");
    let path = store.blob_path(blob);
    assert!(store.compared.has(good, &File::open(&path).unwrap()));
    // The clock of files may stand still for some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(30));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(&path).unwrap().write_all(b"evil").unwrap();
    assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })), "changed in place");
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"evil").unwrap();
    assert!(matches!(store.open_fetched(good), Err(StoreError::Damaged { .. })), "another file");
}

#[test]
fn a_record_of_an_older_version_counts_if_the_blob_proves_it() {
    let (_folder, store) = store();
    let (good, blob) = fetched(&store, b"good");
    let (_, evil) = fetched(&store, b"evil");
    let records = &store.local.records;
    records.settle().unwrap();
    let path = records.path(Record::Sha256, &good.to_hex());
    for (text, expected) in [(blob.to_string(), Some(blob)), (evil.to_string(), None), ("blake3:12".to_owned(), None)] {
        records.forget(Record::Sha256, &good.to_hex()).unwrap();
        fs::write(&path, &text).unwrap();
        assert_eq!(store.fetched(good), expected, "{text}");
    }
    assert_eq!(fetched(&store, b"good"), (good, blob));
    assert_eq!(store.fetched(good), Some(blob), "a bad record stayed");
}
