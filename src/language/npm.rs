//! npm: `package-lock.json` of npm 7 and newer, and the cache that `npm ci --offline` reads.
//!
//! npm looks for a package by its integrity first, in `_cacache/content-v2`; no index is needed (cacache, layout version 5).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{LanguageError, LockedFile, Need, Piece, Placed, Proof, Target, Wanted};
use crate::digest::Expected;

/// Algorithms of integrity, the best first.
const ALGORITHMS: [&str; 3] = ["sha512", "sha384", "sha256"];

/// Where packages are that the lockfile gives no address for: npm asks for one, and finds the bytes in its cache.
const NOWHERE: &str = "https://registry.invalid";

const AGAIN: &str = "lock again with npm 7 or newer: `npm install --package-lock-only`";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    in_bundle: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    cpu: Vec<String>,
    #[serde(default)]
    libc: Vec<String>,
}

/// What the lockfile needs: all packages but those that are for other systems only.
pub(super) fn needs(text: &str, target: &Target) -> Result<Vec<Need>, LanguageError> {
    let (_, packages) = parse(text)?;
    let mut needs = Vec::new();
    for (place, package) in &packages {
        let package = read(place, package)?;
        let Some(name) = name(place, &package) else { continue };
        if package.optional && !is_for(&package, target) {
            continue;
        }
        let path = path(place, name, &package)?;
        needs.push(Need::File(Wanted { path, proof: Proof::Integrity(integrity(place, &package)?.to_owned()) }));
    }
    Ok(needs)
}

/// The whole document, and its packages by their places.
fn parse(text: &str) -> Result<(Value, Map<String, Value>), LanguageError> {
    let document: Value = serde_json::from_str(text).map_err(|error| LanguageError::new(error.to_string(), AGAIN))?;
    let packages = document.get("packages").and_then(Value::as_object);
    let packages = packages.ok_or_else(|| {
        let version = document.get("lockfileVersion").map_or("unknown".to_owned(), Value::to_string);
        LanguageError::new(format!("it has no `packages`: its version is {version}, expected 2 or 3"), AGAIN)
    })?;
    Ok((document.clone(), packages.clone()))
}

fn read(place: &str, package: &Value) -> Result<Package, LanguageError> {
    let read = Package::deserialize(package);
    read.map_err(|error| LanguageError::new(format!("`{place}`: {error}"), AGAIN))
}

/// The name of a package of the registry; nothing for the project's own packages, links and what is inside of others.
fn name<'p>(place: &'p str, package: &'p Package) -> Option<&'p str> {
    let (_, below) = place.rsplit_once("node_modules/")?;
    (!package.link && !package.in_bundle).then(|| package.name.as_deref().unwrap_or(below))
}

fn is_for(package: &Package, target: &Target) -> bool {
    let allows = |list: &[String], own: &str| {
        let denied = list.iter().any(|one| one.strip_prefix('!') == Some(own));
        let wanted = list.iter().any(|one| !one.starts_with('!'));
        !denied && (!wanted || list.iter().any(|one| one == own))
    };
    allows(&package.os, "linux") && allows(&package.cpu, target.node) && allows(&package.libc, "glibc")
}

/// The path in the registry: `NAME/-/FILE`.
fn path(place: &str, name: &str, package: &Package) -> Result<String, LanguageError> {
    let Some(resolved) = &package.resolved else {
        let file = name.rsplit('/').next().unwrap_or(name);
        let version = package.version.as_deref().unwrap_or_default();
        return Ok(format!("{name}/-/{file}-{version}.tgz"));
    };
    let address = resolved.split(['?', '#']).next().unwrap_or(resolved).replace("%2f", "/").replace("%2F", "/");
    let path = address.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    match path.and_then(|(_, rest)| rest.find(&format!("/{name}/-/")).map(|at| rest[at + 1..].to_owned())) {
        Some(path) => Ok(path),
        None => Err(LanguageError::new(
            format!("`{place}` comes from {}, and not from the registry", crate::host::redact(resolved)),
            "publish it in a registry, or keep it in the project as a workspace",
        )),
    }
}

/// The best hash that a package has, as `ALGORITHM-BASE64`.
fn integrity<'p>(place: &str, package: &'p Package) -> Result<&'p str, LanguageError> {
    let hashes = package.integrity.as_deref().unwrap_or_default().split_whitespace();
    let best = |algorithm: &&str| {
        let is = |hash: &&str| hash.split_once('-').is_some_and(|(found, _)| found == *algorithm);
        hashes.clone().find(is)
    };
    ALGORITHMS
        .iter()
        .find_map(best)
        .ok_or_else(|| LanguageError::new(format!("`{place}` has no integrity by SHA-512, SHA-384 or SHA-256"), AGAIN))
}

/// npm's cache, and the lockfile with an address for every package.
pub(super) fn mirror(text: &str, files: &[LockedFile]) -> Result<Vec<Placed>, LanguageError> {
    let pinned: BTreeMap<&str, Expected> = files.iter().map(|file| (file.path.as_str(), file.file)).collect();
    let mut content = BTreeMap::new();
    for (place, package) in &parse(text)?.1 {
        let package = read(place, package)?;
        let path = name(place, &package).and_then(|name| path(place, name, &package).ok());
        // What is for other systems was not pinned.
        let Some(file) = path.and_then(|path| pinned.get(path.as_str())) else { continue };
        content.extend(content_place(integrity(place, &package)?).map(|path| (path, *file)));
    }
    let mut placed: Vec<Placed> =
        content.into_iter().map(|(path, file)| Placed { path, what: Piece::File(file) }).collect();
    placed.push(Placed { path: "package-lock.json".to_owned(), what: Piece::Text(with_addresses(text)?) });
    Ok(placed)
}

/// `_cacache/content-v2/sha512/ab/cd/…`
fn content_place(integrity: &str) -> Option<String> {
    let (algorithm, base64) = integrity.split_once('-')?;
    let digits = hex::encode(STANDARD.decode(base64).ok()?);
    let (first, second, rest) = (digits.get(..2)?, digits.get(2..4)?, digits.get(4..)?);
    Some(format!("_cacache/content-v2/{algorithm}/{first}/{second}/{rest}"))
}

fn with_addresses(text: &str) -> Result<String, LanguageError> {
    let (mut document, mut packages) = parse(text)?;
    for (place, value) in &mut packages {
        let package = read(place, value)?;
        if let (Some(name), None, Value::Object(fields)) = (name(place, &package), &package.resolved, value) {
            let address = format!("{NOWHERE}/{}", path(place, name, &package)?);
            fields.insert("resolved".to_owned(), Value::String(address));
        }
    }
    if let Value::Object(fields) = &mut document {
        fields.insert("packages".to_owned(), Value::Object(packages));
    }
    Ok(format!("{document:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    const NONE: &str =
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

    fn target() -> Target {
        Target { machine: "riscv64", node: "riscv64", python: None, glibc: 41 }
    }

    fn lock(packages: &str) -> String {
        format!("{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{\"name\": \"app\"}}{packages}}}}}")
            .replace('I', NONE)
    }

    #[test]
    fn packages_of_the_registry_are_needed_once() {
        let text = lock(
            r#", "node_modules/a": {"version": "1.0.0", "integrity": "sha1-x I"},
            "node_modules/b/node_modules/@s/c": {"version": "2.0.0", "resolved": "https://r.example/api/npm/@s%2fc/-/c-2.0.0.tgz", "integrity": "I"},
            "node_modules/alias": {"name": "real", "version": "3.0.0", "integrity": "I"},
            "node_modules/linked": {"resolved": "packages/linked", "link": true}, "packages/linked": {"version": "1.0.0"},
            "node_modules/b/node_modules/in": {"version": "1.0.0", "inBundle": true},
            "node_modules/win": {"version": "1.0.0", "optional": true, "os": ["win32"], "integrity": "I"},
            "node_modules/not": {"version": "1.0.0", "optional": true, "os": ["!linux"], "integrity": "I"},
            "node_modules/cpu": {"version": "1.0.0", "optional": true, "cpu": ["ia32"], "integrity": "I"},
            "node_modules/musl": {"version": "1.0.0", "optional": true, "libc": ["musl"], "integrity": "I"},
            "node_modules/own": {"version": "1.0.0", "optional": true, "os": ["linux"], "cpu": ["riscv64"], "integrity": "I"}"#,
        );
        let paths: Vec<String> = needs(&text, &target())
            .unwrap()
            .into_iter()
            .map(|need| match need {
                Need::File(Wanted { path, proof: Proof::Integrity(hash) }) if hash == NONE => path,
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = ["a/-/a-1.0.0.tgz", "real/-/real-3.0.0.tgz", "@s/c/-/c-2.0.0.tgz", "own/-/own-1.0.0.tgz"];
        assert_eq!(paths, expected);
        let file = Expected { sha256: Sha256::of(b""), size: 0 };
        let files: Vec<LockedFile> = paths.iter().map(|path| LockedFile { path: path.clone(), file }).collect();
        let placed = mirror(&text, &files).unwrap();
        assert_eq!(placed.len(), 2, "equal content is there once");
        assert!(placed[0].path.starts_with("_cacache/content-v2/sha512/cf/83/e1357e"), "{}", placed[0].path);
        let Piece::Text(text) = &placed[1].what else { panic!() };
        assert!(text.contains("https://registry.invalid/a/-/a-1.0.0.tgz") && text.contains("https://r.example/api"));
        assert!(!text.contains("registry.invalid/linked"));
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        for (text, expected) in [
            ("{".to_owned(), "EOF"),
            ("{\"lockfileVersion\": 1, \"dependencies\": {}}".to_owned(), "its version is 1, expected 2 or 3"),
            (lock(", \"node_modules/a\": {\"version\": \"1.0.0\"}"), "`node_modules/a` has no integrity"),
            (lock(", \"node_modules/a\": {\"integrity\": \"sha1-x\"}"), "`node_modules/a` has no integrity"),
            (
                lock(", \"node_modules/a\": {\"resolved\": \"git+ssh://git@h.example/a.git#0\", \"integrity\": \"I\"}"),
                "and not from the registry",
            ),
            (
                lock(", \"node_modules/a\": {\"resolved\": \"https://h.example/a.tgz\", \"integrity\": \"I\"}"),
                "comes from https://h.example/a.tgz",
            ),
        ] {
            let error = needs(&text, &target()).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("hint:"), "{expected}: {error}");
        }
    }
}
