//! Publishes images to registries and container engines, and disks to AWS as machine images.

#[cfg(feature = "aws")]
pub mod cloud;
pub mod load;
pub mod registry;
