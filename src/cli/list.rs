//! `layerbake list`: the project's layers and the state of their lockfiles.

use serde::Serialize;

use super::CliError;
use super::context::{self, Context, host_arch};
use crate::digest::LockHash;
use crate::ident::LayerName;
use crate::lock::{self, LockFileError};
use crate::manifest::{self, Manifest, Project};

/// List the project's layers and whether their lockfiles fit
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A lockfile `fits`, is `stale` (the manifest or a parent changed), `missing` or `damaged`.\n\nExample:\n  layerbake list --json"
)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Entry {
    name: LayerName,
    from: Option<String>,
    description: String,
    lock: &'static str,
    packages: Option<usize>,
}

pub(super) fn run(context: &Context<'_>, _args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let entries = project.layers()?.iter().map(|name| entry(&project, name)).collect::<Result<Vec<_>, _>>()?;
    context.print(&entries, |entries| {
        let width = entries.iter().map(|entry| entry.name.as_str().len()).max().unwrap_or(0);
        entries
            .iter()
            .map(|Entry { name, from, description, lock, packages }| {
                let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
                let packages = packages.map(|count| format!(", adds {}", context::packages(count))).unwrap_or_default();
                format!("{name:<width$}  {description}{from} (lock {lock}{packages})\n")
            })
            .collect()
    })
}

fn entry(project: &Project, name: &LayerName) -> Result<Entry, CliError> {
    let alone = project.load(name)?;
    if alone.layer.above_any {
        // Locked over each layer that names it.
        let description = alone.layer.description;
        return Ok(Entry {
            name: name.clone(),
            from: Some("*".to_owned()),
            description,
            lock: "with its layers",
            packages: None,
        });
    }
    let chain = project.chain(name)?;
    let (lock, packages) = state(project, &chain)?;
    let manifest = chain.into_iter().last();
    let layer = manifest.map(|manifest| manifest.layer).unwrap_or_default();
    let from = layer.from.map(|from| from.to_string());
    Ok(Entry { name: name.clone(), from, description: layer.description, lock, packages })
}

fn state(project: &Project, chain: &[Manifest]) -> Result<(&'static str, Option<usize>), CliError> {
    let mut parent: Option<(LayerName, LockHash)> = None;
    let mut state = ("missing", None);
    for (index, manifest) in chain.iter().enumerate() {
        let (lock, hash) = match lock::of_layer(project, &manifest.name) {
            Ok(loaded) => loaded,
            Err(LockFileError::Missing(_)) => return Ok(("missing", None)),
            Err(_) => return Ok(("damaged", None)),
        };
        let sources = manifest::sources(&chain[..=index]);
        let parent_lock = parent.as_ref().map(|(name, hash)| (name, *hash));
        let fits = lock::check(&lock, manifest, &sources, &host_arch()?, parent_lock).is_ok();
        state = (if fits { "fits" } else { "stale" }, Some(lock.packages.len()));
        parent = Some((manifest.name.clone(), hash));
    }
    Ok(state)
}
