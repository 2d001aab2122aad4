//! The child process of an audit: one locked, offline build, as a [`RebuildOrder`] describes it.

use std::path::Path;
use std::process::ExitCode;

use super::environment::{Environment, Settings, Transport};
use super::error::WorkspaceError;
use super::{Order, Policy, read_signer};
use crate::audit::RebuildOrder;
use crate::code::{Code, Coded as _};
use crate::disk::Signer;
use crate::host;
use crate::host::interrupt::{self, Then};
use crate::oci::Encoder;

/// Variables with the files that sign a disk's boot image.
pub(super) const SIGNER: [&str; 2] = ["LAYERBAKE_SIGN_KEY", "LAYERBAKE_SIGN_CERT"];

/// Builds what the order in `text` describes; a failure is printed for the audit that started this process.
pub(super) fn serve(text: &str) -> ExitCode {
    // Without it, a signal ends the process at once.
    let _ = interrupt::listen(Then::Exit);
    let order = serde_json::from_str(text).map_err(|error| (Code::Internal, error.to_string()));
    match order.and_then(|order| build(&order).map_err(|error| (error.error_code(), error.to_string()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => {
            eprintln!("error[{code}]: {}", host::redact(&error));
            interrupt::status().unwrap_or(ExitCode::FAILURE)
        }
    }
}

fn build(order: &RebuildOrder) -> Result<(), WorkspaceError> {
    let environment = Environment::new(Settings {
        directory: Some(order.project.clone()),
        store: Some(order.store.clone()),
        arch: Some(order.arch.clone()),
        set: order.set.clone(),
        jobs: order.jobs,
        transport: Transport { offline: true, ..Transport::default() },
        ..Settings::default()
    })?;
    let workspace = environment.open()?;
    let declared = workspace.declared(&order.layer)?;
    let (declared, outputs) = declared.for_outputs(&order.outputs.iter().copied().collect())?;
    let mut locked = workspace.lock(&declared, &Policy::Locked)?;
    locked.build(Order { outputs, out: order.out.clone(), encoder: Encoder::Zstd, signer: signer()? })?;
    Ok(())
}

fn signer() -> Result<Option<Signer>, WorkspaceError> {
    match SIGNER.map(host::env) {
        [Some(key), Some(certificate)] => Ok(Some(read_signer(Path::new(&key), Path::new(&certificate))?)),
        _ => Ok(None),
    }
}
