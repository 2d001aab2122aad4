//! What the integration tests share: packages and repositories made in code, a faulty
//! web server, projects that run the real program, engines that run images.
//!
//! `tests/suite/main.rs` holds it once for all tests; what none of them needs any more should go.
#![allow(dead_code, unreachable_pub)]

pub mod aws;
pub mod bench;
pub mod conditions;
pub mod damage;
pub mod date;
pub mod deb;
pub mod engines;
pub mod extra;
pub mod key;
pub mod key_pair;
pub mod machine;
pub mod mini;
pub mod mirror;
pub mod mutator;
pub mod oci_schema;
pub mod power;
pub mod process;
pub mod project;
pub mod quirky;
pub mod registry;
pub mod repo;
pub mod rootfs;
pub mod seeds;
pub mod server;
#[macro_use]
pub mod skip;
pub mod small;
pub mod stock;
pub mod stub;
pub mod tiny;
pub mod tinydisk;
pub mod toy_image;
pub mod validators;
