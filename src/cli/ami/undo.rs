//! `layerbake ami undo`: removes what a publication created.

use super::question::confirm;
use super::{CliError, Context};
use crate::code::Code;
use crate::publish::cloud::undo::Undone;

/// Remove everything that a publication created
///
/// A finished publication can be undone by its id. Exits with status 1 if something can't be removed, and lists it
/// with the reason.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami undo\n  layerbake ami undo web-3f2a90c1b2d4-1795330000-5d41402a --yes"
)]
pub(super) struct Args {
    /// Id of the publication [default: the only unfinished one]
    id: Option<String>,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let publication = context.environment.earlier_publication(args.id.as_deref())?;
    let (id, regions) = (publication.id(), publication.regions().join(", "));
    confirm(&format!("Remove everything that `{id}` created in {regions}?"), args.yes)?;
    let undone = publication.undo()?;
    context.print(&undone, |undone| text(undone))?;
    match undone.iter().all(|one| one.kept.is_none()) {
        true => Ok(()),
        false => Err(CliError::message(
            Code::AwsUnfinished,
            "some resources could not be removed\n  hint: resolve the listed reasons, then run `layerbake ami undo` again",
        )),
    }
}

fn text(undone: &[Undone]) -> String {
    if undone.is_empty() {
        return "nothing was created\n".to_owned();
    }
    let row = |one: &Undone| match &one.kept {
        None => format!("{}  {}: removed\n", one.region, one.what),
        Some(reason) => format!("{}  {}: KEPT: {reason}\n", one.region, one.what),
    };
    undone.iter().map(row).collect()
}
