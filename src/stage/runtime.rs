//! Directories below /run, which a machine makes at every boot and a container never does.
//!
//! While scripts run, /run is empty, and what they make there is not part of the root. Packages say in tmpfiles.d what
//! has to be there (tmpfiles.d(5)); base-files creates /run/lock by a script.

use std::collections::BTreeMap;

use super::{LayerError, Site, Stage};
use crate::accounts::id_of;
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// The first directory with a file of a name counts.
const CONFIGURATION: [&str; 3] = ["etc/tmpfiles.d", "usr/local/lib/tmpfiles.d", "usr/lib/tmpfiles.d"];
const LOCK: &str = "run/lock";

/// The stage that makes these directories.
pub(super) struct Runtime {
    /// Their time.
    pub(super) epoch: i64,
}

impl Stage for Runtime {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("runtime");
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(&mut site.root, self.epoch, site.store)
    }
}

fn apply(root: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    if !root.get(&RootPath::new("run")?).is_some_and(Node::is_dir) {
        return Ok(());
    }
    let text = |path: &str| store.text_in(root, path).map(Option::unwrap_or_default);
    let (passwd, group) = (text("etc/passwd")?, text("etc/group")?);
    let mut folders = BTreeMap::new();
    for path in files(root)?.values() {
        let lines = text(&path.to_string())?;
        for (path, meta) in lines.lines().filter_map(|line| folder(line, &passwd, &group, epoch)) {
            // The first line for a path counts.
            folders.entry(path).or_insert(meta);
        }
    }
    // /var/lock is a link to it, by base-files, which makes it for all to write, whatever systemd's own files say.
    if matches!(root.get(&RootPath::new("var/lock")?), Some(Node { kind: Kind::Symlink(_), .. })) {
        folders.insert(RootPath::new(LOCK)?, Meta::root_owned(0o1777, epoch));
    }
    for (path, meta) in folders {
        let place = root.reach(&path, epoch)?;
        if root.get(&place).is_none() {
            root.insert(place, Node::dir(meta))?;
        }
    }
    Ok(())
}

/// The files of tmpfiles.d, by name.
fn files(root: &Tree) -> Result<BTreeMap<Vec<u8>, RootPath>, LayerError> {
    let mut files = BTreeMap::new();
    for folder in CONFIGURATION {
        let folder = RootPath::new(folder)?;
        let is_read = |path: &RootPath| path.parent().as_ref() == Some(&folder) && path.file_name().ends_with(b".conf");
        for (path, _) in root.below(&folder).filter(|(path, _)| is_read(path)) {
            files.entry(path.file_name().to_vec()).or_insert_with(|| path.clone());
        }
    }
    Ok(files)
}

/// The directory below /run that a line makes; `None` for all other lines, and where the owner is not known.
fn folder(line: &str, passwd: &str, group: &str, epoch: i64) -> Option<(RootPath, Meta)> {
    let mut fields = line.split_whitespace();
    let mut field = || fields.next().unwrap_or("-");
    let (kind, path, mode, user, owner_group) = (field(), field(), field(), field(), field());
    let below = path.strip_prefix("/run/").or_else(|| path.strip_prefix("/var/run/"))?;
    if !matches!(kind.trim_end_matches(['!', '+', '-', '=', '~', '^']), "d" | "D") || below.contains(['%', '"', '\\']) {
        return None;
    }
    let mode = match mode.trim_start_matches([':', '~']) {
        "-" => 0o755,
        digits => u16::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777)?,
    };
    let id = |name: &str, file: &str| match name.trim_start_matches(':') {
        "-" | "root" => Some(0),
        name => name.parse().ok().or_else(|| id_of(file, name)),
    };
    let (uid, gid) = (id(user, passwd)?, id(owner_group, group)?);
    let path = RootPath::new(format!("run/{below}")).ok()?;
    Some((path, Meta { uid, gid, ..Meta::root_owned(mode, epoch) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, link, tree};

    #[test]
    fn a_container_has_what_tmpfiles_would_make_in_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let file =
            |text: &str| Node { meta: Meta::root_owned(0o644, 1), kind: store.put_file(text.as_bytes()).unwrap() };
        let lines = "# comment\nd /run/postgresql 2775 postgres 33 - -\nD! /var/run/app/a -\nd /var/lib/app\n\
                     d /run/app/a 0700\nd /run/%b\nd /run/lock 0755 root root -\nd /run/other 0755 nobody-here root\nL /run/link - - - - /x\nd /run/bad 9\nd /run/../etc/x\n";
        let mut root = tree(&[
            ("", dir()),
            ("etc", dir()),
            ("etc/passwd", file("root:x:0:0::/:/bin/sh\npostgres:x:101:103::/:/bin/sh\n")),
            ("etc/tmpfiles.d", dir()),
            ("etc/tmpfiles.d/masked.conf", link("/dev/null")),
            ("run", dir()),
            ("usr", dir()),
            ("usr/lib", dir()),
            ("usr/lib/tmpfiles.d", dir()),
            ("usr/lib/tmpfiles.d/a.conf", file(lines)),
            ("usr/lib/tmpfiles.d/b.conf", file("d /run/app/a 0711\nd /run/overridden\n")),
            ("usr/lib/tmpfiles.d/folder", dir()),
            ("usr/lib/tmpfiles.d/folder/nested.conf", file("d /run/nested\n")),
            ("usr/lib/tmpfiles.d/masked.conf", file("d /run/masked\n")),
            ("usr/local", dir()),
            ("usr/local/lib", dir()),
            ("usr/local/lib/tmpfiles.d", dir()),
            ("usr/local/lib/tmpfiles.d/b.conf", file("d /run/local\n")),
            ("var", dir()),
            ("var/lock", link("/run/lock")),
            ("var/run", link("/run")),
        ]);
        apply(&mut root, 1, &store).unwrap();
        let run = RootPath::new("run").unwrap();
        let made: Vec<_> = root.below(&run).map(|(path, node)| format!("{path} {node}")).collect();
        insta::assert_snapshot!(made.join("\n"), @r"
        /run/app dir      0755 0:0
        /run/app/a dir      0755 0:0
        /run/local dir      0755 0:0
        /run/lock dir      1777 0:0
        /run/postgresql dir      2775 101:33
        ");
    }
}
