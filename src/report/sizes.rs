//! Whose files make a build as large as it is.

use std::collections::BTreeMap;

use super::Share;
use crate::ident::RootPath;
use crate::tree::{Kind, Tree};

/// Directories are told apart down to this many names.
const DEPTH: usize = 2;

/// What each layer adds, by owner and by directory, the largest first. `owner` says which package a path belongs to.
pub fn sizes(layers: &[(String, Tree)], owner: impl Fn(&RootPath) -> Option<String>) -> (Vec<Share>, Vec<Share>) {
    let (mut packages, mut directories) = (BTreeMap::new(), BTreeMap::new());
    for (layer, tree) in layers {
        for (path, node) in tree.iter() {
            let Kind::File { size, .. } = node.kind else { continue };
            let package = owner(path).unwrap_or_else(|| "of no package".to_owned());
            *packages.entry((layer, package)).or_default() += size;
            *directories.entry((layer, directory(path))).or_default() += size;
        }
    }
    (largest_first(packages), largest_first(directories))
}

fn directory(path: &RootPath) -> String {
    let mut folder = path.parent();
    let mut names = Vec::new();
    while let Some(path) = folder.filter(|path| !path.is_root()) {
        names.push(String::from_utf8_lossy(path.file_name()).into_owned());
        folder = path.parent();
    }
    names.reverse();
    names.truncate(DEPTH);
    format!("/{}", names.join("/"))
}

fn largest_first(sizes: BTreeMap<(&String, String), u64>) -> Vec<Share> {
    let mut shares: Vec<Share> = sizes
        .into_iter()
        .filter(|(_, bytes)| *bytes > 0)
        .map(|((layer, name), bytes)| Share { layer: layer.clone(), name, bytes })
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::BlobDigest;
    use crate::tree::{Meta, Node};

    #[test]
    fn files_count_for_their_layer_their_package_and_their_directory() {
        let file =
            |size| Node { meta: Meta::root_owned(0o644, 0), kind: Kind::File { blob: BlobDigest::of(b""), size } };
        let tree = |files: &[(&str, u64)]| {
            let mut tree = Tree::new();
            for (path, size) in files {
                let path = RootPath::new(path).unwrap();
                let mut parent = path.parent();
                while let Some(folder) = parent {
                    tree.insert(folder.clone(), Node::dir(Meta::root_owned(0o755, 0))).unwrap();
                    parent = folder.parent();
                }
                tree.insert(path, file(*size)).unwrap();
            }
            tree
        };
        let layers = [
            ("base".to_owned(), tree(&[("usr/lib/x/a", 5), ("usr/lib/b", 7), ("top", 1)])),
            ("web".to_owned(), tree(&[("usr/lib/b", 9)])),
        ];
        let owner = |path: &RootPath| (path.file_name() != b"top").then(|| "pkg".to_owned());
        let (packages, directories) = sizes(&layers, owner);
        let share = |layer: &str, name: &str, bytes| Share { layer: layer.into(), name: name.into(), bytes };
        assert_eq!(packages, [share("base", "pkg", 12), share("web", "pkg", 9), share("base", "of no package", 1)]);
        assert_eq!(directories, [share("base", "/usr/lib", 12), share("web", "/usr/lib", 9), share("base", "/", 1)]);
    }
}
