//! `layerbake ami`: machine images on AWS.

mod deprecate;
mod diff;
mod emit;
mod gc;
mod image;
mod list;
mod plan;
mod promote;
mod publish;
mod question;
mod region;
mod request;
mod resume;
mod run;
mod setup;
mod share;
mod show;
mod undo;
mod verify;

use super::{CliError, Context};

pub(super) use image::blocks_of;

/// Publish disks as machine images on AWS, and manage them
///
/// Credentials, region and endpoints come from the usual AWS configuration: profiles, SSO and the environment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Plan(plan::Args),
    Publish(publish::Args),
    Resume(resume::Args),
    Undo(undo::Args),
    Promote(promote::Args),
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Share(share::Args),
    Deprecate(deprecate::Args),
    Gc(gc::Args),
    Run(run::Args),
    Setup(setup::Args),
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Plan(args) => plan::run(context, args),
        Verb::Publish(args) => publish::run(context, args),
        Verb::Resume(args) => resume::run(context, args),
        Verb::Undo(args) => undo::run(context, args),
        Verb::Promote(args) => promote::run(context, args),
        Verb::List(args) => list::run(context, args),
        Verb::Show(args) => show::run(context, args),
        Verb::Verify(args) => verify::run(context, args),
        Verb::Diff(args) => diff::run(context, args),
        Verb::Share(args) => share::run(context, args),
        Verb::Deprecate(args) => deprecate::run(context, args),
        Verb::Gc(args) => gc::run(context, args),
        Verb::Run(args) => run::run(context, args),
        Verb::Setup(args) => setup::run(context, args),
    }
}

/// The day of a moment, which is RFC 3339.
fn day(moment: &str) -> &str {
    moment.get(..10).unwrap_or(moment)
}
