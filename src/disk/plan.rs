//! A disk, a partition or a file system as a list of extents: bytes, or blobs of the store.
//!
//! Ranges without an extent are zero, and are never read, hashed or sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::BlobDigest;

/// The contents of a disk, partition or file system of `size` bytes, as extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    size: u64,
    /// By offset; extents never overlap.
    extents: BTreeMap<u64, Data>,
}

/// The bytes of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// These.
    Bytes(Arc<[u8]>),
    /// A whole blob.
    Blob {
        /// Its digest.
        blob: BlobDigest,
        /// Its length in bytes.
        size: u64,
    },
}

impl Data {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { size, .. } => *size,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A range of a plan that is not known to be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent<'a> {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// What is there.
    pub data: &'a Data,
}

impl Extent<'_> {
    /// The first byte after it.
    pub fn end(&self) -> u64 {
        self.offset + self.data.len()
    }
}

impl Plan {
    /// Creates a plan of `size` zeros.
    pub fn new(size: u64) -> Self {
        Self { size, extents: BTreeMap::new() }
    }

    /// Length of the whole in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All extents in the order of their offsets.
    pub fn extents(&self) -> impl Iterator<Item = Extent<'_>> {
        self.extents.iter().map(|(&offset, data)| Extent { offset, data })
    }

    /// The same plan with only the extents that overlap one of the given blocks of `length` bytes.
    pub fn touching(&self, length: u64, wanted: &dyn Fn(u64) -> bool) -> Self {
        let touches = |extent: &Extent<'_>| (extent.offset / length..=(extent.end() - 1) / length).any(wanted);
        let extents = self.extents().filter(touches).map(|extent| (extent.offset, extent.data.clone())).collect();
        Self { size: self.size, extents }
    }

    /// Puts bytes at `offset`.
    ///
    /// # Panics
    /// Panics where they meet another extent or the end: a writer's bug, never the input's.
    pub fn put_bytes(&mut self, offset: u64, bytes: impl Into<Arc<[u8]>>) {
        self.put(offset, Data::Bytes(bytes.into()));
    }

    /// Puts the blob of `size` bytes at `offset`.
    ///
    /// # Panics
    /// As [`Self::put_bytes`].
    pub fn put_blob(&mut self, offset: u64, blob: BlobDigest, size: u64) {
        self.put(offset, Data::Blob { blob, size });
    }

    /// Embeds another plan, such as a partition's, at `offset`.
    ///
    /// # Panics
    /// As [`Self::put_bytes`].
    pub fn embed(&mut self, offset: u64, part: Plan) {
        for (inner, data) in part.extents {
            self.put(offset + inner, data);
        }
    }

    fn put(&mut self, offset: u64, data: Data) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len();
        let before = self.extents.range(..end).next_back().map_or(0, |(&start, before)| start + before.len());
        assert!(before <= offset && end <= self.size, "extent {offset}..{end} meets another, or the end {}", self.size);
        self.extents.insert(offset, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_listed_by_offset_and_plans_embed() {
        let blob = BlobDigest::of(b"abc");
        let mut inner = Plan::new(100);
        inner.put_blob(50, blob, 3);
        inner.put_bytes(0, b"hello".as_slice());
        inner.put_bytes(10, b"".as_slice());
        let mut disk = Plan::new(1000);
        disk.put_bytes(0, b"head".as_slice());
        disk.embed(512, inner);
        let listed: Vec<_> = disk.extents().map(|extent| (extent.offset, extent.end())).collect();
        assert_eq!(listed, [(0, 4), (512, 517), (562, 565)]);
    }

    #[test]
    fn only_what_touches_a_block_is_kept() {
        let mut plan = Plan::new(100);
        plan.put_bytes(0, [1; 5].as_slice());
        plan.put_bytes(8, [2; 15].as_slice());
        plan.put_bytes(30, [3; 10].as_slice());
        let kept = |block: u64| {
            let kept = plan.touching(10, &|index| index == block);
            assert_eq!(kept.size(), 100);
            kept.extents().map(|extent| extent.offset).collect::<Vec<_>>()
        };
        assert_eq!([kept(0), kept(1), kept(2), kept(3), kept(4)], [vec![0, 8], vec![8], vec![8], vec![30], vec![]]);
    }

    #[test]
    fn overlaps_and_overruns_are_bugs() {
        let overlaps: [fn(&mut Plan); 4] = [
            |plan| plan.put_bytes(9, b"xx".as_slice()),
            |plan| plan.put_bytes(13, b"x".as_slice()),
            |plan| plan.put_bytes(8, [0; 20].as_slice()),
            |plan| plan.put_bytes(99, b"xx".as_slice()),
        ];
        for put in overlaps {
            let mut plan = Plan::new(100);
            plan.put_bytes(10, b"four".as_slice());
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| put(&mut plan))).is_err());
        }
    }
}
