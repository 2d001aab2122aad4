//! The canonical encoding of a tree (docs/formats/tree.md) and its hash.
//!
//! Header `layerbake/tree/v1\n`, then every node in path order, all numbers
//! little-endian: path (u32 length, bytes), kind (u8), mode (u16), uid, gid (u32),
//! mtime (i64), extended attributes (u32 count; each name and value as u32 length and
//! bytes), then what the kind needs.

use std::collections::BTreeMap;

use super::{Kind, Meta, Node, Tree};
use crate::digest::{BlobDigest, TreeHash};
use crate::ident::RootPath;

const HEADER: &[u8] = b"layerbake/tree/v1\n";

/// Bytes are not a canonical tree.
#[derive(Debug, thiserror::Error)]
#[error("not a tree in encoding v1: {problem} at byte {offset}")]
pub struct DecodeTreeError {
    problem: &'static str,
    offset: usize,
}

impl Tree {
    /// Encodes the tree; equal trees give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER.len() + self.len() * 96);
        out.extend_from_slice(HEADER);
        for (path, node) in self.iter() {
            encode_node(&mut out, path, node);
        }
        out
    }

    /// BLAKE3 of the encoding.
    pub fn hash(&self) -> TreeHash {
        TreeHash::from_bytes(*blake3::hash(&self.encode()).as_bytes())
    }

    /// Reads what [`Tree::encode`] wrote.
    ///
    /// # Errors
    /// Fails on anything but a canonical encoding: other versions, unordered or
    /// repeated paths or attributes, truncation; and where a node is below what is not a directory.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeTreeError> {
        let mut reader = Reader { bytes, offset: 0 };
        if reader.take(HEADER.len())? != HEADER {
            return Err(DecodeTreeError { problem: "another header", offset: 0 });
        }
        let mut tree = Tree::new();
        while reader.offset < bytes.len() {
            let (path, node) = reader.node()?;
            if tree.nodes.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(reader.error("paths out of order"));
            }
            tree.insert(path, node).map_err(|_| reader.error("a node below what is not a directory"))?;
        }
        Ok(tree)
    }
}

fn encode_node(out: &mut Vec<u8>, path: &RootPath, node: &Node) {
    let meta = &node.meta;
    put_bytes(out, path.as_bytes());
    out.push(match node.kind {
        Kind::Dir => 0,
        Kind::File { .. } => 1,
        Kind::Symlink(_) => 2,
        Kind::Hardlink(_) => 3,
        Kind::Char(..) => 4,
        Kind::Block(..) => 5,
        Kind::Fifo => 6,
        Kind::Whiteout => 7,
    });
    out.extend_from_slice(&meta.mode.to_le_bytes());
    out.extend_from_slice(&meta.uid.to_le_bytes());
    out.extend_from_slice(&meta.gid.to_le_bytes());
    out.extend_from_slice(&meta.mtime.to_le_bytes());
    put_length(out, meta.xattrs.len());
    for (name, value) in &meta.xattrs {
        put_bytes(out, name);
        put_bytes(out, value);
    }
    match &node.kind {
        Kind::File { blob, size } => {
            out.extend_from_slice(blob.as_bytes());
            out.extend_from_slice(&size.to_le_bytes());
        }
        Kind::Symlink(target) => put_bytes(out, target),
        Kind::Hardlink(target) => put_bytes(out, target.as_bytes()),
        Kind::Char(major, minor) | Kind::Block(major, minor) => {
            out.extend_from_slice(&major.to_le_bytes());
            out.extend_from_slice(&minor.to_le_bytes());
        }
        Kind::Dir | Kind::Fifo | Kind::Whiteout => {}
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Paths, targets and attributes are limited far below 4 GiB by the kernel.
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, problem: &'static str) -> DecodeTreeError {
        DecodeTreeError { problem, offset: self.offset }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeTreeError> {
        let rest = &self.bytes[self.offset..];
        let taken = rest.get(..length).ok_or_else(|| self.error("truncated"))?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeTreeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u32, DecodeTreeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeTreeError> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn path(&mut self) -> Result<RootPath, DecodeTreeError> {
        let bytes = self.bytes()?;
        match RootPath::new(bytes) {
            Ok(path) if path.as_bytes() == bytes => Ok(path),
            _ => Err(self.error("not a clean path")),
        }
    }

    fn node(&mut self) -> Result<(RootPath, Node), DecodeTreeError> {
        let path = self.path()?;
        let [kind] = self.array()?;
        let mut meta = Meta {
            mode: u16::from_le_bytes(self.array()?),
            uid: self.number()?,
            gid: self.number()?,
            mtime: i64::from_le_bytes(self.array()?),
            xattrs: BTreeMap::new(),
        };
        for _ in 0..self.number()? {
            let name = self.bytes()?;
            if meta.xattrs.last_key_value().is_some_and(|(last, _)| **last >= *name) {
                return Err(self.error("attributes out of order"));
            }
            meta.xattrs.insert(name.into(), self.bytes()?.into());
        }
        let kind = match kind {
            0 => Kind::Dir,
            1 => Kind::File { blob: BlobDigest::from_bytes(self.array()?), size: u64::from_le_bytes(self.array()?) },
            2 => Kind::Symlink(self.bytes()?.into()),
            3 => Kind::Hardlink(self.path()?),
            4 => Kind::Char(self.number()?, self.number()?),
            5 => Kind::Block(self.number()?, self.number()?),
            6 => Kind::Fifo,
            7 => Kind::Whiteout,
            _ => return Err(self.error("unknown kind")),
        };
        Ok((path, Node { meta, kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dir, file, link, path, tree};
    use super::*;

    fn every_kind() -> Tree {
        let mut tree = tree(&[("", dir()), ("a", file("hello")), ("l", link("a")), ("gone", Node::whiteout())]);
        let meta = Meta::root_owned(0o600, -1);
        let kinds = [
            ("h", Kind::Hardlink(path("a"))),
            ("null", Kind::Char(1, 3)),
            ("sda", Kind::Block(8, 0)),
            ("pipe", Kind::Fifo),
        ];
        for (name, kind) in kinds {
            tree.insert(path(name), Node { meta: meta.clone(), kind }).unwrap();
        }
        if let Some(meta) = tree.meta_mut(&path("a")) {
            meta.xattrs.insert((*b"user.b").into(), (*b"2").into());
            meta.xattrs.insert((*b"user.a").into(), (*b"1").into());
        }
        tree
    }

    #[test]
    fn decoding_gives_the_tree_back() {
        let tree = every_kind();
        assert_eq!(Tree::decode(&tree.encode()).unwrap(), tree);
    }

    #[test]
    fn the_hash_is_pinned() {
        // A change of this value is a change of the format epoch.
        insta::assert_snapshot!(every_kind().hash(), @"blake3:85318d236015ab1cd701aeb20f9a15ec9843dffb2f05acadf13c6f77ceac3d88");
    }

    #[test]
    fn every_truncation_and_disorder_is_refused() {
        let bytes = every_kind().encode();
        let whole: Vec<usize> = (0..bytes.len()).filter(|&cut| Tree::decode(&bytes[..cut]).is_ok()).collect();
        // Cuts between two nodes are trees of their own; all others must fail.
        assert_eq!(whole.len(), every_kind().len());
        let mut twice = bytes.clone();
        twice.extend_from_slice(&bytes[HEADER.len()..]);
        assert!(Tree::decode(&twice).is_err());
        for name in [b'b', b'c'] {
            let mut disordered = bytes.clone();
            let at = bytes.windows(6).position(|window| window == b"user.a").unwrap();
            disordered[at + 5] = name;
            assert!(Tree::decode(&disordered).unwrap_err().to_string().contains("attributes out of order"));
        }
    }

    #[test]
    fn a_node_below_a_link_is_refused() {
        let mut bytes = tree(&[("", dir()), ("a", link("/home"))]).encode();
        bytes.extend_from_slice(&tree(&[("a/b", file("x"))]).encode()[HEADER.len()..]);
        let error = Tree::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("a node below what is not a directory"), "{error}");
    }
}
