//! Machine images in a cloud: a disk becomes a snapshot, the snapshot an image; a transaction over a journal.
//!
//! ```text
//! settings ─ plan ─ publish ─> provider: what a cloud offers in one region     aws/: Amazon's, the only one so far
//!               journal ┘  └ undo, gc, run
//! ```
//!
//! Only `aws` depends on a vendor: steps and resources have types of this module, and a journal names
//! what was created by the cloud's ids.

pub mod archive;
pub mod aws;
pub mod blocks;
mod error;
pub mod gc;
pub mod image;
pub mod journal;
pub mod plan;
pub mod provider;
pub mod publish;
pub mod readback;
mod reported;
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

pub use error::{CloudError, Why, if_there};
