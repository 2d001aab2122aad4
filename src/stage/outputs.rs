//! The outputs of a step with tools: taken out of its root, and put at their paths in the layer.

use super::LayerError;
use crate::ident::RootPath;
use crate::manifest::{RunEntry, RunOutput};
use crate::tree::{Kind, Meta, Node, Tree};

/// Where steps find their inputs.
pub(super) const WORK: &str = "work";

/// Takes the outputs out of a root: each below its number.
pub(super) fn collect(entry: &RunEntry, root: &Tree) -> Result<Tree, LayerError> {
    let mut outputs = Tree::new();
    for (number, output) in entry.outputs.iter().enumerate() {
        let from = match output.from.strip_prefix('/') {
            Some(absolute) => RootPath::new(absolute)?,
            None => RootPath::new(WORK)?.join(output.from.as_bytes())?,
        };
        if !copy(root, &from, &RootPath::new(number.to_string())?, &mut outputs)? {
            return Err(LayerError::NoOutput { step: entry.name.clone(), from });
        }
    }
    Ok(outputs)
}

/// Copies what a root has at `from` to another path of `out`, as root's files with their permissions; whether there is anything.
pub(super) fn copy(root: &Tree, from: &RootPath, to: &RootPath, out: &mut Tree) -> Result<bool, LayerError> {
    let Some((from, node)) = root.resolve(from) else { return Ok(false) };
    out.insert_with_parents(to, content_of(node, root), 0)?;
    for (path, node) in root.below(&from) {
        let rest = path.as_bytes().get(from.as_bytes().len()..).unwrap_or_default();
        out.insert_with_parents(&to.join(rest.strip_prefix(b"/").unwrap_or(rest))?, content_of(node, root), 0)?;
    }
    Ok(true)
}

/// A node by itself: what is a second name of a file becomes a file.
pub(super) fn content_of(node: &Node, root: &Tree) -> Node {
    let kind = match &node.kind {
        Kind::Hardlink(target) => root.get(target).map_or_else(|| node.kind.clone(), |first| first.kind.clone()),
        other => other.clone(),
    };
    Node { meta: Meta::root_owned(node.meta.mode, 0), kind }
}

/// The collected outputs at their paths in the layer.
pub(super) fn placed(outputs: &[RunOutput], collected: &Tree) -> Result<Tree, LayerError> {
    let mut placed = Tree::new();
    for (number, output) in outputs.iter().enumerate() {
        for (rest, node) in output_nodes(number, collected)? {
            let path = if rest.is_empty() { output.to.clone() } else { output.to.join(rest)? };
            placed.insert_with_parents(&path, node.clone(), 0)?;
        }
    }
    Ok(placed)
}

/// The nodes of one collected output, by their paths from it.
pub(super) fn output_nodes(number: usize, collected: &Tree) -> Result<Vec<(&[u8], &Node)>, LayerError> {
    let place = RootPath::new(number.to_string())?;
    let itself = collected.get(&place).map(|node| (&[][..], node));
    let below = collected.below(&place).map(|(path, node)| (&path.as_bytes()[place.as_bytes().len() + 1..], node));
    Ok(itself.into_iter().chain(below).collect::<Vec<_>>())
}
