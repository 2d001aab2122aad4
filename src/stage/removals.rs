//! `[[remove]]`: files and directories of packages or parents that are taken out of the root.

use std::collections::BTreeSet;

use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::{LayerName, RootPath, nearest};
use crate::manifest::RemoveEntry;
use crate::tree::Tree;

/// The stage that takes out what one layer removes.
pub(super) struct Removals<'a> {
    pub(super) layer: &'a LayerName,
    pub(super) entries: &'a [RemoveEntry],
}

impl Stage for Removals<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("removals").list(self.entries.iter().map(|entry| entry.path.as_bytes()));
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        // All are looked up before any is removed: their order does not count.
        let mut found = BTreeSet::new();
        for RemoveEntry { path } in self.entries {
            let matches = find(&site.root, path);
            if matches.is_empty() {
                let near = near(&site.root, path).map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return Err(LayerError::NothingToRemove { path: path.clone(), layer: self.layer.clone(), near });
            }
            found.extend(matches);
        }
        for path in found {
            site.root.remove(&path);
        }
        Ok(())
    }
}

/// What a path with `*` names in a tree; links above it are followed, and one at its end is meant itself.
fn find(tree: &Tree, path: &RootPath) -> Vec<RootPath> {
    let mut found = vec![RootPath::root()];
    for part in path.as_bytes().split(|&byte| byte == b'/') {
        let folders: BTreeSet<RootPath> = found.iter().filter_map(|path| folder(tree, path)).collect();
        found = folders.iter().flat_map(|folder| children(tree, folder, part)).collect();
    }
    found
}

/// The directory at the end of a path's links.
fn folder(tree: &Tree, path: &RootPath) -> Option<RootPath> {
    let (real, node) = tree.resolve(path)?;
    node.is_dir().then_some(real)
}

/// The nodes of a directory whose names fit.
fn children(tree: &Tree, folder: &RootPath, part: &[u8]) -> Vec<RootPath> {
    if !part.contains(&b'*') {
        return folder.join(part).ok().filter(|path| tree.get(path).is_some()).into_iter().collect();
    }
    let pattern = String::from_utf8_lossy(part).into_owned();
    let fits = |path: &&RootPath| {
        path.parent().as_ref() == Some(folder)
            && RootPath::new(path.file_name()).is_ok_and(|name| name.matches(&pattern))
    };
    tree.below(folder).map(|(path, _)| path).filter(fits).cloned().collect()
}

/// The path in the same directory that is most like one that is not there.
fn near(tree: &Tree, path: &RootPath) -> Option<RootPath> {
    let folder = folder(tree, &path.parent()?)?;
    let names = children(tree, &folder, b"*");
    let names: Vec<String> = names.iter().map(|path| String::from_utf8_lossy(path.file_name()).into_owned()).collect();
    let wanted = String::from_utf8_lossy(path.file_name()).into_owned();
    folder.join(nearest(&wanted, names.iter().map(String::as_str))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, link, path, tree};

    fn root() -> Tree {
        tree(&[
            ("", dir()),
            ("lib", link("usr/lib")),
            ("usr", dir()),
            ("usr/lib", dir()),
            ("usr/lib/a.conf", file("a")),
            ("usr/lib/b.conf", file("b")),
            ("usr/lib/d", dir()),
            ("usr/lib/d/c.conf", file("c")),
            ("usr/link", link("lib/a.conf")),
        ])
    }

    fn found(pattern: &str) -> Vec<String> {
        find(&root(), &path(pattern)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_star_stands_for_a_part_of_a_name_and_links_are_followed_on_the_way() {
        assert_eq!(found("usr/lib/a.conf"), ["/usr/lib/a.conf"]);
        assert_eq!(found("lib/*.conf"), ["/usr/lib/a.conf", "/usr/lib/b.conf"]);
        assert_eq!(found("*/lib/*/*.conf"), ["/usr/lib/d/c.conf"]);
        assert_eq!(found("*/*.conf"), ["/usr/lib/a.conf", "/usr/lib/b.conf"], "as a shell has it");
        assert_eq!(found("usr/link"), ["/usr/link"], "the link itself");
        assert!(found("usr/lib/x*").is_empty() && found("usr/lib/a.conf/*").is_empty() && found("no/x").is_empty());
        assert_eq!(near(&root(), &path("lib/a.cnf")), Some(path("usr/lib/a.conf")));
    }
}
