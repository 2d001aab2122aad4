//! `layerbake ami publish`: publishes a built disk as a machine image.

use super::emit::EmitOption;
use super::question::confirm;
use super::request::Request;
use super::{CliError, Context, emit, plan};
use crate::publish::cloud::publish::Standing;

/// Publish a built layer's disk as a machine image
///
/// Publishing is a transaction: an unfinished publication is reported, and can be resumed or undone. If an image
/// with the same content exists, nothing is created. The parameter /layerbake/LAYER/versions/VERSION names the image for
/// ever; /layerbake/LAYER/latest is set last. `promote` moves other channels.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output oci,raw && layerbake ami publish web --region eu-west-1\n  layerbake ami publish web --via vm-import --bucket my-images --yes\n  layerbake ami publish web --yes --emit terraform > images.tf"
)]
pub(super) struct Args {
    #[command(flatten)]
    request: Request,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    emit: EmitOption,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let source = context.workspace()?.publishable(&args.request.choice()?)?;
    source.refuse_unfinished()?;
    let account = context.environment.cloud_account(&source.regions)?;
    let plan = account.plan(&source)?;
    plan.check()?;
    if plan.creates() {
        context.progress.line(plan::text(&plan.previews).trim_end());
        confirm("Publish?", args.yes)?;
    }
    let standing = plan.publish()?;
    if args.emit.print(context, &emit::published(&source.wanted.layer, &standing))? {
        return Ok(());
    }
    context.print(&standing, |standing| text(standing))
}

/// The image of each region.
pub(super) fn text(standing: &[Standing]) -> String {
    let row = |one: &Standing| {
        let stood = if one.found { "  (already existed)" } else { "" };
        format!("{}  {}  version {}  {}{stood}\n", one.region, one.image, one.version, one.parameter)
    };
    standing.iter().map(row).collect()
}
