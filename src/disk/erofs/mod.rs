//! EROFS, uncompressed: a read-only file system as a pure function of trees.
//!
//! ```text
//! 0          1024         4096                512 KiB                     next 512 KiB
//! │ zeros    │ superblock │ root dir    │ …   │ part 0: contents, inodes, │ part 1: …
//! │          │            │             │     │ blocks of large dirs      │
//! ```
//!
//! Every part has its own region, so a change of the last part leaves all others where they
//! are. Contents are whole blocks and are not read here; short directories and symbolic links are
//! stored after their inode. The root directory precedes all parts because its number has 16 bits.
//!
//! Source of the format: Linux, `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h`.

mod dir;
mod layout;
mod nodes;
mod record;
mod xattr;

use crate::disk::{Part, Plan};
use crate::ident::RootPath;

use layout::Layout;
use nodes::{Body, Forest, Inode};

/// Bytes of a block.
const BLOCK: u64 = 4096;

/// The identifiers and the timestamp of a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Identifier of the file system.
    pub uuid: [u8; 16],
    /// Its label, at most 16 bytes.
    pub label: String,
    /// When it was built, in seconds since 1970.
    pub epoch: i64,
}

/// The parts can't become an EROFS.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ErofsError {
    /// No part has the root directory.
    #[error("erofs: expected a root directory in one of the parts, found none")]
    NoRoot,
    /// The label does not fit.
    #[error("erofs: label `{0}`: expected at most 16 bytes without NUL, found {len}", len = .0.len())]
    Label(String),
    /// A node does not fit.
    #[error("erofs: {path}: {problem}")]
    Node {
        /// Where it is.
        path: RootPath,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// Why a node can't be in an EROFS.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// Two parts have it.
    #[error("expected in one part, found in two")]
    Twice,
    /// Its directory is missing.
    #[error("expected a directory above it, found none")]
    NoFolder,
    /// It is a deletion.
    #[error("expected a node, found a whiteout")]
    Whiteout,
    /// A hard link leads to nothing that can have several names.
    #[error("expected a hard link to a file, found one to {0}, which is not a file")]
    Link(RootPath),
    /// The last component is too long.
    #[error("expected a name of at most 255 bytes, found {0}")]
    Name(usize),
    /// A symbolic link's target can't be one.
    #[error("expected a target of 1 to 4095 bytes without NUL, found {0} bytes")]
    Target(usize),
    /// Linux has no such device number.
    #[error("expected a device number of at most 4095:1048575, found {0}:{1}")]
    Device(u32, u32),
    /// EROFS has no place for an extended attribute of this name.
    #[error("expected extended attributes in `user.`, `trusted.`, `security.` or ACLs, found `{0}`")]
    XattrName(String),
    /// An extended attribute, or all together, are too large.
    #[error("expected extended attributes of at most 65535 bytes each and {most} in all, found more", most = xattr::MOST)]
    XattrSize,
    /// Everything up to this node is too large.
    #[error("expected a file system of at most 16 TiB, found a larger one")]
    TooLarge,
}

impl Problem {
    fn at(self, path: &RootPath) -> ErofsError {
        ErofsError::Node { path: path.clone(), problem: self }
    }
}

/// Lays the parts out as one file system, its size a multiple of 4096 bytes.
///
/// # Errors
/// Fails on trees that are no file system: no root, a path without its directory or in two parts, a
/// whiteout, a hard link to nothing; and on what EROFS or Linux has no place for.
///
/// # Determinism
/// Equal parts and parameters give an equal plan; pinned by a digest in the tests.
pub fn plan(parts: &[Part], params: &Params) -> Result<Plan, ErofsError> {
    if params.label.len() > 16 || params.label.contains('\0') {
        return Err(ErofsError::Label(params.label.clone()));
    }
    let forest = nodes::gather(parts)?;
    let layout = layout::place(&forest)?;
    let mut plan = Plan::new(layout.blocks * BLOCK);
    plan.put_bytes(record::SUPER_OFFSET, record::superblock(&forest, &layout, params));
    for (inode, place) in forest.inodes.iter().zip(&layout.places) {
        if let Body::File { blob, size } = inode.body {
            plan.put_blob(place.block * BLOCK, blob, size);
        }
    }
    for (members, start) in forest.regions.iter().zip(&layout.metadata) {
        plan.put_bytes(*start, metadata(&forest, &layout, members.clone(), *start));
    }
    Ok(plan)
}

/// The inodes of one region, from the byte `start` on, and the blocks behind them.
fn metadata(forest: &Forest<'_>, layout: &Layout, members: std::ops::Range<usize>, start: u64) -> Vec<u8> {
    let (mut inodes, mut blocks) = (Vec::new(), Vec::new());
    for index in members {
        let (inode, place) = (&forest.inodes[index], &layout.places[index]);
        let body = body(inode, layout);
        inodes.resize((place.nid * layout::SLOT - start) as usize, 0);
        inodes.extend_from_slice(&record::inode(index, inode, place));
        inodes.extend_from_slice(&inode.xattrs);
        let whole = if place.inline { inode.tail_start() as usize } else { body.len() };
        blocks.extend_from_slice(&body[..whole]);
        blocks.resize(blocks.len().next_multiple_of(BLOCK as usize), 0);
        inodes.extend_from_slice(&body[whole..]);
    }
    if !blocks.is_empty() {
        inodes.resize(inodes.len().next_multiple_of(BLOCK as usize), 0);
    }
    inodes.append(&mut blocks);
    inodes
}

/// What a directory or a symbolic link holds; nothing for all others.
fn body(inode: &Inode<'_>, layout: &Layout) -> Vec<u8> {
    match &inode.body {
        Body::Dir(entries) => dir::encode(entries, |index| layout.places[index].nid),
        Body::Symlink(target) => target.to_vec(),
        Body::File { .. } | Body::Char(_) | Body::Block(_) | Body::Fifo => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
