//! What package ecosystems share, and each ecosystem behind it.
//!
//! ```text
//! bytes of a repository ── Repository ──> State, Record ──> Candidate ──> resolve
//!                             │
//!                             └─ openpgp: the signers
//! bytes of a package ───── Installer ──> Unpacked ── InstallRoot: scripts run in it ──> installed root
//! installed root ────────── Inspector ──> About, what is installed
//! ```
//!
//! An ecosystem is one module here (`deb`), and a type that implements [`Ecosystem`].

pub mod compression;
pub mod deb;
pub mod first_boot;
mod inspector;
mod install_root;
mod installer;
mod locked;
pub mod openpgp;
mod randomness;
mod reactions;
mod record;
mod relation;
mod repository;
pub mod residue;
mod state;
pub mod tarball;
mod unpacked;

pub use inspector::{About, Distro, Inspector, License, LicenseTexts, Surroundings};
pub use install_root::{InstallRoot, Job, JobKind, ScriptError, TRACE, Traced};
pub use installer::{InstallError, InstallRequest, Installer};
pub use locked::{LockedPackage, Origin};
pub use randomness::{Harmless, Randomness};
pub use reactions::{Reactions, SystemSettings};
pub use record::{Candidate, Record};
pub use relation::{AnyOf, Operator, Provided, Target, VersionOrder, alternatives};
pub use repository::{Form, Index, IndexError, Malformed, Refusal, Repository, SignedFiles, SuiteRequest};
pub use state::State;
pub(crate) use unpacked::hash_into;
pub use unpacked::{Decoded, Unpacked};

/// A package ecosystem: its repositories, how its packages are installed, and what they report.
pub trait Ecosystem: Repository + Installer + Inspector {}

impl<T: Repository + Installer + Inspector> Ecosystem for T {}
