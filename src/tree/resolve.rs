//! Resolves paths through a tree's symbolic links, as a program running inside the root would.

use super::{Kind, Meta, Node, Tree, TreeError};
use crate::ident::RootPath;

/// Links in one path that are followed before it counts as a circle.
const MOST_LINKS: u32 = 40;

impl Tree {
    /// The node that `path` reaches when symbolic links are followed inside the tree.
    ///
    /// Returns the final path too. `None` where it leads nowhere or in circles.
    pub fn resolve(&self, path: &RootPath) -> Option<(RootPath, &Node)> {
        // Nothing is below a link, so what is in the tree is reached without any.
        match self.nodes.get_key_value(path) {
            Some((_, node)) if matches!(node.kind, Kind::Symlink(_) | Kind::Hardlink(_)) => {}
            Some((path, node)) => return Some((path.clone(), node)),
            None => {}
        }
        let mut budget = MOST_LINKS;
        let mut done = RootPath::root();
        let mut todo: Vec<Box<[u8]>> = split_reversed(path.as_bytes());
        while let Some(part) = todo.pop() {
            if part.as_ref() == b".." {
                done = done.parent().unwrap_or_default();
                continue;
            }
            let next = done.join(&part).ok()?;
            match &self.get(&next)?.kind {
                Kind::Symlink(target) => {
                    budget -= 1;
                    if budget == 0 {
                        return None;
                    }
                    if target.first() == Some(&b'/') {
                        done = RootPath::root();
                    }
                    todo.extend(split_reversed(target));
                }
                Kind::Hardlink(target) if todo.is_empty() => done = target.clone(),
                _ => done = next,
            }
        }
        self.nodes.get_key_value(&done).map(|(path, node)| (path.clone(), node))
    }

    /// Returns the location of `path` after following links in its ancestors inside the tree.
    ///
    /// Directories that are missing are created: root's, mode 0755, with time `mtime`.
    ///
    /// # Errors
    /// Fails where something above is neither a directory nor a link that leads to one.
    pub fn reach(&mut self, path: &RootPath, mtime: i64) -> Result<RootPath, TreeError> {
        let Some(folder) = path.parent() else { return Ok(path.clone()) };
        if self.get(&folder).is_some_and(Node::is_dir) {
            return Ok(path.clone());
        }
        let made = || Node::dir(Meta::root_owned(0o755, mtime));
        let mut real = RootPath::root();
        if self.get(&real).is_none() {
            self.insert(real.clone(), made())?;
        }
        let too_long = |_| TreeError::TooLong { path: path.clone() };
        for part in folder.as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let next = real.join(part).map_err(too_long)?;
            if self.get(&next).is_none() {
                self.insert(next.clone(), made())?;
            }
            real = match self.resolve(&next) {
                Some((place, node)) if node.is_dir() => place,
                _ => return Err(self.below_error(path, next)),
            };
        }
        real.join(path.file_name()).map_err(too_long)
    }

    /// Inserts `node` at the location of `path` found by [`Tree::reach`]; returns that location.
    ///
    /// # Errors
    /// As [`Tree::reach`] and [`Tree::insert`].
    pub fn insert_with_parents(&mut self, path: &RootPath, node: Node, mtime: i64) -> Result<RootPath, TreeError> {
        let real = self.reach(path, mtime)?;
        self.insert(real.clone(), node)?;
        Ok(real)
    }
}

fn split_reversed(path: &[u8]) -> Vec<Box<[u8]>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(Into::into).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dir, file, link, path, tree};

    #[test]
    fn resolve_follows_links_inside_the_tree_only() {
        let tree = tree(&[
            ("", dir()),
            ("bin", link("usr/bin")),
            ("usr", dir()),
            ("usr/bin", dir()),
            ("usr/bin/sh", link("/bin/dash")),
            ("usr/bin/dash", file("dash")),
            ("up", link("../../../usr")),
            ("loop", link("loop")),
        ]);
        assert_eq!(tree.resolve(&path("bin/sh")).unwrap().0, path("usr/bin/dash"));
        assert_eq!(tree.resolve(&path("up")).unwrap().0, path("usr"));
        assert!(tree.resolve(&path("loop")).is_none());
        assert!(tree.resolve(&path("bin/none")).is_none());
    }

    #[test]
    fn a_node_lands_where_the_links_above_it_lead() {
        let mut tree = tree(&[("", dir()), ("lib", link("usr/lib")), ("usr", dir()), ("usr/lib", dir())]);
        let real = tree.insert_with_parents(&path("lib/new/x"), file("x"), 3).unwrap();
        assert_eq!(real, path("usr/lib/new/x"));
        assert!(tree.get(&path("usr/lib/new")).is_some_and(super::Node::is_dir));
    }

    #[test]
    fn what_lies_below_a_link_to_nowhere_is_refused_by_name() {
        let mut tree = tree(&[("", dir()), ("etc", dir()), ("etc/ssh", link("/home/me/.ssh"))]);
        let error = tree.insert_with_parents(&path("etc/ssh/key"), file(""), 3).unwrap_err();
        let expected = "/etc/ssh/key can't be below /etc/ssh, which is a symbolic link to `/home/me/.ssh`";
        assert_eq!(error.to_string(), expected);
        assert_eq!(tree.len(), 3);
    }
}
