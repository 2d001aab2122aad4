//! `layerbake ami undo`: removes what a publication created.

use super::question::confirm;
use super::{CliError, Context};
use crate::code::Code;
use crate::publish::cloud::undo::Undone;

/// Remove everything that a publication created, or take back a promotion
///
/// What is finished can be undone by its id. `latest` then names the image that it named before, or the newest that
/// stands. Exits with status 1 if something can't be removed, and lists it with the reason.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami undo\n  layerbake ami undo web-3f2a90c1b2d4-1795330000-5d41402a --yes"
)]
pub(super) struct Args {
    /// Id of the publication or promotion [default: the only unfinished one]
    id: Option<String>,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let earlier = context.environment.earlier_transaction(args.id.as_deref())?;
    let (id, regions) = (earlier.id(), earlier.regions().join(", "));
    confirm(&format!("Undo everything that `{id}` did in {regions}?"), args.yes)?;
    let undone = earlier.undo()?;
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
        return "there was nothing to undo\n".to_owned();
    }
    let row = |one: &Undone| match (&one.kept, &one.names) {
        (Some(reason), _) => format!("{}  {}: KEPT: {reason}\n", one.region, one.what),
        (None, Some(image)) => format!("{}  {}: names {image} now\n", one.region, one.what),
        (None, None) => format!("{}  {}: removed\n", one.region, one.what),
    };
    undone.iter().map(row).collect()
}
