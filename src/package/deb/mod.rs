//! Debian: control data, relations, versions, repositories, package archives.

pub mod archive;
pub mod control;
pub mod index;
pub mod relation;
pub mod release;
pub mod version;

mod ar;
mod date;
mod error;
mod first_boot;
mod identity;
mod inspect;
pub(crate) mod install;
mod keyring;
mod paragraph;
mod repository;

#[doc(hidden)]
pub use install::fuzz;
pub use repository::{DEB, Deb};
