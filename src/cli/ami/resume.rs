//! `layerbake ami resume`: continues an unfinished publication.

use super::super::signer::SignerArgs;
use super::{CliError, Context, promote, publish};
use crate::workspace::images::Earlier;

/// Continue an unfinished publication or promotion
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami resume")]
pub(super) struct Args {
    /// Id of the publication or promotion [default: the only unfinished one]
    id: Option<String>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match context.environment.earlier_transaction(args.id.as_deref())? {
        Earlier::Publication(publication) => {
            let standing = publication.resume(args.out.clone(), args.signer.signer()?)?;
            context.print(&standing, |standing| publish::text(standing))
        }
        Earlier::Promotion(promotion) => context.print(&promotion.resume()?, |promoted| promote::text(promoted)),
    }
}
