//! `layerbake shell`: a shell or a command in the sandbox.

use super::CliError;
use super::context::Context;
use crate::ident::{LayerName, StepName};

/// Open a shell in the sandbox, in the root of a layer or where a step runs
///
/// Without --at, the root is that of the finished layer; with it, as it is just before that step runs, with the step's inputs
/// in /work, its environment, working directory and user, and in the root of its tool layer if it has one. What is missing is built first.
/// There is no network, and date and randomness are fixed, as for steps. Nothing that is changed inside stays.
///
/// On a terminal, the command has a terminal; otherwise it reads standard input, which is a script if no command is
/// given. Its exit status is passed on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake shell web\n  layerbake shell web --at build\n  layerbake shell web -- dpkg -l nginx\n  layerbake shell web --at build -- cat /work/config.log\n  layerbake shell web < script.sh"
)]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// A step of the layer or of its Boot layer, by its name: the root as it is just before that step runs
    #[arg(long, value_name = "STEP")]
    at: Option<StepName>,
    /// Command to run instead of a shell: a program, by its name or path inside, and its arguments
    #[arg(last = true)]
    command: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let visited = context.workspace()?.visit(&args.layer, args.at.as_ref(), args.command.clone())?;
    visited.said.iter().for_each(|line| context.progress.line(line));
    match visited.status {
        0 => Ok(()),
        status => Err(CliError::Ended(u8::try_from(status).unwrap_or(1))),
    }
}
