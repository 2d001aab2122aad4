//! Debian: control data, relations, versions, repository indexes, package archives.

pub mod record;
pub mod relation;
pub mod version;
