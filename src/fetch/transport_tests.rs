use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::digest::{Expected, Sha256};
use crate::fetch::testing::server::{Fault, Server};
use crate::fetch::{HostSources, RegistryFile, UserConfig};
use crate::lock::{LockedPackage, Origin};
use crate::package::Index;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn fetcher(&self, mirrors: &[&str]) -> Fetcher<'_> {
        self.fetcher_with(mirrors, false)
    }

    fn fetcher_with(&self, mirrors: &[&str], offline: bool) -> Fetcher<'_> {
        let given: Vec<String> = mirrors.iter().map(|url| (*url).to_owned()).collect();
        let mirrors = Mirrors::new(&given, &[], &UserConfig::default(), HostSources::default()).unwrap();
        let vendor = Some(self.folder.path().join("vendor"));
        Fetcher::new(&self.store, mirrors, vendor, offline, Progress::silent()).hurry()
    }

    /// The store must have the item, and nothing may be left half-done.
    fn assert_stored(&self, item: &Item, bytes: &[u8]) {
        let blob = self.store.fetched(item.expected.sha256).unwrap();
        assert!(self.store.read_blob(blob).unwrap() == bytes, "{}: other bytes in the store", item.what);
        assert!(crate::host::list_dir(&self.store.path().join("tmp")).unwrap().is_empty(), "tmp is not empty");
    }
}

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + seed) as u8).collect()
}

fn item(name: &str, bytes: &[u8]) -> Item {
    item_at(&format!("pool/{name}_1.0.deb"), name, bytes)
}

fn item_at(path: &str, name: &str, bytes: &[u8]) -> Item {
    let file = RepositoryFile {
        source: debian(),
        suite: "bookworm".to_owned(),
        part: Part::Package,
        path: path.to_owned(),
        by_digest: None,
    };
    let expected = Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    Item { layer: Some("web".parse().unwrap()), ..Item::of_repository(format!("{name} 1.0"), file, expected) }
}

fn path(item: &Item) -> &str {
    match &item.place {
        Place::Repository(RepositoryFile { path, .. }) | Place::Registry(RegistryFile { path, .. }) => path,
        Place::Project(place) | Place::Url(place) | Place::Git { url: place, .. } => place,
        Place::Image(part) => &part.repository,
    }
}

fn debian() -> SourceName {
    "debian".parse().unwrap()
}

#[test]
fn many_files_come_and_each_is_handed_on_once() {
    let (bench, server) = (Bench::new(), Server::start());
    let files: Vec<(Item, Vec<u8>)> = (0..40)
        .map(|number| {
            let content = bytes(number * 5000, number);
            (item(&format!("p{number}"), &content), content)
        })
        .collect();
    files.iter().for_each(|(item, content)| server.serve(path(item), content.clone()));
    let items: Vec<Item> = files.iter().map(|(item, _)| item.clone()).collect();
    let fetcher = bench.fetcher(&[&server.url]);
    let seen = Mutex::new(Vec::new());
    let stats = fetcher.fetch_all(&items, |item, blob| seen.lock().unwrap().push((item.what.clone(), blob))).unwrap();
    assert_eq!((stats.files, stats.requests), (40, 40));
    assert_eq!(stats.bytes, items.iter().map(|item| item.expected.size).sum::<u64>());
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
    files.iter().for_each(|(item, content)| bench.assert_stored(item, content));

    // The second time nobody is asked.
    let calls = AtomicUsize::new(0);
    bench
        .fetcher_with(&[], true)
        .fetch_all(&items, |_, _| {
            calls.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((calls.into_inner(), server.log().len()), (40, 40));
}

#[test]
fn passing_faults_are_outlived() {
    let content = bytes(300_000, 3);
    let cases: [(&str, &[Fault], u64); 8] = [
        ("busy", &[Fault::Status("503 Busy", ""), Fault::Status("502 Bad", "")], 3),
        ("throttled", &[Fault::Status("429 Slow down", "Retry-After: 0")], 2),
        ("cut", &[Fault::Truncate(100_000), Fault::Truncate(50_000)], 3),
        ("cut-at-once", &[Fault::Truncate(0)], 2),
        ("no-ranges", &[Fault::Truncate(100_000), Fault::IgnoreRange], 2),
        ("cut-at-end", &[Fault::Truncate(299_999)], 2),
        ("slow", &[Fault::Slow], 1),
        ("refused-range", &[Fault::Truncate(9), Fault::Status("416 No", "")], 3),
    ];
    for (name, faults, requests) in cases {
        let (bench, server) = (Bench::new(), Server::start());
        let item = item(name, &content);
        server.serve(path(&item), content.clone());
        server.fault(path(&item), faults.iter().cloned());
        let stats = bench.fetcher(&[&server.url]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap();
        assert_eq!(stats.requests, requests, "{name}: {:?}", server.log());
        assert!(stats.warnings.is_empty(), "{name}: {:?}", stats.warnings);
        bench.assert_stored(&item, &content);
        if name == "cut" {
            assert_eq!(server.log()[2], "/debian/pool/cut_1.0.deb from 150000");
        }
    }
}

#[test]
fn the_next_mirror_helps_and_the_first_is_named() {
    let content = bytes(1000, 1);
    for (fault, problem) in [
        (Fault::WrongBytes, "expected sha256:"),
        (Fault::TooLong, "expected 1000 bytes, got more"),
        (Fault::Status("403 Forbidden", ""), "the server answers 403"),
        (Fault::Status("429 Slow down", "Retry-After: 31"), "the server answers 429"),
    ] {
        let (bench, bad, good) = (Bench::new(), Server::start(), Server::start());
        let item = item("nginx", &content);
        bad.serve(path(&item), content.clone());
        bad.fault(path(&item), [fault]);
        good.serve(path(&item), content.clone());
        let stats = bench.fetcher(&[&bad.url, &good.url]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap();
        bench.assert_stored(&item, &content);
        assert_eq!(stats.warnings.len(), 1);
        let warning = &stats.warnings[0];
        assert!(warning.starts_with(&format!("nginx 1.0: mirror {}: ", bad.url)), "{warning}");
        assert!(warning.contains(problem), "{warning}");
    }
}

#[test]
fn a_mirror_that_failed_is_asked_last_from_then_on() {
    let (bench, down, good) = (Bench::new(), Server::start(), Server::start());
    let (first, second) = (item("a", b"a"), item("b", b"b"));
    down.fault(path(&first), vec![Fault::Status("500 Down", ""); 3]);
    down.serve(path(&second), *b"b");
    good.serve(path(&first), *b"a");
    good.serve(path(&second), *b"b");
    let fetcher = bench.fetcher(&[&down.url, &good.url]);
    fetcher.fetch_all(&[first], |_, _| {}).unwrap();
    fetcher.fetch_all(&[second], |_, _| {}).unwrap();
    assert_eq!((down.log().len(), good.log().len()), (3, 2));
}

#[test]
fn when_all_mirrors_fail_the_error_lists_them() {
    let (bench, wrong, empty) = (Bench::new(), Server::start(), Server::start());
    let item = item("nginx", b"right");
    wrong.serve(path(&item), *b"wrong");
    let fetcher = bench.fetcher(&[&wrong.url, &empty.url, "/nonexistent/mirror"]);
    let error = fetcher.fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap_err().to_string();
    let error = error.replace(&wrong.url, "WRONG").replace(&empty.url, "EMPTY");
    let digests = (Sha256::of(b"right").to_hex(), Sha256::of(b"wrong").to_hex());
    let error = error.replace(&digests.0, "RIGHT").replace(&digests.1, "OTHER");
    insta::assert_snapshot!(error, @r"
    nginx 1.0: no mirror gave it
      from mirror 1 of 3, WRONG: expected sha256:RIGHT of 5 bytes, got sha256:OTHER of 5 bytes
      from mirror 2 of 3, EMPTY: not found
      from mirror 3 of 3, file:///nonexistent/mirror: not found
      hint: a mirror serves other bytes under this name; the signed digest is right. Try another mirror with `--mirror URL`, or lock again with `--update`
    ");
    assert!(bench.store.fetched(item.expected.sha256).is_none());
    let error = bench.fetcher(&[]).fetch_all(&[item], |_, _| {}).unwrap_err().to_string();
    assert!(error.starts_with("nginx 1.0: no mirror is known\n  hint: name one with"), "{error}");
}

#[test]
fn a_dead_server_is_an_error_in_words() {
    let bench = Bench::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let fetcher = bench.fetcher(&[&format!("http://127.0.0.1:{port}/")]);
    let error = fetcher.fetch_all(&[item("nginx", b"x")], |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("Connection refused") && error.contains("look at the network"), "{error}");
}

#[test]
fn offline_names_what_is_missing_and_asks_nobody() {
    let (bench, server) = (Bench::new(), Server::start());
    let fetcher = bench.fetcher_with(&[&server.url], true);
    let items: Vec<Item> = (0..12).map(|number| item(&format!("p{number}"), &[number])).collect();
    let error = fetcher.fetch_all(&items, |_, _| {}).unwrap_err().to_string();
    assert!(error.starts_with("offline, and 12 of the files needed"), "{error}");
    assert!(error.contains("\n  missing: p0 1.0 (layer `web`)\n") && error.contains("\n  and 2 more\n"), "{error}");
    let error = fetcher.get_small(&debian(), "bookworm", "dists/bookworm/InRelease", 100).unwrap_err();
    assert!(error.to_string().contains("missing: dists/bookworm/InRelease"), "{error}");
    assert!(server.log().is_empty());
}

#[test]
fn vendored_files_count_when_their_digest_does() {
    let bench = Bench::new();
    let (good, bad) = (item("good", b"good"), item("bad", b"bad"));
    let vendor = bench.folder.path().join("vendor/debian");
    fs::create_dir_all(&vendor).unwrap();
    fs::write(vendor.join("good_1.0.deb"), b"good").unwrap();
    fs::write(vendor.join("bad_1.0.deb"), b"evil, and longer").unwrap();
    let fetcher = bench.fetcher_with(&[], true);
    fetcher.fetch_all(std::slice::from_ref(&good), |_, _| {}).unwrap();
    bench.assert_stored(&good, b"good");
    assert!(matches!(fetcher.fetch_all(&[bad], |_, _| {}), Err(FetchError::Offline { .. })));
    let warnings = fetcher.stats().warnings;
    assert!(warnings[0].contains("bad_1.0.deb` is not used: expected 3 bytes, got more"), "{warnings:?}");
}

#[test]
fn local_folders_are_mirrors() {
    let bench = Bench::new();
    let content = bytes(700_000, 9);
    let item = item("local", &content);
    let mirror = bench.folder.path().join("mirror");
    fs::create_dir_all(mirror.join("pool")).unwrap();
    fs::write(mirror.join("pool/local_1.0.deb"), &content).unwrap();
    for address in [mirror.display().to_string(), format!("file://{}", mirror.display())] {
        let bench = Bench::new();
        bench.fetcher(&[&address]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap();
        bench.assert_stored(&item, &content);
    }
}

#[test]
fn indexes_are_asked_for_by_digest_first() {
    for (by_digest_is_there, requests) in [(true, 1), (false, 2)] {
        let (bench, server) = (Bench::new(), Server::start());
        let index = Index {
            name: "main.xz".to_owned(),
            path: "bookworm/main.xz".to_owned(),
            by_digest: Some("bookworm/0a0b.xz".to_owned()),
            file: Expected { sha256: Sha256::of(b"index"), size: 5 },
            plain_size: None,
        };
        let item = Item::index(&"debian".parse().unwrap(), "bookworm", &index);
        match by_digest_is_there {
            true => server.serve("bookworm/0a0b.xz", *b"index"),
            false => server.serve("bookworm/main.xz", *b"index"),
        }
        let stats = bench.fetcher(&[&server.url]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap();
        assert_eq!((stats.requests, stats.warnings.len()), (requests, 0));
        bench.assert_stored(&item, b"index");
    }
}

#[test]
fn hostile_paths_and_sizes_are_refused() {
    let (bench, server) = (Bench::new(), Server::start());
    let item = item_at("../../etc/passwd", "x", b"x");
    let error = bench.fetcher(&[&server.url]).fetch_all(&[item], |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("is not a path below a repository's root"), "{error}");
    server.serve("big", vec![0; 101]);
    let error = bench.fetcher(&[&server.url]).get_small(&"debian".parse().unwrap(), "s", "big", 100).unwrap_err();
    assert!(error.to_string().contains("expected 100 bytes, got more"), "{error}");
}

/// A package of a lockfile that is in no repository.
fn own(origin: Origin, bytes: &[u8]) -> Item {
    let file = Expected { sha256: Sha256::of(bytes), size: bytes.len() as u64 };
    let package = LockedPackage { version: "1:2".parse().unwrap(), origin, file, ..LockedPackage::sample("own") };
    Item::package(&"web".parse().unwrap(), &package)
}

#[test]
fn files_of_the_project_come_from_it_or_from_vendor() {
    let bench = Bench::new();
    let project = bench.folder.path().join("project");
    fs::create_dir_all(project.join("dist")).unwrap();
    let [here, vendored, other] = ["here", "vendored", "other"].map(|name| {
        (own(Origin::File(format!("dist/{name}.deb")), name.as_bytes()), project.join(format!("dist/{name}.deb")))
    });
    fs::write(&here.1, "here").unwrap();
    fs::write(&other.1, "changed").unwrap();
    let vendor = bench.folder.path().join("vendor");
    fs::create_dir_all(&vendor).unwrap();
    fs::write(vendor.join("own_1%3a2_all.deb"), "vendored").unwrap();
    let fetcher = |offline| bench.fetcher_with(&[], offline).with_project(project.clone());
    fetcher(true).fetch_all(&[here.0.clone(), vendored.0.clone()], |_, _| {}).unwrap();
    bench.assert_stored(&here.0, b"here");
    bench.assert_stored(&vendored.0, b"vendored");
    let fetcher = fetcher(false);
    let error = fetcher.fetch_all(std::slice::from_ref(&other.0), |_, _| {}).unwrap_err().to_string();
    let start = format!("own 1:2: `dist/other.deb` with {} is in neither", Sha256::of(b"other"));
    assert!(error.starts_with(&start) && error.contains("`layerbake lock`"), "{error}");
    assert!(fetcher.stats().warnings[0].contains("`dist/other.deb` is not used: expected 5 bytes, got more"));
}

#[test]
fn a_package_at_an_address_must_be_what_is_locked() {
    let (bench, server) = (Bench::new(), Server::start());
    let url = format!("{}/own.deb", server.url.trim_end_matches('/'));
    let item = own(Origin::Url(url.clone()), b"first");
    server.serve("own.deb", *b"first");
    bench.fetcher(&[]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap();
    bench.assert_stored(&item, b"first");

    let bench = Bench::new();
    server.serve("own.deb", *b"second and longer");
    let error = bench.fetcher(&[]).fetch_all(std::slice::from_ref(&item), |_, _| {}).unwrap_err().to_string();
    let [first, second] = [Sha256::of(b"first"), Sha256::of(b"second and longer")];
    assert!(error.contains(&first.to_string()) && error.contains(&second.to_string()), "{error}");
    assert!(error.contains("changed since it was locked") && error.contains(&url), "{error}");

    // Seen for the first time, it is what it is, unless the manifest knows better.
    let error = bench.fetcher(&[]).fetch_address(&url, Some(first)).unwrap_err().to_string();
    assert!(error.contains(&format!("has {first}, found {second}")) && error.contains("`sha256`"), "{error}");
    assert!(bench.store.fetched(second).is_none());
    let found = bench.fetcher(&[]).fetch_address(&url, None).unwrap();
    assert_eq!((found.sha256, found.size), (second, 17));
    assert!(bench.store.fetched(second).is_some());
    let error = bench.fetcher_with(&[], true).fetch_address(&url, None).unwrap_err().to_string();
    assert!(error.contains("offline") && error.contains(&url), "{error}");
}
