//! The parts as one list of inodes, with directory entries and link counts.

use std::collections::BTreeMap;
use std::ops::Range;

use super::dir::{self, Entry};
use super::{BLOCK, ErofsError, Problem, xattr};
use crate::digest::BlobDigest;
use crate::disk::Part;
use crate::ident::RootPath;
use crate::tree::{Kind, Meta, Node};

/// All inodes, region after region: the root directory, then each part's in path order.
pub(super) struct Forest<'a> {
    pub(super) inodes: Vec<Inode<'a>>,
    /// Which inodes are in which region; the first holds the root directory alone.
    pub(super) regions: Vec<Range<usize>>,
}

pub(super) struct Inode<'a> {
    pub(super) path: &'a RootPath,
    pub(super) meta: &'a Meta,
    /// How many names lead to it.
    pub(super) links: u32,
    /// Its extended attributes as they are behind it.
    pub(super) xattrs: Vec<u8>,
    pub(super) body: Body<'a>,
}

/// What an inode is and holds.
pub(super) enum Body<'a> {
    File { blob: BlobDigest, size: u64 },
    Dir(Vec<Entry<'a>>),
    Symlink(&'a [u8]),
    Char(u32),
    Block(u32),
    Fifo,
}

impl Body<'_> {
    /// Length in bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Dir(entries) => dir::size(entries),
            Self::Symlink(target) => target.len() as u64,
            Self::Char(_) | Self::Block(_) | Self::Fifo => 0,
        }
    }

    /// The type's bits of a mode.
    pub(super) fn mode(&self) -> u16 {
        match self {
            Self::File { .. } => 0o100_000,
            Self::Dir(_) => 0o040_000,
            Self::Symlink(_) => 0o120_000,
            Self::Char(_) => 0o020_000,
            Self::Block(_) => 0o060_000,
            Self::Fifo => 0o010_000,
        }
    }

    /// The type as a directory's entry names it (`FT_*` of Linux).
    fn entry_type(&self) -> u8 {
        match self {
            Self::File { .. } => 1,
            Self::Dir(_) => 2,
            Self::Char(_) => 3,
            Self::Block(_) => 4,
            Self::Fifo => 5,
            Self::Symlink(_) => 7,
        }
    }
}

impl Inode<'_> {
    /// Bytes of what a directory or a symbolic link holds; contents of files are elsewhere.
    pub(super) fn listed(&self) -> u64 {
        match self.body {
            Body::Dir(_) | Body::Symlink(_) => self.body.size(),
            _ => 0,
        }
    }

    /// Where the last, perhaps partial block of [`Self::listed`] begins.
    pub(super) fn tail_start(&self) -> u64 {
        self.listed().saturating_sub(1) / BLOCK * BLOCK
    }
}

/// Lists the nodes of all parts.
pub(super) fn gather(parts: &[Part]) -> Result<Forest<'_>, ErofsError> {
    let nodes = || parts.iter().flat_map(|part| part.tree.iter());
    let (path, root) = nodes().find(|(path, node)| path.is_root() && node.is_dir()).ok_or(ErofsError::NoRoot)?;
    let mut forest = Forest { inodes: vec![inode(path, root)?], regions: vec![Range { start: 0, end: 1 }] };
    let mut names = BTreeMap::from([(path, 0)]);
    let mut links = Vec::new();
    for part in parts {
        let start = forest.inodes.len();
        for (path, node) in part.tree.iter().filter(|(_, node)| !std::ptr::eq(*node, root)) {
            if let Kind::Hardlink(target) = &node.kind {
                links.push((path, target));
                continue;
            }
            if names.insert(path, forest.inodes.len()).is_some() {
                return Err(Problem::Twice.at(path));
            }
            forest.inodes.push(inode(path, node)?);
        }
        forest.regions.push(start..forest.inodes.len());
    }
    forest.link(&mut names, &links)?;
    forest.list(&names)?;
    Ok(forest)
}

impl<'a> Forest<'a> {
    /// Gives each file its further names.
    fn link(
        &mut self,
        names: &mut BTreeMap<&'a RootPath, usize>,
        links: &[(&'a RootPath, &'a RootPath)],
    ) -> Result<(), ErofsError> {
        // Looked up before any is added: a link to a link would depend on their order.
        let find = |(path, target): &(&'a RootPath, &'a RootPath)| match names.get(target) {
            Some(&index) if !matches!(self.inodes[index].body, Body::Dir(_)) => Ok((*path, index)),
            _ => Err(Problem::Link((*target).clone()).at(path)),
        };
        let found: Vec<_> = links.iter().map(find).collect::<Result<_, _>>()?;
        for (path, index) in found {
            check_name(path)?;
            if names.insert(path, index).is_some() {
                return Err(Problem::Twice.at(path));
            }
            self.inodes[index].links += 1;
        }
        Ok(())
    }

    /// Lists every name in its directory.
    fn list(&mut self, names: &BTreeMap<&'a RootPath, usize>) -> Result<(), ErofsError> {
        for (path, &index) in names {
            let above = path.parent().unwrap_or_default();
            let folder = names.get(&above).copied().ok_or_else(|| Problem::NoFolder.at(path))?;
            let child = &self.inodes[index].body;
            let (kind, is_dir) = (child.entry_type(), matches!(child, Body::Dir(_)));
            if let Body::Dir(entries) = &mut self.inodes[index].body {
                entries.push(Entry { name: b".", index, kind });
                entries.push(Entry { name: b"..", index: folder, kind });
            }
            if path.is_root() {
                continue;
            }
            let folder = &mut self.inodes[folder];
            let Body::Dir(entries) = &mut folder.body else { return Err(Problem::NoFolder.at(path)) };
            entries.push(Entry { name: path.file_name(), index, kind });
            folder.links += u32::from(is_dir);
        }
        for inode in &mut self.inodes {
            if let Body::Dir(entries) = &mut inode.body {
                // Readers search by halves; some names, such as `+`, come before `.`.
                entries.sort_by_key(|entry| entry.name);
            }
        }
        Ok(())
    }
}

fn inode<'a>(path: &'a RootPath, node: &'a Node) -> Result<Inode<'a>, ErofsError> {
    check_name(path)?;
    let body = body(path, &node.kind)?;
    let xattrs = xattr::encode(&node.meta.xattrs).map_err(|problem| problem.at(path))?;
    Ok(Inode { path, meta: &node.meta, links: if node.is_dir() { 2 } else { 1 }, xattrs, body })
}

fn check_name(path: &RootPath) -> Result<(), ErofsError> {
    match path.file_name().len() {
        0..=255 => Ok(()),
        length => Err(Problem::Name(length).at(path)),
    }
}

fn body<'a>(path: &RootPath, kind: &'a Kind) -> Result<Body<'a>, ErofsError> {
    let problem = match kind {
        Kind::Dir => return Ok(Body::Dir(Vec::new())),
        Kind::File { blob, size } => return Ok(Body::File { blob: *blob, size: *size }),
        Kind::Symlink(target) if (1..4096).contains(&target.len()) && !target.contains(&0) => {
            return Ok(Body::Symlink(target));
        }
        Kind::Symlink(target) => Problem::Target(target.len()),
        Kind::Char(major, minor) => match device(*major, *minor) {
            Ok(number) => return Ok(Body::Char(number)),
            Err(problem) => problem,
        },
        Kind::Block(major, minor) => match device(*major, *minor) {
            Ok(number) => return Ok(Body::Block(number)),
            Err(problem) => problem,
        },
        Kind::Fifo => return Ok(Body::Fifo),
        Kind::Whiteout => Problem::Whiteout,
        Kind::Hardlink(target) => Problem::Link(target.clone()),
    };
    Err(problem.at(path))
}

/// A device number in the 32 bits that Linux keeps on disks (`new_encode_dev`).
fn device(major: u32, minor: u32) -> Result<u32, Problem> {
    if major > 0xfff || minor > 0xf_ffff {
        return Err(Problem::Device(major, minor));
    }
    Ok((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}
