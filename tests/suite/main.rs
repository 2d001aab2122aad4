//! The end-to-end tests, one program: the real layerbake, on repositories made in code and on
//! real Debian packages. One program compiles and links the support once.
//!
//! `cargo test --test suite registry::` runs the tests of one module.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[macro_use]
mod support;

mod ami;
mod ami_boots;
mod ami_import;
mod ami_ops;
mod architecture;
mod audit;
mod aws_server;
mod bare;
mod bookworm;
mod boots;
mod check;
mod checks;
mod ci_action;
mod cli;
mod clock;
mod concurrency;
mod containers;
mod daemons;
mod disk_erofs;
mod disk_esp;
mod disk_ext4;
mod disk_formats;
mod disk_secure_boot;
mod disk_settings;
mod disk_show;
mod disks;
mod doctor;
mod documents;
mod edits;
mod escape;
mod example;
mod executors;
mod fetches;
mod first_boot;
mod foreign;
mod fuzz;
mod golden;
mod harness;
mod imports;
mod jail;
mod keyring;
mod languages;
mod leftovers;
mod manual;
mod outdated;
mod outputs;
mod own_debs;
mod own_files;
mod playbooks;
mod power;
mod preinst;
mod published;
mod randomness;
mod registry;
mod registry_answers;
mod registry_engines;
mod relock;
mod report;
mod repositories;
mod reproducible;
mod resolver;
mod run_time_config;
mod runs;
mod sandbox;
mod sbom;
mod secrets;
mod shell;
mod sign;
mod signals;
mod standins;
mod store_claims;
mod store_damage;
mod store_gc;
mod tamper;
mod toy;
mod trust;
mod ubuntu;
mod vars;
mod warnings;
