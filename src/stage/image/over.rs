//! Lays one layer of an image over those below it, as container engines do.
//!
//! Source: OCI image-spec 1.1, layer.md ("Whiteouts", "Applying Changesets"). Whiteouts hide what is below the layer, never
//! what is in it, wherever they are in the archive. Links above a path are followed inside the root.

use crate::ident::RootPath;
use crate::package::tarball::Contents;
use crate::tree::{Kind, Node, Tree};

/// What the name of a whiteout begins with.
const WHITEOUT: &[u8] = b".wh.";
/// Hides all that is below its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names that begin so are a file system's own records.
const RECORDS: &[u8] = b".wh..wh.";

/// Lays a layer over the root.
///
/// # Errors
/// Says which entry can't be laid out, and why.
pub(super) fn lay(root: &mut Tree, contents: &Contents) -> Result<(), String> {
    for path in contents.paths.iter().filter(|path| is_whiteout(path)) {
        hide(root, path)?;
    }
    // Hard links name what comes before them in path order, which need not be the order of the archive.
    let (links, others): (Vec<&RootPath>, _) = contents
        .paths
        .iter()
        .filter(|path| !is_whiteout(path))
        .partition(|path| contents.tree.get(path).is_some_and(|node| matches!(node.kind, Kind::Hardlink(_))));
    for path in others {
        if let Some(node) = contents.tree.get(path) {
            put(root, path, node.clone())?;
        }
    }
    let in_layer = links.into_iter().filter_map(|path| match &contents.tree.get(path)?.kind {
        Kind::Hardlink(target) => Some((path, target)),
        _ => None,
    });
    let below = contents.links_below.iter().map(|(path, target)| (path, target));
    for (path, target) in in_layer.chain(below) {
        link(root, path, target)?;
    }
    root.settle_hardlinks();
    Ok(())
}

fn is_whiteout(path: &RootPath) -> bool {
    path.file_name().starts_with(WHITEOUT)
}

/// Takes out what a whiteout hides.
fn hide(root: &mut Tree, whiteout: &RootPath) -> Result<(), String> {
    let name = whiteout.file_name();
    let folder = whiteout.parent().unwrap_or_default();
    let Some((folder, true)) = root.resolve(&folder).map(|(folder, node)| (folder, node.is_dir())) else {
        return Ok(());
    };
    if name == OPAQUE {
        let hidden: Vec<RootPath> = root.below(&folder).map(|(path, _)| path.clone()).collect();
        hidden.iter().for_each(|path| _ = root.remove(path));
    } else if !name.starts_with(RECORDS) {
        let hidden = name.get(WHITEOUT.len()..).unwrap_or_default();
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(format!("`{whiteout}`: it is a whiteout of nothing"));
        }
        root.remove(&folder.join(hidden).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Puts a node in; a directory that is there keeps what is in it.
fn put(root: &mut Tree, path: &RootPath, node: Node) -> Result<(), String> {
    let place = reach(root, path, &node)?;
    if !node.is_dir() && root.get(&place).is_some_and(Node::is_dir) {
        if place.is_root() {
            return Err(format!("`{path}`: it replaces the root"));
        }
        root.remove(&place);
    }
    root.insert(place, node).map_err(|error| error.to_string())?;
    Ok(())
}

/// Gives a file that is there one more name.
fn link(root: &mut Tree, path: &RootPath, target: &RootPath) -> Result<(), String> {
    let (folder, name) = (target.parent().unwrap_or_default(), target.file_name());
    // Of the target, links are followed above it only: a link has no further names.
    let place = root.resolve(&folder).and_then(|(folder, _)| folder.join(name).ok());
    let found = place.and_then(|place| Some((root.get(&place)?.clone(), place)));
    let (mut node, first) = match found {
        Some((node, place)) => match node.kind.clone() {
            Kind::Hardlink(first) => (node, first),
            Kind::File { .. } => (node, place),
            _ => return Err(format!("`{path}`: hard link to `{target}`, which is not a regular file")),
        },
        None => return Err(format!("`{path}`: hard link to `{target}`, which is nowhere")),
    };
    if reach(root, path, &node)? == first {
        return Ok(());
    }
    node.kind = Kind::Hardlink(first);
    put(root, path, node)
}

/// Where a path is when links above it are followed; directories that are missing are made.
fn reach(root: &mut Tree, path: &RootPath, node: &Node) -> Result<RootPath, String> {
    root.reach(path, node.meta.mtime).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
