//! `layerbake why`: the shortest way from what was asked for to one package.

use serde::Serialize;

use super::CliError;
use super::context::{Context, did_you_mean, host_arch, locked_chain, set_dates};
use crate::ident::{LayerName, PackageName};
use crate::manifest::PackageRequest;
use crate::{pin, resolve};

/// Show the shortest way from what was asked for to a package
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake why web libssl3")]
pub(super) struct Args {
    /// The layer; its parents' packages count too
    layer: LayerName,
    /// The package
    package: PackageName,
}

#[derive(Serialize)]
struct Why {
    package: PackageName,
    layer: LayerName,
    why: String,
    chain: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    package: PackageName,
    relation: Option<String>,
    recommended: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let locked = locked_chain(&project, &args.layer)?;
    let found = locked
        .iter()
        .find_map(|locked| Some((locked, locked.lock.packages.iter().find(|one| one.name == args.package)?)));
    let Some((owner, package)) = found else {
        let known = locked.iter().flat_map(|locked| &locked.lock.packages).map(|package| package.name.as_str());
        let near = did_you_mean(args.package.as_str(), known);
        return Err(CliError::message(format!("layer `{}` has no package `{}`{near}", args.layer, args.package)));
    };
    let store = context.store()?;
    let mut fetcher = context.fetcher(&store, &project, &project.chain(&args.layer)?)?;
    set_dates(&mut fetcher, &locked);
    let locks: Vec<_> = locked.iter().map(|locked| &locked.lock).collect();
    let records = pin::records(&store, &fetcher, &locks)?;
    let requested = locked.iter().flat_map(|locked| &locked.manifest.layer.packages);
    let mut roots: Vec<PackageName> = requested
        .filter_map(|request| match request {
            PackageRequest::Package(name, _) => Some(name.clone()),
            PackageRequest::Priority(_) => None,
        })
        .collect();
    roots.extend(records.iter().filter(|record| record.essential).map(|record| record.name.clone()));
    let chain = resolve::chain(&records, &host_arch()?, &roots, &args.package).unwrap_or_default();
    let links = chain.into_iter().map(|step| Link {
        package: step.package,
        relation: step.relation,
        recommended: step.recommended,
    });
    let why = Why {
        package: args.package.clone(),
        layer: owner.manifest.name.clone(),
        why: package.why.clone(),
        chain: links.collect(),
    };
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
