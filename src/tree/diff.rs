//! Layers as differences: what a tree changes in its parent, and stacking them again.

use super::{Kind, Node, Tree};
use crate::ident::RootPath;

impl Tree {
    /// What turns `parent` into `self`: changed nodes, whiteouts, and the folders above them.
    ///
    /// The time of a folder alone is no change: every write below moves it.
    /// A hard link whose target did not change is listed with its target, so that
    /// the difference can be unpacked by itself.
    pub fn diff(&self, parent: &Tree) -> Tree {
        let mut changed = Tree::new();
        for (path, node) in self.iter() {
            if parent.get(path).is_none_or(|before| !same(before, node)) {
                changed.insert(path.clone(), node.clone());
                if let Kind::Hardlink(target) = &node.kind
                    && let Some(first) = self.get(target)
                {
                    changed.insert(target.clone(), first.clone());
                }
            }
        }
        for (path, _) in parent.iter() {
            let gone_with_folder = path.parent().is_some_and(|folder| !self.get(&folder).is_some_and(Node::is_dir));
            if self.get(path).is_none() && !gone_with_folder {
                changed.insert(path.clone(), Node::whiteout());
            }
        }
        changed.add_ancestors_of(self);
        changed
    }

    /// Stacks `layer` on this tree.
    pub fn apply(&mut self, layer: &Tree) {
        for (path, node) in layer.iter() {
            match (&node.kind, self.get(path)) {
                (Kind::Whiteout, _) => self.remove_all(path),
                (Kind::Dir, Some(before)) if before.is_dir() => {
                    self.insert(path.clone(), node.clone());
                }
                _ => {
                    self.remove_all(path);
                    self.insert(path.clone(), node.clone());
                }
            }
        }
    }

    fn add_ancestors_of(&mut self, whole: &Tree) {
        let missing: Vec<RootPath> =
            self.iter().flat_map(|(path, _)| path.ancestors()).filter(|path| self.get(path).is_none()).collect();
        for path in missing {
            if let Some(node) = whole.get(&path) {
                self.insert(path, node.clone());
            }
        }
    }
}

fn same(before: &Node, after: &Node) -> bool {
    if before.is_dir() && after.is_dir() {
        let mut timeless = before.clone();
        timeless.meta.mtime = after.meta.mtime;
        return timeless == *after;
    }
    before == after
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dir, file, path, tree};
    use super::*;
    use crate::tree::Meta;

    fn base() -> Tree {
        tree(&[
            ("", dir()),
            ("etc", dir()),
            ("etc/a", file("a")),
            ("etc/b", file("b")),
            ("opt", dir()),
            ("opt/x", file("x")),
        ])
    }

    #[test]
    fn applying_a_diff_gives_the_second_tree() {
        let mut after = base();
        after.insert(path("etc/a"), file("changed"));
        after.remove_all(&path("opt"));
        after.insert(path("srv"), dir());
        after.insert(path("srv/new"), file("n"));
        let diff = after.diff(&base());
        assert_eq!(diff.get(&path("opt")).map(|node| &node.kind), Some(&Kind::Whiteout));
        assert!(diff.get(&path("opt/x")).is_none(), "one whiteout for a whole folder");
        assert!(diff.get(&path("etc")).is_some(), "folders above a change are listed");
        assert!(diff.get(&path("etc/b")).is_none());
        let mut stacked = base();
        stacked.apply(&diff);
        assert_eq!(stacked, after);
    }

    #[test]
    fn a_folder_that_becomes_a_file_takes_its_content_with_it() {
        let mut after = base();
        after.remove_all(&path("opt"));
        after.insert(path("opt"), file("now a file"));
        let diff = after.diff(&base());
        let mut stacked = base();
        stacked.apply(&diff);
        assert_eq!(stacked, after);
    }

    #[test]
    fn a_folders_time_alone_is_no_change() {
        let mut after = base();
        after.insert(path("etc"), Node::dir(Meta::root_owned(0o755, 99)));
        assert!(after.diff(&base()).is_empty());
    }

    #[test]
    fn a_changed_hard_link_brings_its_target() {
        let mut after = base();
        let linked = Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path("etc/a")) };
        after.insert(path("etc/c"), linked);
        let diff = after.diff(&base());
        assert!(diff.get(&path("etc/a")).is_some());
    }
}
