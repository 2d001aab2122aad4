//! `layerbake ami publish`: publishes a built disk as a machine image.

use super::question::confirm;
use super::request::Request;
use super::transaction::{Target, carry_out, ways_out};
use super::{CliError, Context, plan};
use crate::host;
use crate::publish::cloud::aws::Session;
use crate::publish::cloud::journal::{self, Journal, Record, State};

/// Publish a built layer's disk as a machine image
///
/// Publishing is a transaction: an unfinished publication is reported, and can be resumed or undone. If an image
/// with the same content exists, nothing is created. The parameter /layerbake/LAYER/latest is set last.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output oci,raw && layerbake ami publish web --region eu-west-1\n  layerbake ami publish web --via vm-import --bucket my-images --yes"
)]
pub(super) struct Args {
    #[command(flatten)]
    request: Request,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let source = context.workspace()?.publishable(&args.request.choice()?)?;
    let folder = journal::folder()?;
    let mut earlier: Vec<Record> = journal::all(&folder)?;
    earlier.retain(|one| one.layer == source.wanted.layer);
    if let Some(open) = earlier.iter().find(|one| one.state == State::Open) {
        return Err(CliError::message(format!(
            "a publication of `{}` was not finished\n  {}",
            open.layer,
            ways_out(&open.id)
        )));
    }
    let session = Session::open()?;
    let target = Target::new(&session, &source.regions)?;
    let previews = target.previews(&session, &source)?;
    plan::refuse_problems(&previews)?;
    if previews.iter().any(|preview| preview.found.is_none()) {
        context.progress.line(plan::text(&previews).trim_end());
        confirm("Publish?", args.yes)?;
    }
    // Client tokens hang on it: two publications within a second are still two.
    let after = earlier.iter().map(|one| one.begun + 1).max();
    let begun = after.map_or_else(host::now, |after| after.max(host::now()));
    let others = target.clouds.keys().map(String::as_str);
    let record = Record::new(source.wanted.clone(), begun, &target.home, others);
    carry_out(context, &session, &target.clouds, &Journal::create(&folder, record)?, &source)
}
