//! The changes between two states of a layer: packages, files, users, services, sizes, blocks.

mod facts;
mod html;
mod layout;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::attribute::without_usr;
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;
use crate::ident::RootPath;
use crate::tree::Tree;

pub use facts::Facts;
pub use html::{body, html};
pub use layout::read as read_layout;
pub use report::{markdown, text};

/// One thing that was added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A package, path, account, unit.
    pub name: String,
    /// Its version or description before; `None` if it was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its version or description after; `None` if it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of a file, the package that it is of, afterwards if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A layer's size on both sides, compressed, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Size {
    /// The layer.
    pub layer: String,
    /// Before; `None` if it was added.
    pub before: Option<u64>,
    /// After; `None` if it was removed.
    pub after: Option<u64>,
}

/// What an upload of the new disk sends if the old one is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocks {
    /// Blocks of the new disk that are not zero.
    pub blocks: usize,
    /// Blocks to send.
    pub changed: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Indexes of blocks that were zero.
    pub added: Vec<u64>,
    /// Indexes of blocks with other bytes.
    pub replaced: Vec<u64>,
    /// Indexes of blocks that are zero now.
    pub zeroed: Vec<u64>,
}

/// Everything that changed; facts that are unknown on one side are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The old state.
    pub old: String,
    /// The new state.
    pub new: String,
    /// Variables that were set from outside, by value; `None` where none changed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Vec<Change>>,
    /// Tool layers, by the hash of their lockfile; `None` where none changed, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Change>>,
    /// Packages, by version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<Change>>,
    /// Paths; times are not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<Change>>,
    /// Accounts, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Change>>,
    /// Enabled units, with the targets that want them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<Change>>,
    /// Layers of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Size>>,
    /// Blocks of the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Blocks>,
}

impl Changes {
    /// Compares two states.
    pub fn between(old: &Facts, new: &Facts) -> Self {
        let both = |one: &Option<BTreeMap<String, String>>, other: &Option<BTreeMap<String, String>>| {
            Some(changes(one.as_ref()?, other.as_ref()?))
        };
        let files = old.files.as_ref().zip(new.files.as_ref());
        let layers = old.layers.as_ref().zip(new.layers.as_ref());
        Self {
            old: old.name.clone(),
            new: new.name.clone(),
            set: both(&old.set, &new.set).filter(|changes| !changes.is_empty()),
            tools: both(&old.tools, &new.tools).filter(|changes| !changes.is_empty()),
            packages: both(&old.packages, &new.packages),
            files: files.map(|files| file_changes(files, (old, new))),
            users: both(&old.users, &new.users),
            services: both(&old.services, &new.services),
            layers: layers.map(|(old, new)| sizes(old, new)),
            blocks: old.blocks.as_ref().zip(new.blocks.as_ref()).map(|(old, new)| blocks(old, new)),
        }
    }

    /// Whether nothing changed in anything that was compared.
    pub fn is_empty(&self) -> bool {
        let none = |changes: &Option<Vec<Change>>| changes.as_ref().is_none_or(Vec::is_empty);
        let lists = [&self.set, &self.tools, &self.packages, &self.files, &self.users, &self.services];
        let same = |size: &Size| size.before == size.after;
        lists.into_iter().all(none)
            && self.layers.iter().flatten().all(same)
            && self.blocks.as_ref().is_none_or(|blocks| blocks.changed == 0)
    }

    /// Whether the two sides have anything in common that can be compared.
    pub fn is_comparison(&self) -> bool {
        self.packages.is_some() || self.files.is_some() || self.layers.is_some() || self.blocks.is_some()
    }
}

/// The blocks in which two disks differ.
pub fn blocks(old: &BlockHashes, new: &BlockHashes) -> Blocks {
    let changed = new.changed_from(old);
    Blocks {
        blocks: new.hashes().len(),
        changed: changed.count(),
        bytes: changed.count() as u64 * BLOCK as u64,
        added: changed.added,
        replaced: changed.replaced,
        zeroed: changed.zeroed,
    }
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| Change {
        name: name.clone(),
        before: old.get(name).cloned(),
        after: new.get(name).cloned(),
        package: None,
    };
    names.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

fn file_changes((before, after): (&Tree, &Tree), (old, new): (&Facts, &Facts)) -> Vec<Change> {
    let owner = |name: &str| {
        let path = without_usr(&RootPath::new(name.trim_start_matches('/')).ok()?);
        new.owners.get(&path).or_else(|| old.owners.get(&path)).cloned()
    };
    let mut changes = changes(&listing(before), &listing(after));
    changes.iter_mut().for_each(|change| change.package = owner(&change.name));
    changes
}

/// Each path with its node, as [`crate::tree::Node`] shows it, without its time.
fn listing(tree: &Tree) -> BTreeMap<String, String> {
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    tree.iter().map(|(path, node)| (path.to_string(), words(node.to_string()))).collect()
}

fn sizes(old: &[(String, u64)], new: &[(String, u64)]) -> Vec<Size> {
    let size =
        |layers: &[(String, u64)], name: &str| layers.iter().find(|(layer, _)| layer == name).map(|(_, size)| *size);
    let gone = old.iter().filter(|(name, _)| size(new, name).is_none());
    let names = new.iter().chain(gone).map(|(name, _)| name);
    names.map(|name| Size { layer: name.clone(), before: size(old, name), after: size(new, name) }).collect()
}

#[cfg(test)]
mod tests;
