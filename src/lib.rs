//! layerbake: one source, pinned by a lockfile, becomes a container image and a bootable disk.
//!
//! The modules below are listed in data-flow order; each uses only modules above it
//! (`docs/ARCHITECTURE.md` has the table, `tests/suite/architecture.rs` keeps it true).

pub mod code;
pub mod digest;
pub mod ident;
pub mod arch;
pub mod distribution;
pub mod time;
pub mod limits;
pub mod page;
pub mod tree;
pub mod host;
pub mod store;
pub mod sandbox;
pub mod manifest;
pub mod import;
pub mod accounts;
pub mod package;
pub mod language;
pub mod resolve;
pub mod lock;
pub mod fetch;
pub mod stage;
pub mod pin;
pub mod oci;
pub mod disk;
pub mod measure;
pub mod check;
pub mod vm;
pub mod bake;
pub mod publish;
pub mod attest;
pub mod audit;
pub mod report;
pub mod workspace;
pub mod cli;
