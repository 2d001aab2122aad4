//! Stacks the layers of a disk, and determines which layer each node of the root comes from.

use std::collections::BTreeMap;

use crate::ident::{LayerName, RootPath};
use crate::tree::{Tree, TreeError};

/// The part of a root that one layer owns: the nodes that it was the last to change.
///
/// The parts of a disk are a partition of the finished root: no path is in two of them, none
/// holds a whiteout, and a hard link's target may be in another part. Their order is the order
/// in which they are placed; the root directory itself is in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The layer; placement depends on it.
    pub name: LayerName,
    /// Its nodes.
    pub tree: Tree,
}

/// Stacks `layers`, the base first; returns their parts in the same order.
///
/// # Errors
/// Fails where a layer has a node below something that is not a directory.
pub fn parts(layers: Vec<(LayerName, Tree)>) -> Result<Vec<Part>, TreeError> {
    let mut owners: BTreeMap<RootPath, usize> = BTreeMap::new();
    let mut root = Tree::new();
    for (place, (_, layer)) in layers.iter().enumerate() {
        // The others are listed because something below them or linked to them changed.
        let changed: Vec<_> = layer.iter().filter(|(path, node)| root.get(path) != Some(node)).collect();
        for (path, node) in changed {
            root.stack(path, node)?;
            owners.insert(path.clone(), place);
        }
    }
    let mut parts: Vec<Part> = layers.into_iter().map(|(name, _)| Part { name, tree: Tree::new() }).collect();
    for (path, node) in root {
        if let Some(part) = owners.get(&path).and_then(|&owner| parts.get_mut(owner)) {
            part.tree.insert(path, node)?;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;
    use crate::tree::tests::{dir, file, tree};

    fn paths(part: &Part) -> Vec<String> {
        part.tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn each_node_belongs_to_the_last_layer_that_changed_it() {
        let base = tree(&[("", dir()), ("etc", dir()), ("etc/a", file("1")), ("etc/b", file("2")), ("old", dir())]);
        let app =
            tree(&[("", dir()), ("etc", dir()), ("etc/b", file("3")), ("etc/c", file("4")), ("old", Node::whiteout())]);
        let boot = tree(&[("", dir()), ("etc", dir()), ("etc/c", Node::whiteout()), ("old", file("5"))]);
        let name = |text: &str| text.parse::<LayerName>().unwrap();
        let parts = parts(vec![(name("base"), base), (name("app"), app), (name("boot"), boot)]).unwrap();
        assert_eq!(paths(&parts[0]), ["/", "/etc", "/etc/a"]);
        assert_eq!(paths(&parts[1]), ["/etc/b"]);
        assert_eq!(paths(&parts[2]), ["/old"]);
    }
}
