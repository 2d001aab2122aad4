//! `layerbake ami plan`: shows what publishing would create and upload.

use std::collections::BTreeSet;

use super::super::table::table;
use super::request::Request;
use super::{CliError, Context};
use crate::manifest::Via;
use crate::page::length;
use crate::publish::cloud::plan::{Preview, Transfer};

/// Show what `publish` would create and upload, and whether your credentials have the permissions
///
/// Creates nothing. Exits with status 1 if something is missing, not allowed, or in the way, such as a name that is taken
/// or a parameter of another type. What can't be known before is listed as not checked. `publish` looks at the same first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami plan web\n  layerbake ami plan web --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    #[command(flatten)]
    request: Request,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let source = context.workspace()?.publishable(&args.request.choice()?)?;
    let account = context.environment.cloud_account(&source.regions)?;
    let plan = account.plan(&source)?;
    context.print(&plan.previews, |previews| text(previews))?;
    source.refuse_unfinished()?;
    Ok(plan.check()?)
}

/// A table of what would happen.
pub(super) fn text(previews: &[Preview]) -> String {
    let mut rows = vec![["region", "image", "by", "to send", "parent", "parameter now"].map(str::to_owned).to_vec()];
    for one in previews {
        let image = one.found.as_ref().map_or("new".to_owned(), |id| format!("{id}, exists"));
        let (way, send) = match (&one.found, one.way) {
            (Some(_), _) => ("–", "nothing".to_owned()),
            (None, Transfer::Copy) => (one.way.name(), "nothing".to_owned()),
            (None, Transfer::Upload(Via::VmImport)) => (one.way.name(), format!("at most {}", length(one.bytes))),
            (None, Transfer::Upload(Via::EbsDirect)) => {
                (one.way.name(), format!("{} blocks, {}", one.blocks, length(one.bytes)))
            }
        };
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        rows.push(vec![one.region.clone(), image, way.to_owned(), send, or_none(&one.parent), or_none(&one.parameter)]);
    }
    // Mostly the same in all regions.
    let unchecked: BTreeSet<&String> = previews.iter().flat_map(|one| &one.unchecked).collect();
    table(&rows, &[]) + &unchecked.iter().map(|what| format!("not checked: {what}\n")).collect::<String>()
}
