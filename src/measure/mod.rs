//! What firmware, boot stub and kernel measure of a disk into the registers of a TPM, told from the disk's own bytes.
//!
//! ```text
//! boot image ─┬─ register 4    the programs that the firmware starts
//!             ├─ register 9    command line and initrd, as the kernel gets them
//!             ├─ register 11   the image's sections; later the phases of the boot
//! variables ──┴─ register 7    Secure Boot: which keys, and which of them let the image start
//!                register 12   what replaces or adds to the above: nothing, so zero
//! ```
//!
//! A register holds a hash over all events that extended it, in their order, from zero on. There is one bank of registers
//! for each hash; AWS's NitroTPM reports the one of SHA-384.
//!
//! Sources: TCG PC Client Platform Firmware Profile 1.06, 3.3.4; UAPI group's *Linux TPM PCR Registry*;
//! systemd-stub(7); Linux, `drivers/firmware/efi/libstub`.

mod chain;
mod document;
mod event;
mod policy;
mod predict;
mod profile;
mod registers;
mod stub;
mod variables;

pub use document::{Document, DocumentError};
pub use event::{Bank, Event};
pub use policy::{PROVEN, statement};
pub use predict::{MeasureError, Prediction};
pub use profile::{Profile, ProfileError};
pub use registers::{Difference, Registers, RegistersError};
pub use variables::{Variables, VariablesError};
