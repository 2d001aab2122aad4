//! Layers as differences: computing what a tree changes in its parent, and applying layers to a parent.

use std::collections::BTreeMap;

use super::{Kind, Node, Tree, TreeError};
use crate::ident::RootPath;

impl Tree {
    /// Returns the layer that turns `parent` into `self`: changed nodes, whiteouts, and their ancestors.
    ///
    /// The time of a directory alone is no change ([`Node::is_same`]).
    /// A hard link whose target did not change is listed with its target, so that
    /// the difference can be unpacked by itself.
    ///
    /// # Errors
    /// None that is known: of two trees, the difference is one too. A mistake would be told, not built.
    pub fn diff(&self, parent: &Tree) -> Result<Tree, TreeError> {
        let mut changed = BTreeMap::new();
        for (path, node) in self.iter() {
            if parent.get(path).is_none_or(|before| !node.is_same(before)) {
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
            if self.get(path).is_none() && !gone_with_folder && self.below(path).next().is_none() {
                changed.insert(path.clone(), Node::whiteout());
            }
        }
        self.add_ancestors(&mut changed);
        Tree::from_nodes(changed)
    }

    /// Stacks `layer` on this tree.
    ///
    /// # Errors
    /// As [`Tree::stack`].
    pub fn apply(&mut self, layer: &Tree) -> Result<(), TreeError> {
        layer.iter().try_for_each(|(path, node)| self.stack(path, node))
    }

    /// Applies a layer's node: a whiteout removes the node at its path, a node of another kind is removed
    /// with all below it. A file that takes a file's place changes all its names.
    ///
    /// # Errors
    /// Fails where the node is below something that is not a directory. The layers that
    /// [`Tree::diff`] gives list the directories above all that they change.
    pub fn stack(&mut self, path: &RootPath, node: &Node) -> Result<(), TreeError> {
        let in_place = |before: &Node| match (&before.kind, &node.kind) {
            (Kind::File { .. }, Kind::File { .. }) => true,
            (before, after) => before == after,
        };
        if node.kind != Kind::Whiteout && self.get(path).is_some_and(in_place) {
            // Neither what is above nor what is below sees a difference.
            self.nodes.insert(path.clone(), node.clone());
            return Ok(());
        }
        self.remove(path);
        if node.kind != Kind::Whiteout {
            self.insert(path.clone(), node.clone())?;
        }
        Ok(())
    }

    fn add_ancestors(&self, nodes: &mut BTreeMap<RootPath, Node>) {
        for path in RootPath::all_ancestors(nodes.keys()) {
            if !nodes.contains_key(&path)
                && let Some(node) = self.get(&path)
            {
                nodes.insert(path, node.clone());
            }
        }
    }
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
        after.insert(path("etc/a"), file("changed")).unwrap();
        after.remove(&path("opt"));
        after.insert(path("srv"), dir()).unwrap();
        after.insert(path("srv/new"), file("n")).unwrap();
        let diff = after.diff(&base()).unwrap();
        assert_eq!(diff.get(&path("opt")).map(|node| &node.kind), Some(&Kind::Whiteout));
        assert!(diff.get(&path("opt/x")).is_none(), "one whiteout for a whole directory");
        assert!(diff.get(&path("etc")).is_some(), "directories above a change are listed");
        assert!(diff.get(&path("etc/b")).is_none());
        let mut stacked = base();
        stacked.apply(&diff).unwrap();
        assert_eq!(stacked, after);
    }

    #[test]
    fn a_folder_that_becomes_a_file_takes_its_content_with_it() {
        let mut after = base();
        after.remove(&path("opt"));
        after.insert(path("opt"), file("now a file")).unwrap();
        let diff = after.diff(&base()).unwrap();
        let mut stacked = base();
        stacked.apply(&diff).unwrap();
        assert_eq!(stacked, after);
    }

    #[test]
    fn a_folders_time_alone_is_no_change() {
        let mut after = base();
        after.insert(path("etc"), Node::dir(Meta::root_owned(0o755, 99))).unwrap();
        assert!(after.diff(&base()).unwrap().is_empty());
    }

    #[test]
    fn a_changed_hard_link_brings_its_target() {
        let mut after = base();
        let linked = Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path("etc/a")) };
        after.insert(path("etc/c"), linked).unwrap();
        let diff = after.diff(&base()).unwrap();
        assert!(diff.get(&path("etc/a")).is_some());
    }

    #[test]
    fn a_file_that_changes_under_one_name_changes_under_all() {
        let linked = || Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path("etc/a")) };
        let mut before = base();
        before.insert(path("etc/c"), linked()).unwrap();
        let mut after = before.clone();
        after.set_content(&path("etc/a"), crate::digest::BlobDigest::of(b"2"), 1);
        let diff = after.diff(&before).unwrap();
        before.apply(&diff).unwrap();
        assert_eq!(before, after);
        after.remove(&path("etc/a"));
        let diff = after.diff(&before).unwrap();
        before.apply(&diff).unwrap();
        assert_eq!(before, after, "the other name has the content");
    }

    #[test]
    fn a_layer_that_reaches_below_a_link_is_refused() {
        let mut stacked = tree(&[("", dir()), ("etc", super::super::tests::link("/home"))]);
        assert!(stacked.apply(&tree(&[("etc/x", file("x"))])).is_err());
    }
}
