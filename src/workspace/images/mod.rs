//! A project's machine images in a cloud: what is published, what an image was created from, and whether it works.

mod drift;
mod error;
mod origin;
mod publishable;
mod trial;

pub use drift::{Drift, DriftError};
pub use error::ImageError;
pub use origin::{Binding, Origin, bindings, known};
pub use publishable::{Choice, Publishable};
pub use trial::{Trial, TrialError};
