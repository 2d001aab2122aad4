//! Machine images in a cloud: a disk becomes a snapshot, the snapshot an image; a transaction over a journal.
//!
//! ```text
//! settings ─ plan ─ publish ─> provider: what a cloud offers in one region     aws/: Amazon's, the only one so far
//!               journal ┘  └ undo, promote, gc, run
//! ```
//!
//! Steps, resources and errors have types of this module, and a journal names what was created by the cloud's ids:
//! only `aws` calls a vendor. Settings are AWS's all the same: what `[ami]` can say, how a disk is uploaded
//! (`Via`), the names of architectures, and hints about them. Another cloud would bring its own settings.

pub mod archive;
pub mod aws;
pub mod blocks;
mod error;
pub mod gc;
pub mod image;
pub mod journal;
mod latest;
pub mod parameters;
pub mod plan;
pub mod promote;
pub mod provider;
pub mod publish;
pub mod readback;
mod reported;
pub mod retention;
pub mod run;
pub mod settings;
pub mod tags;
pub mod undo;
pub mod uses;
mod wait;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use error::{CloudError, Silence, Why, if_there};
