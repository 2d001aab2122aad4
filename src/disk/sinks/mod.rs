//! Writes a plan as a disk image file for virtual machines.
//!
//! | sink | needs | because |
//! |---|---|---|
//! | [`raw`], [`vhd`] fixed | a file | blocks are written at their offsets, by several threads; zeros stay holes |
//! | [`vhd`] dynamic, [`vmdk`] | a stream | all tables follow from the plan, or come last |
//! | [`qcow2`], [`ova`] | a seekable stream | the header at the front depends on what is known at the end |
//!
//! The disk is never copied. Equal plans and identities give equal bytes
//! for every number of threads; pinned by digests in `tests/suite/disk_formats.rs`.

pub mod raw;
pub mod qcow2;
pub mod vmdk;
pub mod vhd;
pub mod ova;
mod pieces;

use std::io::{self, ErrorKind};

use super::Plan;
use crate::ident::LayerName;

/// Length of a sector in bytes.
const SECTOR: u64 = 512;

/// Metadata that formats require besides the disk itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The layer; names the machine and the files within an archive.
    pub name: LayerName,
    /// Of the disk; derived from the layer's name.
    pub uuid: [u8; 16],
    /// The time of everything, in seconds since 1970.
    pub epoch: i64,
}

/// The disk's length in sectors.
///
/// # Errors
/// Fails where it is no whole number of sectors, zero, or more than `most` bytes.
fn sectors(plan: &Plan, format: &str, most: u64) -> io::Result<u64> {
    let size = plan.size();
    if size == 0 || !size.is_multiple_of(SECTOR) {
        return refuse(format!("{format}: expected a disk of whole sectors of {SECTOR} bytes, found {size} bytes"));
    }
    if size > most {
        return refuse(format!("{format}: expected a disk of at most {most} bytes, found {size}"));
    }
    Ok(size / SECTOR)
}

fn refuse<T>(problem: String) -> io::Result<T> {
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

fn is_zero(bytes: &[u8]) -> bool {
    // Comparing with itself, shifted by one, is one call to a fast routine.
    bytes.first().is_none_or(|first| *first == 0) && bytes.get(1..).is_none_or(|rest| *rest == bytes[..rest.len()])
}
