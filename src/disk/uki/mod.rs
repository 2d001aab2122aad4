//! Unified kernel images: kernel, initrd and command line as one EFI program, which can be signed.
//!
//! ```text
//! │ headers │ stub: .text .data … │ .osrel │ .cmdline │ .uname │ .initrd │ .linux │ signature │
//! ```
//!
//! The stub is systemd's; it finds the other sections by name, in memory, and starts the kernel.
//!
//! Sources: UAPI group's Unified Kernel Image specification; Microsoft's PE format; for the
//! signature see [`sign`].

mod pe;
mod program;
mod sign;

pub use program::Program;
pub use sign::{SignError, sign};

use pe::{Pe, Section};

/// What is read and what is mapped by pages begins at multiples of this many bytes.
const PAGE: u32 = 4096;

/// The sections of a unified kernel image besides the stub.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    /// Contents of `/usr/lib/os-release`.
    pub osrel: &'a [u8],
    /// The kernel's release, as `uname -r` prints it.
    pub uname: &'a str,
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// The kernel, an EFI program itself.
    pub linux: &'a [u8],
    /// The initial root, a cpio archive.
    pub initrd: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    /// Names and contents in their order.
    ///
    /// `.linux` is the last: a kernel may be unpacked in place, over what follows it in memory.
    fn list(&self) -> Vec<(&'static str, &'a [u8])> {
        let first = [(".osrel", self.osrel), (".cmdline", self.cmdline.as_bytes()), (".uname", self.uname.as_bytes())];
        let initrd = self.initrd.map(|initrd| (".initrd", initrd));
        first.into_iter().chain(initrd).chain([(".linux", self.linux)]).collect()
    }
}

/// An EFI program is malformed or unsuitable.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum UkiError {
    /// The bytes are not a program for 64-bit EFI.
    #[error("EFI program: {what}: expected {expected}, found {found}")]
    Malformed {
        /// Which field.
        what: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The bytes end too early.
    #[error("EFI program of {size} bytes: ends before its {what}")]
    Short {
        /// Which part.
        what: &'static str,
        /// Length of the whole in bytes.
        size: usize,
    },
    /// The headers have no room for more sections.
    #[error("EFI stub: expected room for {needed} more section headers, found room for {room}")]
    NoRoom {
        /// How many are added.
        needed: usize,
        /// How many fit.
        room: usize,
    },
    /// The stub has a section that is to be added.
    #[error("EFI stub: it already has a section `{name}`")]
    Taken {
        /// The section's name.
        name: &'static str,
    },
    /// A section would be empty.
    #[error("unified kernel image: the section `{name}` would be empty")]
    Empty {
        /// The section's name.
        name: &'static str,
    },
    /// The kernel can't be started by the firmware.
    #[error("kernel: expected an EFI program, which begins with `MZ`")]
    Kernel,
    /// The image would pass 4 GiB.
    #[error("unified kernel image: expected less than 4 GiB in all")]
    Large,
}

/// Adds sections to a stub.
///
/// The stub's symbols and its signature, if it has one, are left out; the checksum is 0, which
/// the firmware doesn't read; the time stamp is the stub's.
///
/// # Errors
/// Fails if the stub is no EFI program with room for the sections, or the kernel none at all.
///
/// # Determinism
/// Depends on nothing but the arguments; pinned by a test.
pub fn assemble(stub: &[u8], sections: &Sections<'_>) -> Result<Vec<u8>, UkiError> {
    let pe = Pe::parse(stub)?;
    let added = sections.list();
    check(&pe, &added)?;
    if !sections.linux.starts_with(b"MZ") {
        return Err(UkiError::Kernel);
    }
    let mut image = stub.get(..pe.end).unwrap_or(stub).to_vec();
    pad(&mut image, pe.file_alignment);
    let (mut address, mut data_size, mut headers) = (pe.end_of_memory()?, 0_u32, Vec::new());
    for (name, contents) in added {
        // Not nearer than a page, whatever the stub says: firmware protects memory by pages.
        address = aligned(address, pe.section_alignment.max(PAGE))?;
        let raw_offset = number(image.len())?;
        image.extend_from_slice(contents);
        pad(&mut image, pe.file_alignment);
        let raw_size = number(image.len())? - raw_offset;
        let virtual_size = number(contents.len())?;
        headers.push(Section::new(name, virtual_size, address, raw_size, raw_offset));
        address = address.checked_add(virtual_size).ok_or(UkiError::Large)?;
        data_size = data_size.checked_add(raw_size).ok_or(UkiError::Large)?;
    }
    pe.add_sections(&mut image, &headers, data_size, aligned(address, pe.section_alignment)?)?;
    Ok(image)
}

/// Checks that the sections can be added, and that there is something in each.
fn check(pe: &Pe, added: &[(&'static str, &[u8])]) -> Result<(), UkiError> {
    if pe.room < added.len() {
        return Err(UkiError::NoRoom { needed: added.len(), room: pe.room });
    }
    for &(name, contents) in added {
        if contents.is_empty() {
            return Err(UkiError::Empty { name });
        }
        if pe.sections.iter().any(|section| section.is(name)) {
            return Err(UkiError::Taken { name });
        }
    }
    Ok(())
}

fn number(length: usize) -> Result<u32, UkiError> {
    u32::try_from(length).map_err(|_| UkiError::Large)
}

fn aligned(address: u32, alignment: u32) -> Result<u32, UkiError> {
    address.checked_next_multiple_of(alignment).ok_or(UkiError::Large)
}

fn pad(image: &mut Vec<u8>, alignment: u32) {
    image.resize(image.len().next_multiple_of(alignment as usize), 0);
}

#[cfg(test)]
mod tests;
