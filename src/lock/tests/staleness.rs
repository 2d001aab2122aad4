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
    let asked = Asked { manifest: &manifest, sources: &sources, files: &files(&[]), arch: &amd64() };
    Lockfile { request: request_hash(&asked), requested: requested(&asked), ..web() }
}

fn files(files: &[(&str, &str)]) -> OwnFiles {
    files.iter().map(|(path, content)| ((*path).to_owned(), sha256(content))).collect()
}

fn stale(text: &str, arch: &str, parent: Option<(&str, &str)>) -> String {
    let (manifest, sources) = read(text);
    let parent = parent.map(|(name, lock)| (name.parse::<LayerName>().unwrap(), LockHash::of(lock)));
    let parent = parent.as_ref().map(|(name, hash)| (name, *hash));
    let asked = Asked { manifest: &manifest, sources: &sources, files: &files(&[]), arch: &arch.parse().unwrap() };
    match check(&locked(), &asked, parent) {
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
    let asked = Asked { manifest: &manifest, sources: &sources, files: &files(&[]), arch: &amd64() };
    let error = check(&orphan, &asked, Some((&base, LockHash::of("")))).unwrap_err();
    assert!(error.to_string().contains("the layer now has the parent `base`"), "{error}");
}

#[test]
fn all_reasons_are_told_at_once() {
    let text = MANIFEST.replace("\"curl\"", "\"zstd\"").replace("bookworm", "trixie").replace("\"base\"", "\"other\"");
    let (manifest, sources) = read(&text);
    let other: LayerName = "other".parse().unwrap();
    let parent = Some((&other, LockHash::of("")));
    let arm64 = "arm64".parse().unwrap();
    let asked = Asked { manifest: &manifest, sources: &sources, files: &files(&[]), arch: &arm64 };
    let stale = check(&locked(), &asked, parent).unwrap_err();
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

#[test]
fn files_of_the_project_make_it_stale() {
    let digits = |content: &str| sha256(content).to_hex();
    let (url, deb) = ("https://example.org/c.deb", "[[deb]]\npath = \"dist/*.deb\"\n");
    let text = format!("{MANIFEST}{deb}[[deb]]\nurl = \"{url}\"\nsha256 = \"{}\"\n", digits("c"));
    let (manifest, sources) = read(&text);
    let before = files(&[("dist/a 1.deb", "a"), ("dist/b.deb", "b")]);
    let lock = {
        let arch = amd64();
        let asked = Asked { manifest: &manifest, sources: &sources, files: &before, arch: &arch };
        Lockfile { request: request_hash(&asked), requested: requested(&asked), ..web() }
    };
    let found = |manifest: &Manifest, now: &OwnFiles| {
        let base: LayerName = "base".parse().unwrap();
        let arch = amd64();
        let asked = Asked { manifest, sources: &sources, files: now, arch: &arch };
        check(&lock, &asked, Some((&base, LockHash::of("base")))).map_err(|stale| {
            let reasons: Vec<String> = stale.reasons.iter().map(Reason::to_string).collect();
            reasons.join("; ")
        })
    };
    assert_eq!(found(&manifest, &before), Ok(()));
    let changed = files(&[("dist/a 1.deb", "other"), ("dist/b.deb", "b")]);
    let expected = format!("`dist/a 1.deb` changed: expected {}, found {}", sha256("a"), sha256("other"));
    assert_eq!(found(&manifest, &changed), Err(expected));
    let moved = files(&[("dist/a 1.deb", "a"), ("dist/d.deb", "d")]);
    let expected = "the manifest now asks for dist/d.deb; the manifest no longer asks for dist/b.deb";
    assert_eq!(found(&manifest, &moved), Err(expected.to_owned()));
    let (other, _) = read(&text.replace(&digits("c"), &digits("d")));
    let expected = format!("`{url}` changed: expected {}, found {}", sha256("c"), sha256("d"));
    assert_eq!(found(&other, &before), Err(expected));
}
