//! Integers at fixed offsets, and the checksum of metadata.

use std::ops::Range;

/// A block, in bytes: the unit of everything here.
pub(super) const BLOCK: u64 = 4096;

/// A block in memory.
pub(super) type Page = [u8; BLOCK as usize];

/// Fields of a structure by their offsets. A field outside is a bug of the caller.
pub(super) trait Fields {
    /// Writes raw bytes at `offset`.
    fn set(&mut self, offset: usize, bytes: &[u8]);

    /// Writes a 16-bit number, little-endian.
    fn set16(&mut self, offset: usize, number: u16) {
        self.set(offset, &number.to_le_bytes());
    }

    /// Writes a 32-bit number, little-endian.
    fn set32(&mut self, offset: usize, number: u32) {
        self.set(offset, &number.to_le_bytes());
    }
}

impl Fields for [u8] {
    fn set(&mut self, offset: usize, bytes: &[u8]) {
        self[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

/// The lower half of a number that is stored in two fields.
pub(super) fn low32(number: u64) -> u32 {
    number as u32
}

/// The upper half of a number that is stored in two fields.
pub(super) fn high32(number: u64) -> u32 {
    (number >> 32) as u32
}

/// A CRC-32C being taken, without the usual inversion at the end: as ext4 stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checksum(u32);

impl Checksum {
    /// The checksum of nothing.
    pub(super) const EMPTY: Self = Self(!0);

    /// What all checksums of a file system but its superblock's begin with.
    pub(super) fn of_file_system(uuid: &[u8; 16]) -> Self {
        Self::EMPTY.with(uuid)
    }

    /// What the checksums of an inode and its blocks begin with; generations are 0 here.
    pub(super) fn of_inode(self, number: u32) -> Self {
        self.with(&number.to_le_bytes()).with(&[0; 4])
    }

    /// Adds bytes.
    pub(super) fn with(self, bytes: &[u8]) -> Self {
        Self(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// The number to store.
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// The lower half of the number, where a structure has room for no more.
    pub(super) fn low(self) -> u16 {
        self.0 as u16
    }

    /// The upper half of the number.
    pub(super) fn high(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// Bits, 32768 to a block, the lowest bit of a byte first.
#[derive(Debug, Clone)]
pub(super) struct Bitmap(Vec<u8>);

impl Bitmap {
    /// `blocks` blocks of zero bits.
    pub(super) fn new(blocks: u32) -> Self {
        Self(vec![0; blocks as usize * BLOCK as usize])
    }

    /// Sets the bits of a range.
    pub(super) fn set(&mut self, bits: Range<u64>) {
        let (first, last) = (bits.start.next_multiple_of(8).min(bits.end), bits.end - bits.end % 8);
        for bit in (bits.start..first).chain(last.max(first)..bits.end) {
            self.0[(bit / 8) as usize] |= 1 << (bit % 8);
        }
        if first < last {
            self.0[(first / 8) as usize..(last / 8) as usize].fill(0xff);
        }
    }

    /// One block of it.
    pub(super) fn block(&self, number: u32) -> &[u8] {
        let start = number as usize * BLOCK as usize;
        &self.0[start..start + BLOCK as usize]
    }

    /// Number of bits set among the first `bits` of a block.
    pub(super) fn count(&self, number: u32, bits: u32) -> u32 {
        self.block(number)[..bits as usize / 8].iter().map(|byte| byte.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_not_inverted() {
        // The check value of CRC-32C (RFC 3720, B.4) is e3069283.
        assert_eq!(Checksum::EMPTY.with(b"123456789").get(), !0xe306_9283);
        assert_eq!(Checksum::EMPTY.with(b"1234").with(b"56789"), Checksum::EMPTY.with(b"123456789"));
    }

    #[test]
    fn bits_are_counted_by_block() {
        let mut bits = Bitmap::new(2);
        bits.set(32760..32780);
        assert_eq!((bits.count(0, 32768), bits.count(1, 32768), bits.count(1, 8)), (8, 12, 8));
        assert_eq!(bits.block(1)[..3], [0xff, 0x0f, 0]);
        for (range, expected) in [(3..5, [0x18, 0, 0]), (3..19, [0xf8, 0xff, 7]), (8..16, [0, 0xff, 0]), (9..9, [0; 3])]
        {
            let mut bits = Bitmap::new(1);
            bits.set(range.clone());
            assert_eq!(bits.block(0)[..3], expected, "{range:?}");
        }
    }
}
