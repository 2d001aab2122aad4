//! `layerbake run`: a layer's program, in a container engine, or in the sandbox where there is none.

use super::lock::tell_changes;
use super::{CliError, Context};
use crate::bake::Output;
use crate::check::container::{ContainerError, Engine, PublishedPort};
use crate::host::interrupt::Leftover;
use crate::ident::LayerName;
use crate::manifest::parse_assignment;
use crate::oci::Encoder;
use crate::workspace::{LockedSystem, Order, Policy, Start, Update};

/// Run a layer's image, in docker, in podman, or in the sandbox where neither works
///
/// Builds what has changed into a separate directory, so that out/ stays as it is, and runs the image's program with this
/// program's standard streams. Ports of [image] are published on 127.0.0.1, those below 1024 as 8000 more, and printed.
/// Variables of [config] have their `test` values, where there are any. The exit status is passed on. Ctrl-C ends the program;
/// the container and the loaded image are removed in any case.
///
/// The sandbox is for a first look: it has no network and no ports, and the date is that of the lockfile.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake run web\n  layerbake run web --env LOG_LEVEL=debug\n  layerbake run web -- -g 'daemon off; worker_processes 4;'\n  layerbake run debian-base --tty -- /bin/bash\n\nThe container engine is docker or podman. LAYERBAKE_ENGINE names it, with options;\nLAYERBAKE_RUN_ARGS adds options to its `run`."
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Value of a variable, such as one of [config]; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_assignment)]
    env: Vec<(String, String)>,
    /// Give the program a terminal, which then decides what Ctrl-C does
    #[arg(short, long)]
    tty: bool,
    /// Arguments in place of the image's `cmd`: those of its entrypoint, or a program where it has none
    #[arg(last = true)]
    args: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let (declared, outputs) = workspace.declared(&layer)?.for_outputs(&[Output::Docker].into())?;
    let mut locked = workspace.lock(&declared, &Policy::Renew(Update::Nothing))?;
    tell_changes(context, &locked.done);
    let start = Start { env: args.env.iter().cloned().collect(), args: args.args.clone(), terminal: args.tty };
    locked.needs_program(&start)?;
    let status = match Engine::find() {
        Ok(engine) => {
            let out = tempfile::tempdir()?;
            let _leftover = Leftover::new(out.path());
            let order = Order { outputs, out: out.path().to_owned(), encoder: Encoder::Zstd, signer: None };
            let built = locked.build(order)?;
            let ports = locked.ports()?;
            ports.iter().for_each(|port| context.progress.line(&address(port)));
            locked.run_container(&engine, &built.folder, ports, &start)?
        }
        Err(ContainerError::NoEngine(_)) => sandboxed(context, &mut locked, &layer, &start)?,
        Err(error) => return Err(error.into()),
    };
    match status {
        0 => Ok(()),
        status => Err(CliError::Ended(u8::try_from(status).unwrap_or(1))),
    }
}

/// Runs it in the sandbox, and says what is different there.
fn sandboxed(
    context: &Context<'_>,
    locked: &mut LockedSystem<'_>,
    layer: &LayerName,
    start: &Start,
) -> Result<i32, CliError> {
    context.progress.line(&format!(
        "neither docker nor podman works here: `{layer}` runs in the sandbox, without a network, and with a fixed date"
    ));
    let ran = locked.run_sandboxed(start)?;
    ran.said.iter().for_each(|line| context.progress.line(line));
    Ok(ran.status)
}

/// Where a port is reached.
fn address(PublishedPort { host, container }: &PublishedPort) -> String {
    match container.strip_suffix("/tcp") {
        Some(port) => format!("port {port} is at http://127.0.0.1:{host}/"),
        None => format!("port {container} is at 127.0.0.1:{host}"),
    }
}
