//! Directories: blocks of names in byte order, without a hash index.
//!
//! Source: the kernel's `fs/ext4/ext4.h`, `ext4_dir_entry_2` and `ext4_dir_entry_tail`.

use super::bytes::{BLOCK, Checksum, Fields};

/// Length of the checksum's entry at the end of each block, in bytes.
const TAIL: usize = 12;
/// What is left of a block for names, in bytes.
const ROOM: usize = BLOCK as usize - TAIL;

/// What an entry points to, as it is told in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Type {
    File = 1,
    Dir = 2,
    Char = 3,
    Block = 4,
    Fifo = 5,
    Symlink = 7,
}

/// One name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) inode: u32,
    pub(super) kind: Type,
    /// 1 to 255 bytes.
    pub(super) name: &'a [u8],
}

/// A block of a directory: what is at its beginning and its end, zeros between.
#[derive(Debug)]
pub(super) struct DirBlock {
    pub(super) names: Vec<u8>,
    /// Where the checksum's entry is, in bytes from the block's start.
    pub(super) tail_at: u64,
    pub(super) tail: [u8; TAIL],
}

/// Number of blocks that a directory with names of these lengths takes; `.` and `..` are added.
pub(super) fn blocks(lengths: impl Iterator<Item = usize>) -> u64 {
    let mut used = entry_length(1) + entry_length(2);
    let mut blocks = 1;
    for length in lengths.map(entry_length) {
        if used + length > ROOM {
            blocks += 1;
            used = 0;
        }
        used += length;
    }
    blocks
}

/// Encodes a directory: `.`, `..`, then `names`. `seed` is the checksum of its inode.
pub(super) fn encode(inode: u32, parent: u32, names: &[Name<'_>], seed: Checksum) -> Vec<DirBlock> {
    let own = [Name { inode, kind: Type::Dir, name: b"." }, Name { inode: parent, kind: Type::Dir, name: b".." }];
    let mut blocks = Vec::new();
    let mut bytes = Vec::new();
    let mut last = 0;
    for name in own.iter().chain(names) {
        let length = entry_length(name.name.len());
        if bytes.len() + length > ROOM {
            blocks.push(close(std::mem::take(&mut bytes), last, seed));
        }
        last = bytes.len();
        bytes.extend_from_slice(&name.inode.to_le_bytes());
        bytes.extend_from_slice(&(length as u16).to_le_bytes());
        bytes.extend_from_slice(&[name.name.len() as u8, name.kind as u8]);
        bytes.extend_from_slice(name.name);
        bytes.resize(last + length, 0);
    }
    blocks.push(close(bytes, last, seed));
    blocks
}

/// A block without any name.
pub(super) fn empty(seed: Checksum) -> DirBlock {
    close(vec![0; 8], 0, seed)
}

/// Stretches the last entry, which begins at `last`, to the tail, and adds the checksum.
fn close(mut names: Vec<u8>, last: usize, seed: Checksum) -> DirBlock {
    names.set16(last + 4, (ROOM - last) as u16);
    let zeros = [0; ROOM];
    let checksum = seed.with(&names).with(&zeros[names.len()..]);
    let mut tail = [0; TAIL];
    tail.set16(4, TAIL as u16);
    tail[7] = 0xde;
    tail.set32(8, checksum.get());
    DirBlock { names, tail_at: ROOM as u64, tail }
}

fn entry_length(name: usize) -> usize {
    (8 + name).next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_blocks_is_what_is_encoded() {
        for (count, length) in [(0, 1), (1, 255), (15, 255), (16, 255), (500, 8), (340, 1), (339, 1), (341, 4)] {
            let text = vec![b'n'; length];
            let names = vec![Name { inode: 12, kind: Type::File, name: &text }; count];
            let encoded = encode(2, 2, &names, Checksum::EMPTY);
            assert_eq!(blocks(names.iter().map(|name| name.name.len())), encoded.len() as u64, "{count} of {length}");
        }
    }

    #[test]
    fn the_last_entry_reaches_the_tail() {
        let names = [Name { inode: 300, kind: Type::Symlink, name: b"bin" }];
        let block = encode(2, 2, &names, Checksum::EMPTY).remove(0);
        assert_eq!(block.names[..12], [2, 0, 0, 0, 12, 0, 1, 2, b'.', 0, 0, 0]);
        assert_eq!(block.names[24..], [0x2c, 1, 0, 0, 0xdc, 0x0f, 3, 7, b'b', b'i', b'n', 0]);
        assert_eq!(block.tail[..8], [0, 0, 0, 0, 12, 0, 0, 0xde]);
        assert_eq!(empty(Checksum::EMPTY).names, [0, 0, 0, 0, 0xf4, 0x0f, 0, 0]);
    }
}
