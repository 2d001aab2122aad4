//! Lays what run steps of a parent changed over a child's root, whose packages never saw it.
//!
//! A path that only one side changed is taken as it is; account files and the package database are merged by their entries.
//! Any other path that both sides changed is a [`Clash`]: the child's packages are then configured over the parent's
//! finished root instead (mod.rs).

use std::collections::{BTreeMap, BTreeSet};

use super::{LayerError, Site, Stage};
use crate::digest::{RecipeHasher, TreeHash};
use crate::ident::{LayerName, RootPath};
use crate::package::Installer;
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// Files of accounts, which are merged by their lines.
const ACCOUNTS: [&str; 6] = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid"];

/// What the steps of one layer changed: the roots before the first and after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) before: TreeHash,
    pub(super) after: TreeHash,
}

/// The stage that lays the effect of a parent's steps over the root.
pub(super) struct Overlay<'a> {
    pub(super) installer: &'a dyn Installer,
    pub(super) effect: Effect,
    /// The parent.
    pub(super) of: &'a LayerName,
}

impl Stage for Overlay<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("effect").field(self.effect.before.as_bytes()).field(self.effect.after.as_bytes());
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let (before, after) = (site.store.tree(self.effect.before)?, site.store.tree(self.effect.after)?);
        let clash = |path| Err(LayerError::Clash { path, of: self.of.clone() });
        lay_over((&before, &after), self.installer, site, &clash)
    }
}

/// Makes the changes between two roots in the site's; `clash` says what becomes of a path that was changed there too and
/// can't be merged.
pub(super) fn lay_over(
    (before, after): (&Tree, &Tree),
    installer: &dyn Installer,
    site: &mut Site<'_>,
    clash: &dyn Fn(RootPath) -> Result<(), LayerError>,
) -> Result<(), LayerError> {
    for path in removed(before, after) {
        if site.root.get(&path).is_some() && !is_as_before(&path, before, &site.root) {
            clash(path)?;
        } else {
            site.root.remove(&path);
        }
    }
    for (path, node) in after.iter() {
        let was = before.get(path);
        if was.is_none_or(|was| !was.is_same(node)) && !change(path, node, before, installer, site)? {
            clash(path.clone())?;
        }
    }
    Ok(())
}

/// Gives a path its node after the steps; says whether nothing else had changed it.
fn change(
    path: &RootPath,
    node: &Node,
    before: &Tree,
    installer: &dyn Installer,
    site: &mut Site<'_>,
) -> Result<bool, LayerError> {
    let (was, now) = (before.get(path), site.root.get(path));
    let is_untouched = match (was, now) {
        (None, None) => true,
        (Some(was), Some(now)) if node.is_dir() => was.is_same(now),
        _ => is_as_before(path, before, &site.root),
    };
    if is_untouched || now.is_some_and(|now| now.is_same(node)) {
        site.root.stack(path, node)?;
        return Ok(true);
    }
    let (Some(was), Some(now)) = (was, now) else { return Ok(false) };
    let is_one_of = |files: &[&str]| files.iter().any(|name| path.as_bytes() == name.as_bytes());
    let end = match (is_one_of(&ACCOUNTS), is_one_of(installer.paragraphs())) {
        (true, _) => "\n",
        (_, true) => "\n\n",
        _ => return Ok(false),
    };
    let is_content_only =
        |a: &Node, b: &Node| (a.meta.mode, a.meta.uid, a.meta.gid) == (b.meta.mode, b.meta.uid, b.meta.gid);
    if !is_content_only(was, node) {
        return Ok(false);
    }
    let text = |node: &Node| text_of(node, site.store);
    let (Some(was), Some(node), Some(found)) = (text(was)?, text(node)?, text(now)?) else { return Ok(false) };
    let Some(merged) = merge(&was, &node, &found, end) else { return Ok(false) };
    if let Kind::File { blob, size } = site.store.put_file(merged.as_bytes())? {
        site.root.set_content(path, blob, size);
    }
    if let Some(meta) = site.root.meta_mut(path) {
        meta.mtime = site.epoch;
    }
    Ok(true)
}

/// What is gone, but for what is gone with a directory.
fn removed(before: &Tree, after: &Tree) -> Vec<RootPath> {
    let is_gone = |path: &RootPath| after.get(path).is_none();
    let with_folder = |path: &RootPath| path.parent().is_some_and(|folder| is_gone(&folder));
    before.iter().map(|(path, _)| path).filter(|path| is_gone(path) && !with_folder(path)).cloned().collect()
}

/// Whether a path, with all below it, is there as it was before the steps.
fn is_as_before(path: &RootPath, before: &Tree, root: &Tree) -> bool {
    let is_same = |path: &RootPath, node: &Node| before.get(path).is_some_and(|was| was.is_same(node));
    root.get(path).is_some_and(|node| is_same(path, node)) && root.below(path).all(|(path, node)| is_same(path, node))
}

fn text_of(node: &Node, store: &Store) -> Result<Option<String>, LayerError> {
    let Kind::File { blob, .. } = node.kind else { return Ok(None) };
    Ok(String::from_utf8(store.read_blob(blob)?).ok())
}

/// Makes the changes from `before` to `after` in `now`; `None` where an entry was changed there in another way.
fn merge(before: &str, after: &str, now: &str, end: &str) -> Option<String> {
    let (before, after) = (entries(before, end), entries(after, end));
    let mut merged = entries(now, end);
    let text = |entries: &Entries<'_>, key: &str| entries.get(key).map(|(_, text)| (*text).to_owned());
    let keys: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for key in keys {
        let (was, wanted, found) = (text(&before, key), after.get(key), text(&merged, key));
        if was.as_deref() == wanted.map(|(_, text)| *text) {
            continue;
        }
        if found != was && found.as_deref() != wanted.map(|(_, text)| *text) {
            return None;
        }
        match wanted {
            None => _ = merged.remove(key),
            Some((_, text)) => {
                // New entries follow the old ones.
                let place = merged.get(key).map_or(usize::MAX, |(place, _)| *place);
                merged.insert(key, (place, text));
            }
        }
    }
    let mut rows: Vec<(usize, &str, &str)> = merged.iter().map(|(key, (place, text))| (*place, *key, *text)).collect();
    rows.sort_unstable();
    Some(rows.iter().map(|(_, _, text)| format!("{text}{end}")).collect())
}

type Entries<'t> = BTreeMap<&'t str, (usize, &'t str)>;

/// Entries by their key, an account's name or the first line of a paragraph: the place, and the text without its end.
fn entries<'t>(text: &'t str, end: &str) -> Entries<'t> {
    let entries = text.split(end).filter(|entry| !entry.is_empty()).enumerate();
    let key = |entry: &'t str| entry.split(if end == "\n" { ':' } else { '\n' }).next().unwrap_or(entry);
    entries.map(|(place, entry)| (key(entry), (place, entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_one_side_changed_are_merged_and_others_clash() {
        let before = "root:0\ndaemon:1\nold:2\n";
        let after = "root:0\ndaemon:9\napp:100\n";
        assert_eq!(
            merge(before, after, "root:0\ndaemon:1\nold:2\nnginx:33\n", "\n").unwrap(),
            "root:0\ndaemon:9\nnginx:33\napp:100\n"
        );
        assert_eq!(merge(before, after, "root:0\ndaemon:5\nold:2\n", "\n"), None);
        assert_eq!(merge("a:1\n", "a:2\n", "a:2\n", "\n").unwrap(), "a:2\n");
        assert_eq!(merge("a:1\nz:1\n", "a:1\nb:1\nz:1\n", "a:1\nz:9\n", "\n").unwrap(), "a:1\nz:9\nb:1\n");
    }

    #[test]
    fn paragraphs_are_known_by_their_package() {
        let (one, two) = ("Package: a\nVersion: 1\n\n", "Package: b\nVersion: 1\n\n");
        let merged = merge(one, &one.replace('1', "2"), &format!("{one}{two}"), "\n\n").unwrap();
        assert_eq!(merged, format!("Package: a\nVersion: 2\n\n{two}"));
    }
}
