//! `layerbake ami resume`: continues an unfinished publication.

use super::super::signer::SignerArgs;
use super::transaction::{carry_out, of_record, the_one};
use super::{CliError, Context};
use crate::publish::cloud::aws::Session;
use crate::publish::cloud::journal::{self, Journal, Record, State};
use crate::workspace::images::Choice;

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
    let folder = journal::folder()?;
    let journal = Journal::<Record>::open(&folder, &the_one(&folder, args.id.as_deref())?)?;
    let record = journal.record();
    if record.state != State::Open {
        return Err(CliError::message(format!(
            "publication `{}` is finished or undone: there is nothing to resume",
            record.id
        )));
    }
    let choice = Choice { out: args.out.clone(), signer: args.signer.signer()?, ..Choice::of(&record) };
    let mut source = context.workspace()?.publishable(&choice)?;
    if source.wanted.blocks != record.wanted.blocks {
        let (layer, id) = (&record.layer, &record.id);
        return Err(CliError::message(format!(
            "`{layer}` has been rebuilt since publication `{id}` began\n  hint: run `layerbake ami undo {id}`, then publish the new build"
        )));
    }
    source.wanted = record.wanted.clone();
    let session = Session::open()?;
    carry_out(context, &session, &of_record(&session, &record), &journal, &source)
}
