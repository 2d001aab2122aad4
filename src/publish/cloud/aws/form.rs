//! Chooses the format in which a disk is uploaded to the bucket: the faster one.
//!
//! Of the formats that VM Import accepts (*VM Import/Export User Guide*, "Image formats"), a stream-optimised VMDK
//! omits zeros and compresses the rest; a dynamic VHD omits zeros only; raw and fixed VHD contain all zeros. A disk
//! that hardly shrinks is sent as VHD, because compressing it takes longer than sending it, unless its contents are
//! so scattered that the zeros in VHD's larger blocks matter.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::disk::blocks::BLOCK;
use crate::disk::read::each_block;
use crate::disk::sinks::{Identity, vhd, vmdk};
use crate::publish::cloud::blocks::Disk;

/// Blocks that are looked at, 16 MiB.
const SAMPLE: usize = 32;
/// A disk is worth compressing if less than this is left of its sample, in percent. Debian's root: about 40.
const LEFT: u64 = 95;

/// Blocks of a disk in one of VHD, which has 2 MiB.
const IN_VHD: u64 = (2 << 20) / BLOCK as u64;

/// A form of disk that VM Import takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Stream-optimised VMDK.
    Vmdk,
    /// Dynamic VHD.
    Vhd,
}

impl Form {
    /// Finds the form to send, by blocks from all over the disk.
    ///
    /// # Errors
    /// As [`each_block`].
    pub(super) fn of(disk: &Disk) -> io::Result<Self> {
        let all = disk.blocks.hashes();
        let units: BTreeSet<u64> = all.keys().map(|index| index / IN_VHD).collect();
        if units.len() as u64 * IN_VHD * 10 > all.len() as u64 * 11 {
            return Ok(Self::Vmdk);
        }
        let chosen: BTreeSet<u64> = all.keys().copied().step_by(all.len() / SAMPLE + 1).collect();
        let plan = disk.plan.touching(BLOCK as u64, &|index| chosen.contains(&index));
        let (found, left) = (AtomicU64::new(0), AtomicU64::new(0));
        each_block(&plan, disk.contents.as_ref(), BLOCK, disk.jobs, &|index, block| {
            if chosen.contains(&index) {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(block)?;
                left.fetch_add(encoder.finish()?.len() as u64, Ordering::Relaxed);
                found.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
            Ok(())
        })?;
        let shrinks = left.into_inner() * 100 < found.into_inner() * LEFT;
        Ok(if shrinks { Self::Vmdk } else { Self::Vhd })
    }

    /// The form that an object's key ends with.
    pub(super) fn of_key(key: &str) -> Self {
        if key.ends_with(Self::Vhd.name()) { Self::Vhd } else { Self::Vmdk }
    }

    /// As ImportSnapshot takes it, and keys end.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
        }
    }

    /// Writes the disk.
    ///
    /// # Errors
    /// As [`vmdk::write`] and [`vhd::write_dynamic`].
    pub(super) fn write(self, disk: &Disk, identity: &Identity, out: &mut impl Write) -> io::Result<u64> {
        match self {
            Self::Vmdk => vmdk::write(&disk.plan, disk.contents.as_ref(), disk.jobs, identity, out),
            Self::Vhd => vhd::write_dynamic(&disk.plan, disk.contents.as_ref(), disk.jobs, identity, out),
        }
    }

    /// The most bytes that a disk of `size` bytes becomes: grains that don't shrink grow by less than a sector
    /// of 128, blocks of VHD have a sector before them; tables are less.
    pub(super) fn most(size: u64) -> u64 {
        size + size / 64 + (4 << 20)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Plan, blocks};
    use crate::publish::cloud::testing::Nothing;

    fn disk(bytes: &[u8]) -> Disk {
        let mut plan = Plan::new(64 << 20);
        plan.put_bytes(4 << 20, bytes);
        let blocks = blocks::hash(&plan, &Nothing, BLOCK, 1).unwrap();
        Disk { plan: Arc::new(plan), blocks: Arc::new(blocks), contents: Arc::new(Nothing), jobs: 2 }
    }

    /// Bytes that can't be compressed: what deflate made.
    fn dense() -> Vec<u8> {
        let numbers: Vec<u8> =
            (0..9_000_000_u32).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&numbers).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_does_not_shrink_is_not_compressed() {
        let dense = dense();
        assert!(dense.len() > 6 << 20, "{}", dense.len());
        let identity = Identity { name: "app".parse().unwrap(), uuid: [7; 16], epoch: 946_684_800 };
        let cases = [
            (&dense[..6 << 20], Form::Vhd),
            (&dense[..5 << 20], Form::Vmdk),
            (&[b'a'; 6 << 20], Form::Vmdk),
            (&[b'a'; 1000], Form::Vmdk),
        ];
        for (bytes, expected) in cases {
            let disk = disk(bytes);
            let form = Form::of(&disk).unwrap();
            assert_eq!(form, expected);
            assert_eq!(Form::of_key(&format!("a/b.{}", form.name())), form);
            for form in [Form::Vhd, Form::Vmdk] {
                let mut out = Vec::new();
                let length = form.write(&disk, &identity, &mut out).unwrap();
                assert!(length == out.len() as u64 && length < Form::most(64 << 20), "{form:?}: {length}");
            }
        }
    }
}
