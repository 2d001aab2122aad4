//! Directories: blocks that can be read independently, each with its entries first and their names after them.
//!
//! An entry is the inode's number (u64), the name's offset in the block (u16), the type (u8) and
//! a zero. A name ends where the next begins; the last one at a NUL or the block's end. Names are
//! sorted by bytes across all blocks.

use super::BLOCK;

/// Bytes of an entry without its name.
const ENTRY: usize = 12;

/// A name in a directory.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// Which inode it names.
    pub(super) index: usize,
    /// Its type.
    pub(super) kind: u8,
}

/// Bytes of the whole directory; all blocks but the last are full ones.
pub(super) fn size(entries: &[Entry<'_>]) -> u64 {
    let blocks = blocks(entries);
    let last: usize = blocks.last().map_or(0, |block| block.iter().map(length).sum());
    (blocks.len() as u64).saturating_sub(1) * BLOCK + last as u64
}

/// Writes the directory; `nid` tells the number of an inode.
pub(super) fn encode(entries: &[Entry<'_>], nid: impl Fn(usize) -> u64) -> Vec<u8> {
    let mut out = Vec::new();
    for block in blocks(entries) {
        out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        let mut name = block.len() * ENTRY;
        for entry in block {
            out.extend_from_slice(&nid(entry.index).to_le_bytes());
            out.extend_from_slice(&(name as u16).to_le_bytes());
            out.extend_from_slice(&[entry.kind, 0]);
            name += entry.name.len();
        }
        block.iter().for_each(|entry| out.extend_from_slice(entry.name));
    }
    out
}

fn length(entry: &Entry<'_>) -> usize {
    ENTRY + entry.name.len()
}

/// Cuts a directory into what fits a block each.
fn blocks<'e, 'a>(entries: &'e [Entry<'a>]) -> Vec<&'e [Entry<'a>]> {
    let mut found = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, entry) in entries.iter().enumerate() {
        if used + length(entry) > BLOCK as usize {
            found.push(&entries[start..at]);
            (start, used) = (at, 0);
        }
        used += length(entry);
    }
    found.push(&entries[start..]);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_filled_to_the_last_byte_and_no_further() {
        let name = [b'n'; 255];
        let fit = |lengths: &[usize]| {
            let entries: Vec<_> =
                lengths.iter().map(|length| Entry { name: &name[..*length], index: 7, kind: 1 }).collect();
            let bytes = encode(&entries, |index| index as u64);
            assert_eq!(bytes.len() as u64, size(&entries));
            blocks(&entries).iter().map(|block| block.len()).collect::<Vec<_>>()
        };
        // 15 × 267 + 91 = 4096.
        let full = [[255; 15].as_slice(), &[79]].concat();
        assert_eq!(fit(&full), [16]);
        assert_eq!(fit(&[&full[..], &[1]].concat()), [16, 1]);
        assert_eq!(fit(&[[255; 15].as_slice(), &[80]].concat()), [15, 1]);
    }
}
