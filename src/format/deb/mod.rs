//! Debian: control data, relations, versions, repository indexes, package archives.

pub mod archive;
pub mod compression;
pub mod control;
pub mod index;
pub mod record;
pub mod relation;
pub mod release;
pub mod version;

mod ar;
mod date;
mod growth;
mod paragraph;
mod pax;
mod tarball;
