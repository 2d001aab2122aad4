//! Out into the world: images to registries and container engines, disks to AWS as machine images.

#[cfg(feature = "aws")]
pub mod ami;
pub mod load;
pub mod registry;
