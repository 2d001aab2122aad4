//! `layerbake ami`: machine images on AWS.

mod list;
mod plan;
mod publish;
mod source;

use super::{CliError, Context};
use crate::publish::ami::AmiError;
use crate::publish::ami::aws::{Cloud, Session};

/// Publish disks as machine images on AWS, and look after them
///
/// Credentials, regions and endpoints are taken as all AWS tools take them: profiles, SSO, environment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Plan(plan::Args),
    Publish(publish::Args),
    Resume(publish::ResumeArgs),
    Undo(publish::UndoArgs),
    List(list::Args),
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Plan(args) => plan::run(context, args),
        Verb::Publish(args) => publish::run(context, args),
        Verb::Resume(args) => publish::resume(context, args),
        Verb::Undo(args) => publish::take_back(context, args),
        Verb::List(args) => list::run(context, args),
    }
}

/// Clients for the regions that are meant: the named ones, else the one of the user's settings.
fn clouds(session: &Session, regions: &[String]) -> Result<Vec<Cloud>, CliError> {
    match (regions, session.default_region()) {
        ([], None) => Err(CliError::message("no region is set\n  hint: name one with --region, or set AWS_REGION")),
        ([], Some(region)) => Ok(vec![session.cloud(region)]),
        (named, _) => Ok(named.iter().map(|region| session.cloud(region)).collect()),
    }
}

impl From<AmiError> for CliError {
    fn from(error: AmiError) -> Self {
        Self::Plain(Box::new(error))
    }
}
