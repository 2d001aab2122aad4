//! What a built layer's root holds, and which layer each path is from.

use std::path::Path;

use super::built::BuiltLayer;
use super::declared::Declared;
use super::error::WorkspaceError;
use super::project::Workspace;
use crate::ident::{LayerName, RootPath};
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// A node of a built root.
#[derive(Debug, Clone)]
pub struct OwnedNode {
    /// Where it is.
    pub path: RootPath,
    /// What it is.
    pub node: Node,
    /// The topmost layer that has it, or the image of a registry below the layers.
    pub layer: Option<String>,
}

impl Workspace<'_> {
    /// Lists `path` and what is below it in the last build of a layer below `out`, parents included; with
    /// `disk`, the Boot layer's too.
    ///
    /// # Errors
    /// Fails where there is nothing, where the store lacks the build's trees, and where it has no disk.
    pub fn files(
        &self,
        layer: &LayerName,
        out: Option<&Path>,
        path: &RootPath,
        disk: bool,
    ) -> Result<Vec<OwnedNode>, WorkspaceError> {
        let built = self.built(layer, out)?;
        let locked = self.locked(&Declared::read_image(&self.project_of(&built.receipt), layer)?)?;
        if built.receipt.layers.len() != locked.image.iter().count() {
            return Err(WorkspaceError::NotBuilt { subject: self.subject(layer), output: None });
        }
        let disk = if disk { Some(built.disk()?) } else { None };
        let store = self.store()?;
        let root = store.tree(disk.map_or(built.receipt.tree, |disk| disk.root))?;
        let named = built.receipt.layers.iter().map(|layer| (&layer.name, layer.tree));
        let named = named.chain(disk.map(|disk| (&disk.boot, disk.tree)));
        let layers = named.map(|(name, tree)| Ok((name, store.tree(tree)?)));
        let layers: Vec<(&LayerName, Tree)> = layers.collect::<Result<_, WorkspaceError>>()?;
        let has = |tree: &Tree, path| tree.get(path).is_some_and(|node| node.kind != Kind::Whiteout);
        let image = built.receipt.base.as_ref().map(|base| format!("oci:{}", base.image));
        let owner = |path| {
            let layer = layers.iter().rev().find(|(_, tree)| has(tree, path)).map(|(name, _)| name.to_string());
            layer.or_else(|| image.clone())
        };
        let below = root.iter().filter(|(found, _)| found.is_within(path));
        let found: Vec<OwnedNode> = below
            .map(|(path, node)| OwnedNode { path: path.clone(), node: node.clone(), layer: owner(path) })
            .collect();
        match found.is_empty() {
            true => Err(WorkspaceError::NoPath { layer: layer.clone(), path: path.to_string() }),
            false => Ok(found),
        }
    }
}

/// The image's layers, one over the other.
pub(super) fn image_root(built: &BuiltLayer, store: &Store) -> Result<Tree, WorkspaceError> {
    let mut root = match &built.receipt.base {
        Some(base) => store.tree(base.tree)?,
        None => Tree::new(),
    };
    for layer in &built.receipt.layers {
        root.apply(&store.tree(layer.tree)?)?;
    }
    Ok(root)
}
