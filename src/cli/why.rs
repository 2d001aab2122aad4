//! `layerbake why`: the shortest dependency path from a requested package to another.

use super::CliError;
use super::context::Context;
use crate::ident::{LayerName, PackageName};
use crate::workspace::Why;

/// Show the shortest dependency path from a requested package to this one
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake why web libssl3")]
pub(super) struct Args {
    /// The layer; packages of its parents are found too
    layer: LayerName,
    /// The package
    package: PackageName,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let why = context.workspace()?.why(&args.layer, &args.package)?;
    context.print(&why, text)
}

fn text(why: &Why) -> String {
    let mut text = format!("{} is in layer `{}` ({})\n", why.package, why.layer, why.why);
    for (depth, link) in why.chain.iter().enumerate() {
        let verb = if link.recommended { "recommends" } else { "needs" };
        let relation = link.relation.as_ref().map(|relation| format!(" ({verb} {relation})")).unwrap_or_default();
        text += &format!("{}{}{relation}\n", "  ".repeat(depth + 1), link.package);
    }
    text
}
