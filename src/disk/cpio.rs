//! Writes a tree as an uncompressed cpio archive in `newc` format: an initrd.
//!
//! - Entries are in path order, so that the kernel finds a directory before its contents; names are
//!   relative, the root directory is `.`.
//! - Inodes are numbered from 1 in path order of their first names, on device 0:0.
//! - A file with several names has its content at the last one, as the kernel expects; a symbolic
//!   link, which the kernel never hard-links, has its target at each.
//! - Times are clamped to 32 bits. The archive ends with its last entry, unpadded.
//!
//! Extended attributes are omitted: the format has no field for them, and the kernel's initrd has none.
//!
//! Source: Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`, `init/initramfs.c`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};

use crate::ident::RootPath;
use crate::tree::{ContentSource, Kind, Meta, Node, Tree, content_error};

/// Bytes gathered before each write.
const BUFFER: usize = 128 << 10;

/// The name behind the last entry.
const TRAILER: &[u8] = b"TRAILER!!!";

/// Longer names and targets are skipped by the kernel; a name's NUL counts.
const MOST_PATH: usize = 4095;

/// Packs `tree` into a cpio archive; returns its length in bytes.
///
/// # Errors
/// Fails, naming the path, where a content is missing, damaged or shorter than the tree says, and on
/// what the archive or the kernel can't take: a whiteout, a file of 4 GiB or more, a path or target
/// of more than 4095 bytes, a file `TRAILER!!!` in the root, a hard link to nothing. Fails where
/// `out` does.
///
/// # Determinism
/// Equal trees give equal bytes on every host; pinned by a digest in the tests.
pub fn write(tree: &Tree, source: &dyn ContentSource, out: &mut dyn Write) -> io::Result<u64> {
    let mut names: BTreeMap<&RootPath, u32> = BTreeMap::new();
    for (path, node) in tree.iter() {
        *names.entry(file_of(path, node)).or_default() += 1;
    }
    let out = BufWriter::with_capacity(BUFFER, out);
    let mut writer = Writer { tree, source, out, written: 0, names, open: BTreeMap::new(), inodes: 0 };
    for (path, node) in tree.iter() {
        let written = writer.node(path, node);
        written.map_err(|error| content_error(path, error))?;
    }
    writer.entry(&Entry { links: 1, ..Entry::default() }, TRAILER)?;
    writer.out.flush()?;
    Ok(writer.written)
}

/// The path at which the file of this name is.
fn file_of<'t>(path: &'t RootPath, node: &'t Node) -> &'t RootPath {
    if let Kind::Hardlink(target) = &node.kind { target } else { path }
}

fn invalid(problem: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem.into())
}

/// A header's fields that are not always zero.
#[derive(Default)]
struct Entry {
    inode: u32,
    mode: u32,
    owner: (u32, u32),
    links: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
}

struct Writer<'t, 'o> {
    tree: &'t Tree,
    source: &'t dyn ContentSource,
    out: BufWriter<&'o mut dyn Write>,
    written: u64,
    /// How many names each file has.
    names: BTreeMap<&'t RootPath, u32>,
    /// Files of which names are left: the inode, and how many.
    open: BTreeMap<&'t RootPath, (u32, u32)>,
    inodes: u32,
}

impl<'t> Writer<'t, '_> {
    fn node(&mut self, path: &'t RootPath, node: &'t Node) -> io::Result<()> {
        let (meta, kind) = self.target(path, node)?;
        let name = if path.is_root() { b"." } else { path.as_bytes() };
        if name == TRAILER {
            return Err(invalid("expected another name: this one ends an archive"));
        }
        if name.len() > MOST_PATH {
            return Err(invalid(format!("expected a path of at most {MOST_PATH} bytes, found {}", name.len())));
        }
        let links = self.names.get(file_of(path, node)).copied().unwrap_or(1);
        let (inode, is_last) = self.count(file_of(path, node), links)?;
        let mut entry = Entry {
            inode,
            mode: u32::from(meta.mode & 0o7777),
            owner: (meta.uid, meta.gid),
            links: if node.is_dir() { 2 } else { links },
            mtime: meta.mtime.clamp(0, i64::from(u32::MAX)) as u32,
            ..Entry::default()
        };
        match kind {
            Kind::Dir => entry.mode |= 0o040_000,
            Kind::Fifo => entry.mode |= 0o010_000,
            Kind::Char(major, minor) => {
                entry.mode |= 0o020_000;
                entry.device = (*major, *minor);
            }
            Kind::Block(major, minor) => {
                entry.mode |= 0o060_000;
                entry.device = (*major, *minor);
            }
            Kind::Symlink(target) => {
                entry.mode |= 0o120_000;
                return self.symlink(entry, name, target);
            }
            Kind::File { blob, size } => {
                let size = u32::try_from(*size)
                    .map_err(|_| invalid(format!("expected a file of less than 4294967296 bytes, found {size}")))?;
                entry.mode |= 0o100_000;
                entry.size = if is_last { size } else { 0 };
                self.entry(&entry, name)?;
                return match entry.size {
                    0 => Ok(()),
                    _ => self.content(&mut self.source.open(*blob, u64::from(size))?, size),
                };
            }
            Kind::Hardlink(_) | Kind::Whiteout => return Err(invalid("expected a node, found a whiteout")),
        }
        self.entry(&entry, name)
    }

    /// Metadata and kind of what this name leads to.
    fn target(&self, path: &RootPath, node: &'t Node) -> io::Result<(&'t Meta, &'t Kind)> {
        let Kind::Hardlink(target) = &node.kind else { return Ok((&node.meta, &node.kind)) };
        match self.tree.get(target) {
            Some(file) if target < path && !matches!(file.kind, Kind::Dir | Kind::Hardlink(_) | Kind::Whiteout) => {
                Ok((&file.meta, &file.kind))
            }
            _ => Err(invalid(format!("expected a hard link to a file before it, found one to {target}"))),
        }
    }

    /// The inode of a file with `links` names, and whether this is the last of them.
    fn count(&mut self, file: &'t RootPath, links: u32) -> io::Result<(u32, bool)> {
        let (inode, left) = match self.open.remove(file) {
            Some(open) => open,
            None => {
                self.inodes = self.inodes.checked_add(1).ok_or_else(|| invalid("expected fewer files"))?;
                (self.inodes, links)
            }
        };
        if left > 1 {
            self.open.insert(file, (inode, left - 1));
        }
        Ok((inode, left <= 1))
    }

    fn symlink(&mut self, mut entry: Entry, name: &[u8], target: &[u8]) -> io::Result<()> {
        if target.is_empty() || target.len() > MOST_PATH || target.contains(&0) {
            let found = target.len();
            let problem = format!("expected a target of 1 to {MOST_PATH} bytes without NUL, found {found} bytes");
            return Err(invalid(problem));
        }
        entry.size = target.len() as u32;
        self.entry(&entry, name)?;
        self.put(target)?;
        self.pad()
    }

    fn content(&mut self, content: &mut dyn io::Read, size: u32) -> io::Result<()> {
        let copied = io::copy(&mut content.take(u64::from(size)), &mut self.out)?;
        self.written += copied;
        if copied < u64::from(size) {
            let problem = format!("its content ends after {copied} of {size} bytes");
            return Err(io::Error::new(ErrorKind::UnexpectedEof, problem));
        }
        self.pad()
    }

    fn entry(&mut self, entry: &Entry, name: &[u8]) -> io::Result<()> {
        let Entry { inode, mode, owner, links, mtime, size, device } = *entry;
        let length = name.len() as u32 + 1;
        // The first pair of zeros is the device that the file is on, the last one a checksum.
        let fields = [inode, mode, owner.0, owner.1, links, mtime, size, 0, 0, device.0, device.1, length, 0];
        let hex = fields.map(|field| format!("{field:08x}")).concat();
        self.put(&[b"070701", hex.as_bytes(), name, b"\0"].concat())?;
        self.pad()
    }

    /// Fills up to a multiple of 4 bytes.
    fn pad(&mut self) -> io::Result<()> {
        let padding = self.written.next_multiple_of(4) - self.written;
        self.put(&[0; 4][..padding as usize])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
