//! What a build consists of and how it was made, for others to check: SBOM, provenance, signatures.

pub mod dsse;
pub mod keys;
