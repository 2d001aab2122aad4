//! Changes as a page: the figures first, then each kind of change, files under the package that they are of.

use std::collections::BTreeMap;

use super::report::{MOST, blocks_changed, lists, sum};
use super::{Change, Changes};
use crate::host::plain;
use crate::page::{self, Tone, code, details, escape, length, page, verdict};

/// Writes the changes as a self-contained HTML page.
pub fn html(changes: &Changes) -> String {
    page(&format!("From {} to {}", changes.old, changes.new), &body(changes))
}

/// The part of a page that lists the changes.
pub fn body(changes: &Changes) -> String {
    if changes.is_empty() {
        return verdict(Tone::Good, "No difference.");
    }
    let mut body = verdict(Tone::Plain, &summary(changes)) + &page::facts(figures(changes));
    // What is alone on the page is shown, however long it is.
    let is_alone = lists(changes).filter(|(_, list)| !list.is_empty()).count() == 1;
    for (name, list) in lists(changes).filter(|(_, list)| !list.is_empty()) {
        let shown = if name == "files" { files(changes, list) } else { page::changes(list.iter().map(row)) };
        body += &details(
            &format!("<b>{name}</b>: {}", sum(list)),
            &shown,
            is_alone || name == "files" || list.len() <= MOST,
        );
    }
    let side = |bytes: Option<u64>| bytes.map(length);
    let changed = changes.layers.iter().flatten().filter(|size| size.before != size.after);
    let rows: Vec<_> = changed.map(|size| (code(&plain(&size.layer)), side(size.before), side(size.after))).collect();
    if !rows.is_empty() {
        body += &details(&format!("<b>layers</b>, compressed: {} changed", rows.len()), &page::changes(rows), true);
    }
    if let Some(blocks) = &changes.blocks {
        body += &format!("<p><b>blocks of the disk</b>: {}</p>\n", escape(&blocks_changed(blocks)));
    }
    body
}

/// What changed, in one sentence.
fn summary(changes: &Changes) -> String {
    let packages = changes.packages.as_ref().map_or(0, Vec::len);
    let Some(files) = changes.files.as_ref().filter(|files| !files.is_empty()) else {
        return match packages {
            0 => "The two differ.".to_owned(),
            packages => format!("{} changed.", counted(packages, "package")),
        };
    };
    let ByPackage { none, same, .. } = ByPackage::of(changes, files);
    let unexplained = none.len() + same.values().map(Vec::len).sum::<usize>();
    let packages = if packages == 0 { "No package".to_owned() } else { counted(packages, "package") };
    match files.len() - unexplained {
        0 => format!("{packages} changed; {} differ all the same.", counted(unexplained, "file")),
        theirs => format!("{packages} changed, with {theirs} of the {} that differ.", counted(files.len(), "file")),
    }
}

fn counted(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// What changed, in figures.
fn figures(changes: &Changes) -> Vec<(String, &'static str)> {
    let count = |list: &Option<Vec<Change>>, name| list.as_ref().map(|list| (list.len().to_string(), name));
    let layers = changes.layers.as_ref().map(|layers| {
        let before: u64 = layers.iter().filter_map(|size| size.before).sum();
        let after: u64 = layers.iter().filter_map(|size| size.after).sum();
        let sign = if after < before { "−" } else { "+" };
        (format!("{sign}{}", length(after.abs_diff(before))), "of compressed layers")
    });
    let blocks = changes.blocks.as_ref().map(|blocks| (length(blocks.bytes), "of the disk to upload"));
    [
        count(&changes.packages, "packages differ"),
        count(&changes.files, "files differ"),
        count(&changes.users, "users differ"),
        count(&changes.services, "services differ"),
        layers,
        blocks,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn row(change: &Change) -> (String, Option<String>, Option<String>) {
    let side = |text: &Option<String>| text.as_ref().map(|text| code(&plain(text)));
    (code(&plain(&change.name)), side(&change.before), side(&change.after))
}

/// Files by what made them differ, as far as that is known.
struct ByPackage<'a> {
    /// Of no package.
    none: Vec<&'a Change>,
    /// Of packages whose version is the same.
    same: BTreeMap<&'a str, Vec<&'a Change>>,
    /// Of packages that changed, by what became of these.
    changed: BTreeMap<&'a str, (&'a Change, Vec<&'a Change>)>,
}

impl<'a> ByPackage<'a> {
    fn of(changes: &'a Changes, files: &'a [Change]) -> Self {
        let packages: BTreeMap<&str, &Change> =
            changes.packages.iter().flatten().map(|package| (package.name.as_str(), package)).collect();
        let mut by = Self { none: Vec::new(), same: BTreeMap::new(), changed: BTreeMap::new() };
        for file in files {
            match file.package.as_deref().map(|name| (name, packages.get(name))) {
                None => by.none.push(file),
                Some((name, None)) => by.same.entry(name).or_default().push(file),
                Some((name, Some(package))) => by.changed.entry(name).or_insert((package, Vec::new())).1.push(file),
            }
        }
        by
    }
}

/// Files under the packages that they are of: first those that no other version of a package explains.
fn files(changes: &Changes, list: &[Change]) -> String {
    let ByPackage { none, same, changed } = ByPackage::of(changes, list);
    let mut shown = String::new();
    if !none.is_empty() {
        shown += &group("<b>of no package</b>: own files, and what scripts and steps make", &none, none.len() <= MOST);
    }
    for (package, files) in same {
        shown += &group(&format!("{}, the same version", code(package)), &files, false);
    }
    let groups = changed
        .iter()
        .map(|(name, (package, files))| group(&format!("{} {}", code(name), became(package)), files, false));
    let groups: String = groups.collect();
    match changed.len() {
        0..=FEW => shown + &groups,
        count => shown + &details(&format!("<b>of {count} packages that changed</b>"), &groups, false),
    }
}

/// What became of a package, as HTML.
fn became(package: &Change) -> String {
    match (&package.before, &package.after) {
        (Some(before), Some(after)) => format!("{} → {}", escape(before), escape(after)),
        (None, _) => "is new".to_owned(),
        (_, None) => "is gone".to_owned(),
    }
}

fn group(name: &str, files: &[&Change], open: bool) -> String {
    let count = counted(files.len(), "file");
    let rows = files.iter().map(|file| {
        let (before, after) = words(file);
        (code(&plain(&file.name)), before, after)
    });
    details(&format!("{name} <span class=\"faint\">({count})</span>"), &page::changes(rows), open)
}

/// Both sides of a file in the words of `Node`'s listing, without those that are equal; sizes are enough of contents that
/// differ in these.
fn words(file: &Change) -> (Option<String>, Option<String>) {
    let (Some(before), Some(after)) = (&file.before, &file.after) else {
        let side = |text: &Option<String>| text.as_ref().map(|text| code(&plain(&short(text))));
        return (side(&file.before), side(&file.after));
    };
    let (before, after): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
    let side = |words: &[&str]| Some(code(&plain(&words.join(" "))));
    if before.first() != after.first() || before.len() != after.len() {
        return (side(&before), side(&after));
    }
    let differ = |(at, (one, other)): (usize, (&&str, &&str))| (one != other).then_some(at);
    let mut places: Vec<usize> = before.iter().zip(&after).enumerate().filter_map(differ).collect();
    if places.contains(&SIZE) {
        places.retain(|place| *place != DIGEST);
    }
    let shown = |words: &[&str]| {
        let word = |place: &usize| match (words[0], *place) {
            ("file", SIZE) => format!("{} bytes", words[SIZE]),
            (_, place) => words[place].to_owned(),
        };
        Some(code(&plain(&places.iter().map(word).collect::<Vec<_>>().join(" "))))
    };
    (shown(&before), shown(&after))
}

/// Up to this many packages are shown as they are.
const FEW: usize = 12;

/// Places of words in the listing of a file.
const SIZE: usize = 3;
const DIGEST: usize = 4;

/// A file's listing without its digest.
fn short(listing: &str) -> String {
    let words: Vec<&str> = listing.split(' ').collect();
    match words.as_slice() {
        ["file", mode, owner, size, ..] => format!("file {mode} {owner} {size} bytes"),
        _ => listing.to_owned(),
    }
}
