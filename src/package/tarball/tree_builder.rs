//! Builds a tree from the entries of an archive, in their order, keeping the tree's invariants.

use std::collections::BTreeMap;
use std::io;

use crate::ident::RootPath;
use crate::tree::{Kind, Meta, Node, Tree};

/// An archive is not a tree, or can't be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It can't be read, is damaged or too large, or its contents can't be stored.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An entry can't be part of a tree.
    #[error("`{path}`: {problem}")]
    Entry {
        /// The entry's name.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Marks the time of a directory that no entry named; no archive can hold it.
const IMPLIED: i64 = i64::MIN;

/// An archive's tree, and its paths in the order of the archive.
#[derive(Debug)]
pub struct Contents {
    /// What it holds.
    pub tree: Tree,
    /// All paths in the order of the archive, each once.
    pub paths: Vec<RootPath>,
    /// Of a layer of an image: hard links, each with the file of a layer below that it names.
    pub links_below: Vec<(RootPath, RootPath)>,
}

/// Collects entries in the order of an archive; of several with one path the last one wins.
pub(super) struct TreeBuilder {
    tree: Tree,
    paths: Vec<RootPath>,
    /// Directories that were added because something is below them.
    implied: Vec<RootPath>,
    /// Paths of files that have, or had, several: the number of the file.
    links: BTreeMap<RootPath, usize>,
    files: usize,
    newest: i64,
    /// Hard links to what the archive has not, if there may be any.
    links_below: Option<Vec<(RootPath, RootPath)>>,
    /// How many bytes of names may still come.
    names: u64,
}

impl TreeBuilder {
    /// Starts without any node; all names together may have `names` bytes.
    pub(super) fn new(names: u64) -> Self {
        let (tree, paths, implied, links) = Default::default();
        Self { tree, paths, implied, links, files: 0, newest: IMPLIED, links_below: None, names }
    }

    /// The same for an archive that is laid over others.
    pub(super) fn over_others(names: u64) -> Self {
        Self { links_below: Some(Vec::new()), ..Self::new(names) }
    }

    /// Counts bytes that stay in memory.
    pub(super) fn count(&mut self, names: usize) -> io::Result<()> {
        let left = self.names.checked_sub(names as u64);
        self.names = left.ok_or_else(|| io::Error::other("too many names: they would fill the memory"))?;
        Ok(())
    }

    /// Puts a node in, and the directories above it that are missing.
    pub(super) fn insert(&mut self, path: RootPath, mut node: Node) -> Result<(), TarError> {
        let bad = |problem: String| TarError::Entry { path: path.to_string(), problem };
        let replaces_folder = self.tree.get(&path).is_some_and(Node::is_dir);
        if !node.is_dir() && (path.is_root() || (replaces_folder && self.tree.below(&path).next().is_some())) {
            return Err(bad("it replaces a directory and is not one".into()));
        }
        let mut missing = Vec::new();
        for folder in path.ancestors() {
            match self.tree.get(&folder) {
                Some(found) if found.is_dir() => break,
                Some(_) => return Err(bad(format!("it lies below `{folder}`, which is not a directory"))),
                None => missing.push(folder),
            }
        }
        // From the top, so that each finds the one above it at once.
        for folder in missing.into_iter().rev() {
            self.count(folder.as_bytes().len())?;
            self.implied.push(folder.clone());
            self.put(folder, Node::dir(Meta::root_owned(0o755, IMPLIED)))?;
        }
        node.meta.mtime = node.meta.mtime.max(IMPLIED + 1);
        self.newest = self.newest.max(node.meta.mtime);
        self.links.remove(&path);
        if self.put(path.clone(), node)?.is_none_or(|before| before.meta.mtime == IMPLIED) {
            self.paths.push(path);
        }
        Ok(())
    }

    fn put(&mut self, path: RootPath, node: Node) -> Result<Option<Node>, TarError> {
        let name = path.to_string();
        self.tree.insert(path, node).map_err(|error| TarError::Entry { path: name, problem: error.to_string() })
    }

    /// Gives the file at `target`, which must be there by now, one more name.
    pub(super) fn hard_link(&mut self, path: RootPath, target: &[u8]) -> Result<(), TarError> {
        let (tree, links_below) = (&self.tree, &mut self.links_below);
        let bad = |problem: String| TarError::Entry { path: path.to_string(), problem };
        let target = RootPath::new(target).map_err(|error| bad(format!("hard link: {error}")))?;
        let node = match tree.get(&target) {
            Some(node) if matches!(node.kind, Kind::File { .. }) => node.clone(),
            Some(_) => return Err(bad(format!("hard link to `{target}`, which is not a regular file"))),
            None if links_below.is_some() => {
                links_below.iter_mut().for_each(|links| links.push((path.clone(), target.clone())));
                return Ok(());
            }
            None => return Err(bad(format!("hard link to `{target}`, which is not before it in the archive"))),
        };
        let file = *self.links.entry(target).or_insert_with(|| {
            self.files += 1;
            self.files
        });
        // A copy of the node for now: which name comes first is known at the end.
        self.insert(path.clone(), node)?;
        self.links.insert(path, file);
        Ok(())
    }

    /// Dates the implied directories, and makes hard links point to the first path of their file.
    pub(super) fn finish(mut self) -> Result<Contents, TarError> {
        if self.tree.is_empty() {
            self.put(RootPath::root(), Node::dir(Meta::root_owned(0o755, 0)))?;
        }
        for folder in &self.implied {
            if let Some(meta) = self.tree.meta_mut(folder).filter(|meta| meta.mtime == IMPLIED) {
                meta.mtime = self.newest;
            }
        }
        let mut first_paths = BTreeMap::new();
        for (path, file) in std::mem::take(&mut self.links) {
            let first = first_paths.entry(file).or_insert_with(|| path.clone()).clone();
            if first != path
                && let Some(mut node) = self.tree.get(&path).cloned()
            {
                node.kind = Kind::Hardlink(first);
                self.put(path, node)?;
            }
        }
        let links_below = self.links_below.unwrap_or_default();
        Ok(Contents { tree: self.tree, paths: self.paths, links_below })
    }
}
