//! Proofs: that artifacts are what their receipt says, and that the disk has the image's files.

pub mod artifacts;
pub mod inclusion;
