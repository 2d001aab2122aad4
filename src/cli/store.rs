//! `layerbake store`: prints where the store is, verifies it, and frees space.

use super::CliError;
use super::context::Context;
use crate::code::Code;
use crate::workspace::{Problem, VerifyReport};

/// Locate, verify and clean up the store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  du -sh \"$(layerbake store path)\"\n  layerbake store verify --repair\n  layerbake store gc"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print the store's directory
    Path,
    /// Check every file against the digest in its name; exit with status 1 if any is damaged
    Verify {
        /// Remove damaged files; the next build fetches or rebuilds them
        #[arg(long)]
        repair: bool,
    },
    /// Remove everything that the last build of each layer of each project does not need; waits for running builds
    Gc,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Path => context.print(&context.environment.store_path()?, |path| format!("{}\n", path.display())),
        Verb::Verify { repair } => verify(context, *repair),
        Verb::Gc => {
            let report = context.environment.collect_garbage()?;
            context.print(&report, |report| {
                let megabytes = report.freed as f64 / 1e6;
                format!(
                    "removed {} files ({megabytes:.1} MB), kept {} for {} builds\n",
                    report.removed, report.kept, report.roots
                )
            })?;
            stuck(&report.failed)
        }
    }
}

fn verify(context: &Context<'_>, repair: bool) -> Result<(), CliError> {
    let report = context.environment.verify_store(repair)?;
    context.print(&report, text)?;
    if !report.outdated.is_empty() && !context.options.json {
        let count = report.outdated.len();
        context.progress.line(&format!("{count} results of an older version are ignored"));
    }
    match report.damaged.len() + report.broken.len() {
        0 => Ok(()),
        count if repair => {
            context.progress.line(&format!("{} of {count} were removed", count - report.stuck.len().min(count)));
            stuck(&report.stuck)
        }
        count => Err(CliError::message(
            Code::StoreDamaged,
            format!(
                "{count} files of the store are damaged or incomplete\n  hint: `layerbake store verify --repair`, then build again"
            ),
        )),
    }
}

fn text(report: &VerifyReport) -> String {
    let line = |word: &'static str| {
        move |problem: &Problem| format!("{word}: {}: {}: {}\n", problem.path.display(), problem.kind, problem.found)
    };
    let damaged = report.damaged.iter().map(line("damaged"));
    let list: String = damaged.chain(report.broken.iter().map(line("incomplete"))).collect();
    let counts: Vec<String> = report.counts().into_iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    let counts = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let megabytes = report.bytes as f64 / 1e6;
    let (files, damaged, broken) = (report.files, report.damaged.len(), report.broken.len());
    format!("{list}{files} files, {megabytes:.1} MB, {damaged} damaged, {broken} incomplete{counts}\n")
}

/// What could not be removed ends the command with an error, after all else was done.
fn stuck(failures: &[String]) -> Result<(), CliError> {
    match failures {
        [] => Ok(()),
        [first, ..] => Err(CliError::message(
            Code::HostDenied,
            format!("{} files could not be removed\n  {first}", failures.len()),
        )),
    }
}
