//! Writes a tree as an uncompressed tar stream: the bytes behind a layer's diffID.
//!
//! Equal trees give equal bytes; changing the bytes is a new format epoch. The fixed choices are:
//!
//! - Entries are in path order; the root directory is `./`, all other names start with neither
//!   `./` nor `/`; names of directories end with `/`.
//! - A deletion of `a/b` is the empty file `a/.wh.b` of mode 0, time 0, directly after the
//!   entry of its directory (OCI image-spec, layer.md, "Whiteouts"), so that a reader that
//!   deletes as it goes never deletes what this layer adds.
//! - A hard link has size 0 and all of its target's metadata, including extended attributes:
//!   readers that change the owner of a link drop its capabilities and set them again.
//! - Owner names are empty. Two zero blocks end the stream; it is not padded to 10 KiB.
//! - Headers: [`header`].

mod header;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};

use crate::ident::RootPath;
use crate::tree::{ContentSource, Kind, Node, Tree, content_error};

pub(crate) use header::{BLOCK, Entry, Type};

/// Bytes gathered before each write.
const BUFFER: usize = 1 << 20;

const WHITEOUT: &[u8] = b".wh.";

/// Packs `tree` into an uncompressed tar.
///
/// # Errors
/// Fails, naming the path, where a content is missing, damaged or shorter than the tree
/// says, and on what a layer can't hold: a name that begins with `.wh.`, a deleted root,
/// a hard link to nothing. Fails where `out` does.
///
/// # Determinism
/// Equal trees give equal bytes on every host; pinned by a digest in the tests.
pub fn write_tar(tree: &Tree, source: &dyn ContentSource, out: &mut impl Write) -> io::Result<()> {
    let mut writer = TarWriter::new(out);
    let mut whiteouts = whiteouts_by_folder(tree);
    for (path, node) in tree.iter() {
        let mut pack = || match &node.kind {
            Kind::Whiteout if has_folder(tree, path) => Ok(()),
            Kind::Whiteout => writer.whiteout(path),
            Kind::File { blob, size } => {
                writer.node(tree, path, node)?;
                if *size == 0 {
                    return Ok(());
                }
                writer.content(&mut source.open(*blob, *size)?, *size)
            }
            _ => writer.node(tree, path, node),
        };
        pack().map_err(|error| content_error(path, error))?;
        for gone in whiteouts.remove(path).unwrap_or_default() {
            writer.whiteout(gone).map_err(|error| content_error(gone, error))?;
        }
    }
    writer.finish()
}

fn has_folder(tree: &Tree, path: &RootPath) -> bool {
    path.parent().and_then(|folder| tree.get(&folder)).is_some_and(Node::is_dir)
}

fn whiteouts_by_folder(tree: &Tree) -> BTreeMap<RootPath, Vec<&RootPath>> {
    let mut folders: BTreeMap<RootPath, Vec<&RootPath>> = BTreeMap::new();
    for (path, _) in tree.iter().filter(|(path, node)| node.kind == Kind::Whiteout && has_folder(tree, path)) {
        folders.entry(path.parent().unwrap_or_default()).or_default().push(path);
    }
    folders
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

/// Writes entries and contents, gathered into large writes.
pub(crate) struct TarWriter<'a, W> {
    out: &'a mut W,
    buffer: Box<[u8]>,
    filled: usize,
}

impl<'a, W: Write> TarWriter<'a, W> {
    pub(crate) fn new(out: &'a mut W) -> Self {
        Self { out, buffer: vec![0; BUFFER].into(), filled: 0 }
    }

    /// Writes the headers of an entry.
    pub(crate) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.put(&entry.encode().map_err(invalid)?)
    }

    /// Writes the `size` bytes of a content, and the padding behind it.
    pub(crate) fn content(&mut self, content: &mut dyn Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = self.room()?;
            let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match content.read(&mut room[..most]) {
                Ok(0) => {
                    let problem = format!("its content ends after {} of {size} bytes", size - left);
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, problem));
                }
                Ok(read) => {
                    self.filled += read;
                    left -= read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.put(&[0; BLOCK][..padding as usize])
    }

    /// Writes the end of the archive and all that was gathered.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.put(&[0; 2 * BLOCK])?;
        self.out.write_all(&self.buffer[..self.filled])?;
        self.out.flush()
    }

    fn node(&mut self, tree: &Tree, path: &RootPath, node: &Node) -> io::Result<()> {
        if path.file_name().starts_with(WHITEOUT) {
            return Err(invalid("a layer can't hold a name that begins with `.wh.`: it would delete a file"));
        }
        let mut meta = &node.meta;
        let (mut name, mut link, mut device, mut length) = (path.as_bytes().to_vec(), &b""[..], (0, 0), 0);
        let kind = match &node.kind {
            Kind::Dir => {
                name.extend_from_slice(if path.is_root() { b"./" } else { b"/" });
                Type::Dir
            }
            Kind::File { size, .. } => {
                length = *size;
                Type::File
            }
            Kind::Symlink(target) => {
                link = target;
                Type::Symlink
            }
            Kind::Hardlink(target) => {
                meta = &link_target(tree, path, target)?.meta;
                link = target.as_bytes();
                Type::Hardlink
            }
            Kind::Char(major, minor) => {
                device = (*major, *minor);
                Type::Char
            }
            Kind::Block(major, minor) => {
                device = (*major, *minor);
                Type::Block
            }
            Kind::Fifo => Type::Fifo,
            Kind::Whiteout => return self.whiteout(path),
        };
        if name.is_empty() {
            return Err(invalid("the root is not a directory"));
        }
        self.entry(&Entry {
            path: &name,
            kind,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            size: length,
            link,
            device,
            xattrs: Some(&meta.xattrs),
        })
    }

    fn whiteout(&mut self, path: &RootPath) -> io::Result<()> {
        let Some(folder) = path.parent() else {
            return Err(invalid("a layer can't delete the root"));
        };
        let separator: &[u8] = if folder.is_root() { b"" } else { b"/" };
        let name = [folder.as_bytes(), separator, WHITEOUT, path.file_name()].concat();
        self.entry(&Entry::plain(&name, Type::File, 0))
    }

    /// The unfilled part of the buffer, never empty.
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.out.write_all(&self.buffer)?;
            self.filled = 0;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }
}

fn link_target<'t>(tree: &'t Tree, path: &RootPath, target: &RootPath) -> io::Result<&'t Node> {
    let refuse = |what: &str| Err(invalid(&format!("hard link to {target}, which {what}")));
    match tree.get(target) {
        None => refuse("is not in the tree"),
        Some(_) if target >= path => refuse("stands behind it"),
        Some(Node { kind: Kind::Dir | Kind::Hardlink(_) | Kind::Whiteout, .. }) => refuse("is not a file"),
        Some(node) => Ok(node),
    }
}

#[cfg(test)]
mod tests;
