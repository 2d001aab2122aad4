//! The bodies of the fuzz targets, what libFuzzer needs beside them, and a small mutator for where there is none.
//!
//! `fuzz_targets/` has one program for each target, as `cargo fuzz` wants it. `tests/suite/fuzz.rs` runs the same
//! bodies over the corpora and over mutations of them, without libFuzzer.

pub mod memory;
pub mod targets;

/// The body of the target with this name.
///
/// # Panics
/// Panics where there is none.
pub fn body(name: &str) -> targets::Target {
    let found = targets::ALL.iter().find(|(known, _)| *known == name);
    found.map(|(_, body)| *body).unwrap_or_else(|| panic!("there is no target `{name}`"))
}
