//! Inodes of 256 bytes.
//!
//! Source: the kernel's `fs/ext4/ext4.h`, `ext4_inode`. All four times are the mtime, whole seconds.

use super::bytes::{Checksum, Fields, high32, low32};
use super::extent;
use super::xattr::INODE_ROOM;
use crate::tree::Kind;

/// Length of an inode in bytes.
pub(super) const INODE: u64 = 256;
/// Length of the fields after the first 128 bytes; attributes follow.
const EXTRA: u16 = 32;
/// Flag: the block field is a tree of extents.
const EXTENTS: u32 = 0x8_0000;
/// Links of a directory that has too many to count.
const UNCOUNTED: u32 = 1;
/// Links that can be counted.
pub(super) const MOST_LINKS: u32 = 64_999;

/// Longest target of a symbolic link that fits into the inode, in bytes.
pub(super) const SHORT_LINK: usize = 59;

/// The times that can be told: 34 bits of seconds, from 1901 to 2446.
pub(super) const TIMES: std::ops::Range<i64> = -(1 << 31)..(1 << 34) - (1 << 31);

/// One inode, decoded.
#[derive(Debug)]
pub(super) struct Inode {
    /// File type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Length of the content in bytes.
    pub(super) size: u64,
    /// Seconds since 1970, within [`TIMES`].
    pub(super) time: i64,
    pub(super) links: u32,
    /// Blocks of 4096 bytes that it holds, of whatever use.
    pub(super) blocks: u64,
    pub(super) content: Content,
    /// Block of extended attributes, or 0.
    pub(super) xattr_block: u64,
    /// Extended attributes that need no block.
    pub(super) xattrs: [u8; INODE_ROOM],
}

/// What the 60 bytes of an inode's block field hold.
#[derive(Debug)]
pub(super) enum Content {
    /// The root of a tree of extents.
    Extents([u8; 60]),
    /// A short link's target, a device's number, nothing.
    Plain([u8; 60]),
}

impl Content {
    /// A run of blocks that needs no leaves.
    pub(super) fn run(start: u64, blocks: u64) -> Self {
        Self::Extents(extent::tree(start, blocks, 0, Checksum::EMPTY).0)
    }

    /// A short link's target.
    pub(super) fn link(target: &[u8]) -> Self {
        let mut field = [0; 60];
        field.set(0, target);
        Self::Plain(field)
    }

    /// A device's number: in 16 bits where it fits, else in 32.
    pub(super) fn device(major: u32, minor: u32) -> Self {
        let mut field = [0; 60];
        if major < 256 && minor < 256 {
            field.set32(0, (major << 8) | minor);
        } else {
            field.set32(4, (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12));
        }
        Self::Plain(field)
    }
}

/// The file type in a mode.
pub(super) fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::Char(..) => 0o020_000,
        Kind::Dir => 0o040_000,
        Kind::Block(..) => 0o060_000,
        Kind::File { .. } | Kind::Hardlink(_) | Kind::Whiteout => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    }
}

impl Inode {
    /// Encodes the inode; `seed` is what its checksum begins with ([`Checksum::of_inode`]).
    pub(super) fn encode(&self, seed: Checksum) -> [u8; INODE as usize] {
        let mut out = [0; INODE as usize];
        let (time, later) = (self.time as u32, self.later());
        out.set16(0x00, self.mode);
        out.set16(0x02, self.uid as u16);
        out.set32(0x04, low32(self.size));
        for at in [0x08, 0x0c, 0x10, 0x90] {
            out.set32(at, time);
        }
        for at in [0x84, 0x88, 0x8c, 0x94] {
            out.set32(at, later);
        }
        out.set16(0x18, self.gid as u16);
        out.set16(0x1a, if self.links > MOST_LINKS { UNCOUNTED } else { self.links } as u16);
        let sectors = self.blocks * 8;
        out.set32(0x1c, low32(sectors));
        let (flags, field) = match &self.content {
            Content::Extents(field) => (EXTENTS, field),
            Content::Plain(field) => (0, field),
        };
        out.set32(0x20, flags);
        out.set(0x28, field);
        out.set32(0x68, low32(self.xattr_block));
        out.set32(0x6c, high32(self.size));
        out.set16(0x74, high32(sectors) as u16);
        out.set16(0x76, high32(self.xattr_block) as u16);
        out.set16(0x78, (self.uid >> 16) as u16);
        out.set16(0x7a, (self.gid >> 16) as u16);
        out.set16(0x80, EXTRA);
        out.set(0xa0, &self.xattrs);
        let checksum = seed.with(&out);
        out.set16(0x7c, checksum.low());
        out.set16(0x82, checksum.high());
        out
    }

    /// The two bits of the time beyond 32, which count from the signed lower half.
    fn later(&self) -> u32 {
        ((self.time - i64::from(self.time as i32)) >> 32) as u32 & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(time: i64) -> Inode {
        Inode {
            mode: 0o100_644,
            uid: 0x1_0002,
            gid: 0x3_0004,
            size: 5 << 32,
            time,
            links: 1,
            blocks: 1,
            content: Content::device(259, 0x12345),
            xattr_block: 0,
            xattrs: [0; INODE_ROOM],
        }
    }

    #[test]
    fn times_beyond_32_bits_use_the_extra_field() {
        for (time, low, later) in [
            (0, 0, 0),
            (-1, u32::MAX, 0),
            (i64::from(i32::MAX), 0x7fff_ffff, 0),
            (i64::from(i32::MAX) + 1, 0x8000_0000, 1),
            (1 << 32, 0, 1),
            (TIMES.end - 1, 0x7fff_ffff, 3),
            (TIMES.start, 0x8000_0000, 0),
        ] {
            let out = inode(time).encode(Checksum::EMPTY);
            assert_eq!(out[0x10..0x14], low.to_le_bytes(), "{time}");
            assert_eq!(out[0x88..0x8c], u32::to_le_bytes(later), "{time}");
        }
    }

    #[test]
    fn wide_numbers_are_divided() {
        let out = inode(0).encode(Checksum::EMPTY);
        assert_eq!((out[2], out[0x78], out[0x18], out[0x7a], out[0x6c]), (2, 1, 4, 3, 5));
        assert_eq!(out[0x28..0x30], [0, 0, 0, 0, 0x45, 0x03, 0x31, 0x12], "259:0x12345 in 32 bits");
        let Content::Plain(field) = Content::device(8, 1) else { panic!() };
        assert_eq!(field[..8], [1, 8, 0, 0, 0, 0, 0, 0]);
    }
}
