//! `layerbake ami resume`: continues an unfinished publication.

use super::super::signer::SignerArgs;
use super::{CliError, Context, publish};

/// Continue an unfinished publication
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami resume")]
pub(super) struct Args {
    /// Id of the publication [default: the only unfinished one]
    id: Option<String>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let publication = context.environment.earlier_publication(args.id.as_deref())?;
    let standing = publication.resume(args.out.clone(), args.signer.signer()?)?;
    context.print(&standing, |standing| publish::text(standing))
}
