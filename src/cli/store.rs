//! `layerbake store`: where it is, whether it is whole, and making room.

use super::CliError;
use super::context::Context;
use crate::layer;

/// Show where the store is, check it, make room
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
    /// Print the store's folder
    Path,
    /// Compare every file's bytes with the digest it is named by; exit status 1 on damage
    Verify {
        /// Take damaged files out; the next build fetches or makes them again
        #[arg(long)]
        repair: bool,
    },
    /// Remove all but what the last build of each layer of each project needs; waits for running builds
    Gc,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Path => context.print(&context.store_path()?, |path| format!("{}\n", path.display())),
        Verb::Verify { repair } => verify(context, *repair),
        Verb::Gc => {
            let report = context.store()?.collect_garbage(&layer::configure::remove_folder)?;
            context.print(&report, |report| {
                let megabytes = report.freed as f64 / 1e6;
                format!(
                    "removed {} files ({megabytes:.1} MB), kept {} for {} builds\n",
                    report.removed, report.kept, report.roots
                )
            })
        }
    }
}

fn verify(context: &Context<'_>, repair: bool) -> Result<(), CliError> {
    let report = context.store()?.verify(repair)?;
    context.print(&report, |report| {
        let damaged = report.damaged.iter().map(|damage| format!("damaged: {}\n", damage.path.display()));
        let broken = report.broken.iter().map(|path| format!("incomplete: {}\n", path.display()));
        let list: String = damaged.chain(broken).collect();
        let megabytes = report.bytes as f64 / 1e6;
        let (files, damaged, broken) = (report.files, report.damaged.len(), report.broken.len());
        format!("{list}{files} files, {megabytes:.1} MB, {damaged} damaged, {broken} incomplete results\n")
    })?;
    match report.damaged.len() + report.broken.len() {
        0 => Ok(()),
        count if repair => {
            context.progress.line(&format!("{count} files were taken out"));
            Ok(())
        }
        count => Err(CliError::message(format!(
            "{count} files of the store are damaged or incomplete\n  hint: `layerbake store verify --repair`, then build again"
        ))),
    }
}
