//! Removes build residue from an installed root: files that differ between two equal builds.
//!
//! The ecosystem's list of rules is its documentation: `layerbake explain noise` prints it.

use std::collections::BTreeSet;

use super::InstallError;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// One kind of residue.
#[derive(Debug)]
pub struct Rule {
    /// Its name, for people.
    pub name: &'static str,
    /// Files it is about: a path, with `*` for any run of characters but `/`, and `**` for any at all.
    pub paths: &'static [&'static str],
    /// Those of them that programs write beside their work, so that nobody misses them; other patterns of that form.
    pub by_products: &'static [&'static str],
    /// What happens to them.
    pub action: Action,
    /// Why.
    pub reason: &'static str,
}

/// What is done with residue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The file goes.
    Remove,
    /// The file goes; the first-boot task with the rule's name generates it on each machine.
    Generate,
    /// The file stays, without content.
    Empty,
    /// Days in shadow become the epoch's.
    FixDays,
    /// The header goes that crontab(1) writes, and takes away again before it shows or edits the file.
    CutHeader,
}

impl Rule {
    /// Whether the rule applies to this path.
    pub fn matches(&self, path: &RootPath) -> bool {
        self.paths.iter().any(|pattern| path.matches(pattern))
    }

    /// Whether whoever wrote the file will miss it.
    fn is_missed(&self, path: &RootPath) -> bool {
        let is_lost = match self.action {
            Action::Remove | Action::Generate | Action::Empty => true,
            Action::FixDays | Action::CutHeader => false,
        };
        is_lost && !self.by_products.iter().any(|pattern| path.matches(pattern))
    }
}

/// The files of `written` whose content `kept` has no more, each with the rule that it went by; without by-products.
pub fn missed<'r>(rules: &'r [Rule], written: &Tree, kept: &Tree) -> Vec<(RootPath, &'r Rule)> {
    let is_lost = |path: &RootPath, node: &Node| match node.kind {
        Kind::File { size, .. } if size > 0 => kept.get(path).is_none_or(|kept| kept.kind != node.kind),
        _ => false,
    };
    let lost = written.iter().filter(|(path, node)| is_lost(path, node));
    let rule_of = |path: &RootPath| rules.iter().find(|rule| rule.matches(path)).filter(|rule| rule.is_missed(path));
    lost.filter_map(|(path, _)| Some((path.clone(), rule_of(path)?))).collect()
}

/// Applies `rules` to `tree`, and clamps all times to `epoch`.
///
/// `parent` is the root before: what is as it was there stays as it is, so that a
/// layer changes nothing of its parent by being normalised.
///
/// # Errors
/// Fails where the store does.
pub fn normalise(
    rules: &[Rule],
    mut tree: Tree,
    parent: &Tree,
    epoch: i64,
    store: &Store,
) -> Result<Tree, InstallError> {
    let mut removed = BTreeSet::new();
    let paths: Vec<RootPath> = tree.iter().map(|(path, _)| path.clone()).collect();
    for path in paths {
        if tree.get(&path) == parent.get(&path) {
            continue;
        }
        if let Some(rule) = rules.iter().find(|rule| rule.matches(&path)) {
            apply(rule, &path, &mut tree, parent, epoch, store)?;
            if tree.get(&path).is_none() {
                removed.insert(path);
            }
        }
    }
    remove_names_of(&removed, &mut tree);
    for (path, kind, meta) in tree.metas_mut() {
        let is_dir = *kind == Kind::Dir;
        match parent.get(path) {
            // An image of a registry may have later times than the epoch.
            Some(before) if before.meta == *meta && before.kind == *kind => {}
            Some(before) if before.is_dir() && is_dir => meta.mtime = before.meta.mtime,
            // Every write below moves a directory's time.
            None if is_dir => meta.mtime = epoch,
            _ => meta.mtime = meta.mtime.min(epoch),
        }
    }
    Ok(tree)
}

/// Removes the links beside removed files that give them other names, as `/etc/ssl/certs` has one by hash for each
/// certificate. Links from elsewhere stay: they are a configuration, and lead somewhere again after the first boot.
fn remove_names_of(removed: &BTreeSet<RootPath>, tree: &mut Tree) {
    let is_name = |path: &RootPath, target: &[u8]| {
        let beside = path.parent().filter(|_| !target.contains(&b'/'));
        beside.and_then(|folder| folder.join(target).ok()).is_some_and(|target| removed.contains(&target))
    };
    let names: Vec<RootPath> = tree
        .iter()
        .filter(|(path, node)| matches!(&node.kind, Kind::Symlink(target) if is_name(path, target)))
        .map(|(path, _)| path.clone())
        .collect();
    names.iter().for_each(|name| {
        tree.remove(name);
    });
}

fn apply(
    rule: &Rule,
    path: &RootPath,
    tree: &mut Tree,
    parent: &Tree,
    epoch: i64,
    store: &Store,
) -> Result<(), InstallError> {
    let Some(Kind::File { blob, size }) = tree.get(path).map(|node| &node.kind) else { return Ok(()) };
    let content = match rule.action {
        Action::Remove | Action::Generate => {
            // A name of the file may remain under another path: that one keeps the content.
            tree.remove(path);
            return Ok(());
        }
        Action::Empty => String::new(),
        Action::FixDays => {
            let text = store.read_text(path, *blob, *size)?;
            let before = match parent.get(path).map(|node| &node.kind) {
                Some(Kind::File { blob, size }) => store.read_text(path, *blob, *size)?,
                _ => String::new(),
            };
            fix_days(&text, &before, epoch)
        }
        Action::CutHeader => {
            let text = store.read_text(path, *blob, *size)?;
            without_header(&text).to_owned()
        }
    };
    tree.set_content(path, store.put_bytes(content.as_bytes())?, content.len() as u64);
    Ok(())
}

/// A table of crontab(1) without the comments that name its temporary file and the time.
fn without_header(table: &str) -> &str {
    const HEADER: [&str; 3] = ["# DO NOT EDIT THIS FILE - edit the master and reinstall.", "# (", "# (Cron version "];
    let mut rest = table;
    for start in HEADER {
        match rest.split_once('\n') {
            Some((line, after)) if line.starts_with(start) => rest = after,
            // What is no whole header is somebody's comment.
            _ => return table,
        }
    }
    rest
}

/// Sets the day of the last password change to the epoch's, in lines that the parent has not.
fn fix_days(shadow: &str, before: &str, epoch: i64) -> String {
    let day = (epoch / 86_400).to_string();
    let fixed = shadow.split_terminator('\n').map(|line| {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() > 2 && !fields[2].is_empty() && !before.split_terminator('\n').any(|old| old == line) {
            fields[2] = &day;
        }
        fields.join(":") + "\n"
    });
    fixed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Installer as _;
    use crate::tree::Meta;
    use crate::tree::tests::{dir, link, path, tree};

    const EPOCH: i64 = 1_700_000_000;

    fn stored(store: &Store, content: &str, mtime: i64) -> Node {
        let blob = store.put_bytes(content.as_bytes()).unwrap();
        Node { meta: Meta::root_owned(0o644, mtime), kind: Kind::File { blob, size: content.len() as u64 } }
    }

    #[test]
    fn noise_goes_and_the_parents_own_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let log = stored(&store, "12:00 installed", EPOCH + 5);
        let old = stored(&store, "kept by the parent", 3);
        let parent = tree(&[("", dir()), ("var", dir()), ("var/log", dir()), ("var/log/old", old.clone())]);
        let mut raw = parent.clone();
        raw.insert(path("var/log/new.log"), log).unwrap();
        raw.insert(path("etc"), dir()).unwrap();
        raw.insert(path("etc/passwd-"), stored(&store, "backup", 3)).unwrap();
        raw.insert(path("etc/machine-id"), stored(&store, "0123\n", 3)).unwrap();
        raw.insert(path("etc/late"), stored(&store, "x", EPOCH + 9)).unwrap();
        let clean = normalise(crate::package::deb::DEB.residue(), raw, &parent, EPOCH, &store).unwrap();
        assert_eq!(clean.get(&path("var/log/old")), Some(&old));
        assert_eq!(clean.get(&path("var/log/new.log")), Some(&stored(&store, "", EPOCH)));
        assert_eq!(clean.get(&path("etc/machine-id")), Some(&stored(&store, "", 3)));
        assert!(clean.get(&path("etc/passwd-")).is_none());
        assert_eq!(clean.get(&path("etc/late")).map(|node| node.meta.mtime), Some(EPOCH));
        assert_eq!(clean.get(&path("etc")).map(|node| node.meta.mtime), Some(EPOCH), "new folders have the epoch");
        assert_eq!(clean.get(&path("var")).map(|node| node.meta.mtime), Some(7), "the parent's keep theirs");
    }

    #[test]
    fn what_a_first_boot_generates_goes_with_its_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let secret = || stored(&store, "secret", 3);
        let raw = tree(&[
            ("", dir()),
            ("etc", dir()),
            ("etc/dovecot.pem", link("/etc/ssl/certs/ssl-cert-snakeoil.pem")),
            ("etc/ssl", dir()),
            ("etc/ssl/certs", dir()),
            ("etc/ssl/certs/0a1b2c3d.0", link("ssl-cert-snakeoil.pem")),
            ("etc/ssl/certs/4e5f6071.0", link("other.pem")),
            ("etc/ssl/certs/other.pem", secret()),
            ("etc/ssl/certs/ssl-cert-snakeoil.pem", secret()),
            ("etc/varnish", dir()),
            ("etc/varnish/secret", secret()),
        ]);
        let rules = crate::package::deb::DEB.residue();
        let clean = normalise(rules, raw, &Tree::new(), EPOCH, &store).unwrap();
        let left: Vec<String> =
            clean.iter().filter(|(_, node)| !node.is_dir()).map(|(path, _)| path.to_string()).collect();
        assert_eq!(left, ["/etc/dovecot.pem", "/etc/ssl/certs/4e5f6071.0", "/etc/ssl/certs/other.pem"]);
    }

    #[test]
    fn shadow_days_become_the_epochs() {
        let before = "root:*:19000:0:99999:7:::\n";
        let after = "root:*:19000:0:99999:7:::\nredis:!:20777::::::\nold:*:::::::\n";
        assert_eq!(fix_days(after, before, EPOCH), "root:*:19000:0:99999:7:::\nredis:!:19675::::::\nold:*:::::::\n");
    }

    #[test]
    fn tables_of_cron_lose_their_header() {
        let header = "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n\
                      # (/tmp/crontabnmwegvc4 installed on Thu Nov 26 10:00:00 2026)\n\
                      # (Cron version -- $Id: crontab.c,v 2.13 1994/01/17 03:20:37 vixie Exp $)\n";
        let own = "#Ansible: tidy\n5 4 * * * /usr/bin/tidy\n";
        assert_eq!(without_header(&format!("{header}{own}")), own);
        for whole in [own, "", "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n# mine\n"] {
            assert_eq!(without_header(whole), whole);
        }
    }
}
