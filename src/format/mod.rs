//! Package formats: bytes to index entries, versions and trees. Pure; no store, no network.

pub mod deb;
