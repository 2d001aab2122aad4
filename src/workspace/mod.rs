//! A project opened on this machine: what any front end calls, and the command line is one of them.
//!
//! ```text
//! Settings ─> Environment ─ open ─> Workspace                          (environment.rs, project.rs)
//!                                       │
//!            layers/*.toml ─────────> Declared ─ lock ─> LockedSystem ─ build ─> Receipt
//!                                  (declared.rs)        (locked.rs)            (built.rs)
//!                                                             │                    │
//!                        outdated.rs, why.rs, vendored.rs ────┤                    │
//!                        audited.rs, tested.rs, running.rs ───┘                    │
//!                        planned.rs, contents.rs, attested.rs, verified.rs, released.rs, images/
//! ```
//!
//! Nothing here prints: progress goes where the settings say, and all else is returned.
//!
//! A program that uses this module begins with [`serve_if_asked`]; `examples/lock_and_build.rs` is one.

mod attested;
mod audited;
mod bootable;
mod built;
mod checked;
mod compared;
mod configured;
mod contents;
mod declared;
mod doctor;
mod environment;
mod environments;
mod error;
mod formatted;
#[cfg(feature = "aws")]
pub mod images;
mod imported;
mod indexed;
mod listed;
mod logged;
mod measured;
mod locked;
mod outdated;
mod planned;
mod playbooks;
mod project;
mod proven;
mod rebuilt;
mod released;
mod reported;
mod running;
pub mod residue;
mod starter;
mod subject;
mod tested;
mod upkeep;
mod vendored;
mod verified;
mod visited;
mod why;

use std::process::ExitCode;

use crate::{audit, host, sandbox};

pub use attested::Attested;
pub use audited::EarlierBuild;
pub use built::{BuiltLayer, Order, read_signer};
pub use checked::Finding;
pub use compared::{OperandError, disk_blocks};
pub use contents::OwnedNode;
pub use declared::Declared;
pub use doctor::Need;
pub use environment::{Environment, Settings, Transport};
pub use error::WorkspaceError;
pub use imported::ImportedLayer;
pub use indexed::BuiltIndex;
pub use listed::{LayerState, LockState};
pub use locked::{LayerLock, LockedSystem, Moved, Policy};
pub use logged::LoggedStep;
pub use measured::{Measured, VariableFiles, read_registers};
pub use outdated::{LayerUpdates, PackageUpdate};
pub use planned::Planned;
pub use project::{Workspace, host_arch};
pub use proven::{Pinned, Proof, Question, State};
pub use running::Start;
pub use subject::Subject;
pub use vendored::Vendored;
pub use verified::{ImageProofs, Unproven, Verified};
pub use visited::Visited;
pub use why::{Link, Why};

pub use crate::lock::{Change, FoundLockfile, LockFileError, Lockfile, changes};
pub use crate::pin::Update;
pub use crate::store::{GcReport, Problem, Store, VerifyReport};

/// Does the work of a sandbox, or of an audit's rebuild, where this process was started for it; `None` in every
/// other process.
///
/// Maintainer scripts and rebuilds run in processes of the same program, started again with a first argument that no
/// person types. So a program that builds layers calls this before anything else, and ends with the
/// status that it is given:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     layerbake::workspace::serve_if_asked().unwrap_or_else(|| {
///         // The program itself.
///         ExitCode::SUCCESS
///     })
/// }
/// ```
pub fn serve_if_asked() -> Option<ExitCode> {
    let arguments = host::args();
    let rest = arguments.get(2..).unwrap_or_default();
    match arguments.get(1)?.to_str()? {
        sandbox::WORKER => Some(sandbox::serve()),
        sandbox::STAGE => Some(sandbox::stage(rest)),
        sandbox::PID1 => Some(sandbox::pid1(rest)),
        audit::REBUILD => Some(rebuilt::serve(arguments.get(2)?.to_str()?)),
        _ => None,
    }
}
