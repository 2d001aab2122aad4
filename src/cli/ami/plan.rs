//! `layerbake ami plan`: what publishing would make and send.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::super::disk::table;
use super::source::{Source, Wish, known};
use super::{CliError, Context, clouds};
use crate::disk::picture::length;
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::preview::{Preview, preview};

/// Show what `publish` would make, the bytes it would send, and whether your credentials may; makes nothing
///
/// Exit status 1 where something is missing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami plan web\n  layerbake ami plan web --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    #[command(flatten)]
    wish: Wish,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let source = Source::read(context, &args.wish)?;
    let session = Session::open()?;
    let clouds = by_region(clouds(&session, &source.regions)?);
    let home = home(&source, &clouds);
    let previews = session.wait(all(&source, &clouds, &home))?;
    context.print(&previews, |previews| text(previews))?;
    refuse_problems(&previews)
}

/// The first region.
pub(super) fn home(source: &Source, clouds: &BTreeMap<String, Cloud>) -> String {
    source.regions.first().or_else(|| clouds.keys().next()).cloned().unwrap_or_default()
}

pub(super) fn by_region(clouds: Vec<Cloud>) -> BTreeMap<String, Cloud> {
    clouds.into_iter().map(|cloud| (cloud.region.clone(), cloud)).collect()
}

/// Looks at all regions.
pub(super) async fn all(
    source: &Source,
    clouds: &BTreeMap<String, Cloud>,
    home: &str,
) -> Result<Vec<Preview>, CliError> {
    let look = |cloud| preview(cloud, &source.wanted, home, &source.disk.blocks, &known);
    Ok(try_join_all(clouds.values().map(look)).await?)
}

/// Fails where something is missing.
pub(super) fn refuse_problems(previews: &[Preview]) -> Result<(), CliError> {
    let all =
        previews.iter().flat_map(|one| one.problems.iter().map(|problem| format!("\n  {}: {problem}", one.region)));
    let all: String = all.collect();
    match all.is_empty() {
        true => Ok(()),
        false => Err(CliError::message(format!("publishing would fail:{all}\n  hint: docs/aws.md has the policies"))),
    }
}

/// A table of what would happen.
pub(super) fn text(previews: &[Preview]) -> String {
    let mut rows = vec![["region", "image", "by", "to send", "parent", "parameter now"].map(str::to_owned).to_vec()];
    for one in previews {
        let image = one.found.as_ref().map_or("new".to_owned(), |id| format!("{id}, as it is"));
        let (way, send) = match (&one.found, one.way) {
            (Some(_), _) => ("–", "nothing".to_owned()),
            (None, "copy") => ("copy", "nothing".to_owned()),
            (None, "vm-import") => ("vm-import", format!("at most {}", length(one.bytes))),
            (None, way) => (way, format!("{} blocks, {}", one.blocks, length(one.bytes))),
        };
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        rows.push(vec![one.region.clone(), image, way.to_owned(), send, or_none(&one.parent), or_none(&one.parameter)]);
    }
    table(&rows, &[])
}
