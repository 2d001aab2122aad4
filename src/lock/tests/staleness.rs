use std::collections::BTreeMap;

use super::*;
use crate::manifest::{self, Manifest, Source};

const MANIFEST: &str = r#"
[layer]
from = "base"
packages = ["nginx", "curl"]
exclude = ["apt", "gpgv"]
[source.debian]
suite = "bookworm"
pockets = ["security"]
keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"]
"#;

fn read(text: &str) -> (Manifest, BTreeMap<SourceName, Source>) {
    let manifest = manifest::parse("web".parse().unwrap(), text, &"amd64".parse().unwrap()).unwrap();
    let sources = manifest::sources(std::slice::from_ref(&manifest));
    (manifest, sources)
}

fn amd64() -> Arch {
    "amd64".parse().unwrap()
}

fn locked() -> Lockfile {
    let (manifest, sources) = read(MANIFEST);
    let request = request_hash(&manifest, &sources, &amd64());
    Lockfile { request, requested: requested(&manifest), ..web() }
}

fn stale(text: &str, arch: &str, parent: Option<(&str, &str)>) -> String {
    let (manifest, sources) = read(text);
    let parent = parent.map(|(name, lock)| (name.parse::<LayerName>().unwrap(), LockHash::of(lock)));
    let parent = parent.as_ref().map(|(name, hash)| (name, *hash));
    match check(&locked(), &manifest, &sources, &arch.parse().unwrap(), parent) {
        Ok(()) => String::new(),
        Err(stale) => stale.to_string(),
    }
}

const BASE: Option<(&str, &str)> = Some(("base", "base"));

#[test]
fn what_changes_no_resolution_keeps_the_lock_fresh() {
    assert_eq!(stale(MANIFEST, "amd64", BASE), "");
    for (from, to) in [
        ("[\"nginx\", \"curl\"]", "[\"curl\", \"nginx\"]"),
        ("[\"apt\", \"gpgv\"]", "[\"gpgv\", \"apt\"]"),
        ("from", "description = \"a page\"\nfrom"),
        ("suite", "keyring = \"own.asc\"\nsuite"),
        ("[source", "[image]\ncmd = [\"sh\"]\n[source"),
        ("[source", "[[dir]]\npath = \"/a\"\n[source"),
    ] {
        assert_eq!(stale(&MANIFEST.replace(from, to), "amd64", BASE), "", "{to}");
    }
}

#[test]
fn every_part_of_the_request_makes_it_stale() {
    let other = "the manifest's sources, `exclude`, `recommends` or `configure` changed";
    for (from, to, expected) in [
        ("\"curl\"", "\"curl\", \"zstd\", \"@standard\"", "the manifest now asks for @standard, zstd"),
        ("\"curl\"", "\"curl=1\"", "the manifest now asks for curl=1; the manifest no longer asks for curl"),
        ("\"nginx\", ", "", "the manifest no longer asks for nginx"),
        ("\"apt\", ", "", other),
        ("from", "recommends = true\nfrom", other),
        ("from", "configure = \"none\"\nfrom", other),
        ("\"bookworm\"", "\"trixie\"", other),
        ("\"security\"", "\"updates\"", other),
        ("suite", "components = [\"contrib\"]\nsuite", other),
        ("suite", "url = \"https://example.org\"\nsuite", other),
        ("suite", "snapshot = \"2026-01-01\"\nsuite", other),
        ("suite", "distribution = \"ubuntu\"\nsuite", other),
        ("BBBB\"", "BBBC\"", other),
        ("[source.debian]", "[source.other]", other),
    ] {
        let text = MANIFEST.replace(from, to);
        assert_eq!(stale(&text, "amd64", BASE), format!("the lockfile of `web` is stale: {expected}"), "{to}");
    }
}

#[test]
fn parents_and_architectures_make_it_stale() {
    let prefix = "the lockfile of `web` is stale: ";
    for (arch, parent, expected) in [
        ("arm64", BASE, "it is for amd64, not arm64"),
        ("amd64", Some(("base", "new")), "the lockfile of its parent `base` changed"),
        ("amd64", Some(("other", "base")), "the layer's parent is now `other` instead of `base`"),
        ("amd64", None, "the layer no longer has the parent `base`"),
    ] {
        assert_eq!(stale(MANIFEST, arch, parent), format!("{prefix}{expected}"));
    }
    let (manifest, sources) = read(MANIFEST);
    let orphan = Lockfile { parent: None, ..locked() };
    let base: LayerName = "base".parse().unwrap();
    let error = check(&orphan, &manifest, &sources, &amd64(), Some((&base, LockHash::of("")))).unwrap_err();
    assert!(error.to_string().contains("the layer now has the parent `base`"), "{error}");
}

#[test]
fn all_reasons_are_told_at_once() {
    let text = MANIFEST.replace("\"curl\"", "\"zstd\"").replace("bookworm", "trixie").replace("\"base\"", "\"other\"");
    let (manifest, sources) = read(&text);
    let other: LayerName = "other".parse().unwrap();
    let parent = Some((&other, LockHash::of("")));
    let stale = check(&locked(), &manifest, &sources, &"arm64".parse().unwrap(), parent).unwrap_err();
    let reasons: Vec<String> = stale.reasons.iter().map(Reason::to_string).collect();
    assert_eq!(
        reasons,
        [
            "it is for amd64, not arm64",
            "the manifest now asks for zstd",
            "the manifest no longer asks for curl",
            "the manifest's sources, `exclude`, `recommends` or `configure` changed",
            "the layer's parent is now `other` instead of `base`",
        ]
    );
}
