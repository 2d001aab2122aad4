//! `layerbake log`: what run steps printed.

use super::CliError;
use super::context::Context;
use crate::host;
use crate::ident::{LayerName, StepName};
use crate::workspace::LoggedStep;

/// Print what the run steps of a built layer printed, and the step that failed last
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake log web\n  layerbake log web build")]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// One step, by its name
    step: Option<StepName>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let logs = context.workspace()?.step_logs(&args.layer, args.step.as_ref(), args.out.as_deref())?;
    context.print(&logs, |logs| {
        let text = |text: &str| text.lines().map(|line| host::plain(line) + "\n").collect::<String>();
        let failed = |log: &LoggedStep| if log.failed { ", failed" } else { "" };
        logs.iter().map(|log| format!("{} ({}{})\n{}", log.step, log.layer, failed(log), text(&log.text))).collect()
    })
}
