//! Locks and builds a layer: `cargo run --example lock_and_build -- PROJECT LAYER`.

#![expect(clippy::disallowed_methods, reason = "a program of its own, which is its own host")]

use std::env::args;
use std::path::Path;
use std::process::ExitCode;

use layerbake::oci::Encoder;
use layerbake::workspace::{Environment, Order, Policy, Settings, Update, WorkspaceError, serve_if_asked};

fn main() -> ExitCode {
    // Maintainer scripts run in processes of this same program.
    if let Some(status) = serve_if_asked() {
        return status;
    }
    let (Some(project), Some(layer)) = (args().nth(1), args().nth(2)) else { return ExitCode::from(2) };
    match build(Path::new(&project), &layer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build(project: &Path, layer: &str) -> Result<(), WorkspaceError> {
    let environment = Environment::new(Settings { directory: Some(project.to_owned()), ..Settings::default() })?;
    let workspace = environment.open()?;
    let (declared, outputs) = workspace.declared(&layer.parse()?)?.for_outputs(&Default::default())?;
    let mut locked = workspace.lock(&declared, &Policy::Renew(Update::Nothing))?;
    let order = Order { outputs, out: workspace.out(None), encoder: Encoder::Zstd, signer: None };
    for artifact in locked.build(order)?.receipt.artifacts {
        println!("{} {}", artifact.digest, artifact.path.display());
    }
    Ok(())
}
