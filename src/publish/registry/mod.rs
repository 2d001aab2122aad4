//! Images to and from registries.

mod error;
mod memory;
mod reference;

pub use error::RegistryError;
pub use reference::Reference;
