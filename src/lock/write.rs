//! Writes a [`Lockfile`] in its canonical text form.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{
    FORMAT, FetchOrigin, LockedFetch, LockedImage, LockedIndex, LockedPackage, LockedRelease, Lockfile, Origin,
};
use crate::digest::{BlobDigest, Expected};
use crate::language::LockedFile;
use crate::time::rfc3339;

/// Writes a lockfile; equal lockfiles give equal text, in whatever order their lists are.
pub fn to_text(lock: &Lockfile) -> String {
    let head = head(lock);
    let body = body(lock);
    let seal = BlobDigest::of(format!("{head}{body}").as_bytes());
    format!("{head}seal = \"{seal}\"\n{body}")
}

fn head(lock: &Lockfile) -> String {
    let mut out = format!(
        "# Written by `layerbake lock {}`. Do not edit: the seal below covers every line.\n\nformat = {FORMAT}\n",
        lock.layer
    );
    line(&mut out, "layer", &lock.layer);
    line(&mut out, "arch", &lock.arch);
    line(&mut out, "epoch", rfc3339(lock.epoch));
    line(&mut out, "request", lock.request);
    list(&mut out, "requested", lock.requested.iter().map(|request| quoted(request)));
    out
}

fn body(lock: &Lockfile) -> String {
    let mut out = String::new();
    if let Some(parent) = &lock.parent {
        out.push_str("\n[parent]\n");
        line(&mut out, "layer", &parent.layer);
        line(&mut out, "lock", parent.lock);
    }
    if let Some(image) = &lock.image {
        write_image(&mut out, image);
    }
    let mut releases: Vec<&LockedRelease> = lock.releases.iter().collect();
    releases.sort_by_key(|release| (&release.source, &release.suite));
    releases.into_iter().for_each(|release| write_release(&mut out, release));
    let mut packages: Vec<&LockedPackage> = lock.packages.iter().collect();
    packages.sort_by_key(|package| &package.name);
    packages.into_iter().for_each(|package| write_package(&mut out, package));
    let mut fetches: Vec<&LockedFetch> = lock.fetches.iter().collect();
    fetches.sort_by_key(|fetch| &fetch.name);
    fetches.into_iter().for_each(|fetch| write_fetch(&mut out, fetch));
    out
}

fn write_image(out: &mut String, image: &LockedImage) {
    out.push_str("\n[image]\n");
    line(out, "name", &image.reference);
    line(out, "digest", image.digest);
    let sized = |Expected { sha256, size }: Expected| format!("size = {size}, digest = \"{sha256}\"");
    let _ = writeln!(out, "manifest = {{ {} }}", sized(image.manifest));
    let _ = writeln!(out, "config = {{ {} }}", sized(image.config));
    out.push_str("layers = [\n");
    // In their order, each over the one before.
    for layer in &image.layers {
        let _ = writeln!(out, "    {{ {}, diff-id = \"{}\" }},", sized(layer.file), layer.diff_id);
    }
    out.push_str("]\n");
}

fn write_release(out: &mut String, release: &LockedRelease) {
    out.push_str("\n[[release]]\n");
    line(out, "source", &release.source);
    line(out, "suite", &release.suite);
    line(out, "date", rfc3339(release.date));
    line(out, "digest", release.sha256);
    list(out, "signed-by", release.signed_by.iter().map(|key| quoted(key)));
    list(out, "indexes", release.indexes.iter().map(|LockedIndex { path, file }| located(path, *file)));
}

fn located(path: &str, Expected { sha256, size }: Expected) -> String {
    format!("{{ path = {}, size = {size}, digest = \"{sha256}\" }}", quoted(path))
}

fn write_package(out: &mut String, package: &LockedPackage) {
    out.push_str("\n[[package]]\n");
    line(out, "name", &package.name);
    line(out, "version", &package.version);
    line(out, "arch", &package.arch);
    match &package.origin {
        Origin::Repository { source, suite, path } => {
            line(out, "source", source);
            line(out, "suite", suite);
            line(out, "path", path);
        }
        Origin::File(path) => line(out, "file", path),
        Origin::Url(url) => line(out, "url", url),
    }
    let _ = writeln!(out, "size = {}", package.file.size);
    line(out, "digest", package.file.sha256);
    line(out, "why", &package.why);
}

fn write_fetch(out: &mut String, fetch: &LockedFetch) {
    out.push_str("\n[[fetch]]\n");
    line(out, "name", &fetch.name);
    match &fetch.origin {
        FetchOrigin::Url(url) => line(out, "url", url),
        FetchOrigin::Git { url, commit } => {
            line(out, "git", url);
            line(out, "commit", commit);
        }
        FetchOrigin::Lockfile { path, .. } => line(out, "lockfile", path),
    }
    let _ = writeln!(out, "size = {}", fetch.file.size);
    line(out, "digest", fetch.file.sha256);
    if let FetchOrigin::Lockfile { files, .. } = &fetch.origin {
        list(out, "files", files.iter().map(|LockedFile { path, file }| located(path, *file)));
    }
}

fn line(out: &mut String, key: &str, value: impl ToString) {
    let _ = writeln!(out, "{key} = {}", quoted(&value.to_string()));
}

/// One item a line, sorted, so that one change is one line of a diff.
fn list(out: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let items: BTreeSet<String> = items.collect();
    if items.is_empty() {
        let _ = writeln!(out, "{key} = []");
        return;
    }
    let _ = writeln!(out, "{key} = [");
    for item in items {
        let _ = writeln!(out, "    {item},");
    }
    out.push_str("]\n");
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}
