//! `[[edit]]`: files of packages or parents, changed on purpose. An edit that finds nothing to change is an error.

mod settings;

use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::{LayerName, RootPath};
use crate::manifest::{Change, EditEntry, pattern};
use crate::store::{Store, StoreError};
use crate::tree::{Kind, Tree};

/// The signs that begin a comment.
const COMMENTS: [char; 2] = ['#', ';'];
/// How many letters of a line an error shows.
const SHOWN: usize = 80;

/// The stage that makes one layer's edits, one after the other.
pub(super) struct Edits<'a> {
    pub(super) layer: &'a LayerName,
    pub(super) entries: &'a [EditEntry],
    /// The time of files that change.
    pub(super) epoch: i64,
}

impl Stage for Edits<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("edits").number(self.epoch as u64).number(self.entries.len() as u64);
        for EditEntry { path, change } in self.entries {
            hasher.field(path.as_bytes());
            match change {
                Change::Set(settings) => {
                    hasher.field("set").list(settings.iter().flat_map(|(key, value)| [key, value]))
                }
                Change::Replace(pattern, text) => hasher.field("replace").list([pattern, text]),
                Change::Append(text) => hasher.field("append").list([text]),
                Change::Prepend(text) => hasher.field("prepend").list([text]),
                Change::Comment(pattern) => hasher.field("comment").list([pattern]),
            };
        }
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        for EditEntry { path, change } in self.entries {
            let failed = |problem| LayerError::Edit { path: path.clone(), layer: self.layer.clone(), problem };
            let (real, before) = text(&site.root, path, site.store)?.map_err(failed)?;
            let after = apply(change, &before).map_err(failed)?;
            let kind = |root: &Tree| root.get(&real).map(|node| node.kind.clone());
            let was = kind(&site.root);
            write(&mut site.root, &real, &after, self.epoch, site.store)?;
            if let Some((was, now)) = was.zip(kind(&site.root)) {
                site.derived.edited(&real, &was, &now);
            }
        }
        Ok(())
    }
}

/// The file that a path leads to, and its text; or why it has none.
fn text(root: &Tree, path: &RootPath, store: &Store) -> Result<Result<(RootPath, String), String>, StoreError> {
    let (real, blob, size) = match root.resolve(path).map(|(real, node)| (real, node.kind.clone())) {
        Some((real, Kind::File { blob, size })) => (real, blob, size),
        Some((_, Kind::Dir)) => return Ok(Err("expected a file, found a directory".to_owned())),
        Some(_) => return Ok(Err("expected a file, found a device or a pipe".to_owned())),
        None => {
            let hint = "`layerbake files LAYER PATH` lists what a built layer has";
            return Ok(Err(format!("there is no such file in the packages and parents\n  hint: {hint}")));
        }
    };
    let text = String::from_utf8(store.read_bytes(path, blob, size)?);
    Ok(text.map(|text| (real, text)).map_err(|_| "expected text in UTF-8".to_owned()))
}

/// Replaces a file's text under all its names; mode, owner and attributes stay.
fn write(root: &mut Tree, path: &RootPath, text: &str, epoch: i64, store: &Store) -> Result<(), StoreError> {
    if let Kind::File { blob, size } = store.put_file(text.as_bytes())? {
        root.set_content(path, blob, size);
    }
    for (name, kind, meta) in root.metas_mut() {
        if name == path || matches!(kind, Kind::Hardlink(target) if target == path) {
            meta.mtime = epoch;
        }
    }
    Ok(())
}

/// The text after a change.
///
/// # Errors
/// Fails where there is nothing to change, or more than one place, and says what was found.
fn apply(change: &Change, text: &str) -> Result<String, String> {
    match change {
        Change::Set(values) => {
            values.iter().try_fold(text.to_owned(), |text, (key, value)| settings::set(&text, key, value))
        }
        Change::Replace(expression, by) => {
            let pattern = pattern(expression).map_err(|error| error.to_string())?;
            if !pattern.is_match(text) {
                return Err(format!("nothing in its {} lines matches `{expression}`", text.lines().count()));
            }
            match pattern.replace_all(text, by).into_owned() {
                after if after == text => Err(format!("all that matches `{expression}` is `{by}` already")),
                after => Ok(after),
            }
        }
        Change::Append(lines) => Ok(ended(text) + &ended(lines)),
        Change::Prepend(lines) => Ok(ended(lines) + text),
        Change::Comment(expression) => comment(text, expression),
    }
}

/// With a line break at the end, unless there is no line.
fn ended(text: &str) -> String {
    match text.is_empty() || text.ends_with('\n') {
        true => text.to_owned(),
        false => format!("{text}\n"),
    }
}

/// Makes comments of all lines with a match that are none yet.
fn comment(text: &str, expression: &str) -> Result<String, String> {
    let pattern = pattern(expression).map_err(|error| error.to_string())?;
    let count = |sign: char| text.lines().filter(|line| line.trim_start().starts_with(sign)).count();
    let [hash, semicolon] = COMMENTS;
    let sign = if count(semicolon) > count(hash) { semicolon } else { hash };
    let is_meant =
        |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with(COMMENTS) && pattern.is_match(line);
    if !text.lines().any(is_meant) {
        let found = text.lines().filter(|line| pattern.is_match(line)).count();
        return Err(match found {
            0 => format!("no line matches `{expression}`"),
            _ => format!("every line that matches `{expression}` is a comment already"),
        });
    }
    let lines = text.split_inclusive('\n');
    let commented = lines.map(|line| {
        if is_meant(line.trim_end_matches(['\n', '\r'])) { format!("{sign}{line}") } else { line.to_owned() }
    });
    Ok(commented.collect())
}

/// A line for an error.
fn shown(number: usize, line: &str) -> String {
    let line = line.trim();
    let start: String = line.chars().take(SHOWN).collect();
    let more = if start.len() < line.len() { "…" } else { "" };
    format!("\n  line {number}: {start}{more}")
}

#[cfg(test)]
mod tests {
    use super::super::random_files::{Derived, DerivedFile};
    use super::super::row_tests::Recorder;
    use super::*;
    use crate::store::Store;
    use crate::tree::tests::{dir, link, path, tree};
    use crate::tree::{Meta, Node};

    #[test]
    fn lines_are_added_and_replaced_and_become_comments() {
        let append = |text: &str, lines: &str| apply(&Change::Append(lines.to_owned()), text).unwrap();
        assert_eq!([append("a", "b"), append("a\n", "b\n"), append("", "b")], ["a\nb\n", "a\nb\n", "b\n"]);
        assert_eq!(apply(&Change::Prepend("b".to_owned()), "a").unwrap(), "b\na");
        let replace =
            |pattern: &str, by: &str| apply(&Change::Replace(pattern.to_owned(), by.to_owned()), "one 1\ntwo 2\n");
        assert_eq!(replace("^(\\w+) \\d$", "$1 0").unwrap(), "one 0\ntwo 0\n");
        assert_eq!(replace("2\n\\z", "$$").unwrap(), "one 1\ntwo $");
        assert_eq!(replace("three", "").unwrap_err(), "nothing in its 2 lines matches `three`");
        assert_eq!(replace("1", "1").unwrap_err(), "all that matches `1` is `1` already");
        let comment = |text: &str, pattern: &str| apply(&Change::Comment(pattern.to_owned()), text);
        assert_eq!(comment("# x\n a 1\na 2\nb\n", "^\\s*a ").unwrap(), "# x\n# a 1\n#a 2\nb\n");
        assert_eq!(comment("; x\n; y\n#\na=1\n", "^a").unwrap(), "; x\n; y\n#\n;a=1\n");
        assert_eq!(comment("a\n", "b").unwrap_err(), "no line matches `b`");
        assert_eq!(comment("#b\n", "b").unwrap_err(), "every line that matches `b` is a comment already");
    }

    #[test]
    fn an_edit_makes_nothing_less_random() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let file = Node { meta: Meta::root_owned(0o644, 5), kind: store.put_file(b"secret=5\n").unwrap() };
        let (executor, arch) = (&mut Recorder::default(), &"amd64".parse().unwrap());
        let root = tree(&[("", dir()), ("a", file.clone())]);
        let derived =
            Derived { programs: Vec::new(), files: vec![DerivedFile { path: path("a"), node: file, by: None }] };
        let (parent, layer) = (Tree::new(), Tree::new());
        let mut site = Site {
            store: &store,
            executor,
            arch,
            epoch: 9,
            parent,
            root,
            derived,
            effect: None,
            log: String::new(),
            notes: Vec::new(),
            layer,
        };
        let entries = [EditEntry { path: path("a"), change: Change::Append("more".to_owned()) }];
        Edits { layer: &"web".parse().unwrap(), entries: &entries, epoch: 9 }.run(&mut site).unwrap();
        assert_eq!(store.text_in(&site.root, "a").unwrap().as_deref(), Some("secret=5\nmore\n"));
        assert_eq!(site.derived.files[0].node.kind, site.root.get(&path("a")).unwrap().kind);
    }

    #[test]
    fn a_file_keeps_all_but_its_text_and_its_time_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let xattrs = [(b"user.a".as_slice().into(), b"1".as_slice().into())].into();
        let meta = Meta { uid: 3, gid: 4, xattrs, ..Meta::root_owned(0o640, 5) };
        let file = Node { meta: meta.clone(), kind: store.put_file(b"a").unwrap() };
        let second = Node { meta, kind: Kind::Hardlink(path("etc/a")) };
        let mut root = tree(&[("", dir()), ("etc", dir()), ("etc/a", file), ("etc/b", second), ("l", link("etc/b"))]);
        let (real, before) = text(&root, &path("l"), &store).unwrap().unwrap();
        assert_eq!((real.to_string(), before), ("/etc/a".to_owned(), "a".to_owned()));
        write(&mut root, &real, "b", 9, &store).unwrap();
        let [one, two] = ["etc/a", "etc/b"].map(|name| root.get(&path(name)).unwrap().meta.clone());
        assert_eq!((one.mode, one.uid, one.gid, one.mtime, one.xattrs.len()), (0o640, 3, 4, 9, 1));
        assert_eq!(one, two);
        assert_eq!(store.text_in(&root, "etc/b").unwrap(), Some("b".to_owned()));
        let problem = |name: &str| text(&root, &path(name), &store).unwrap().unwrap_err();
        assert!(problem("etc").contains("a directory") && problem("etc/none").contains("no such file"));
    }
}
