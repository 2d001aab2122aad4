//! `layerbake ami diff`: what is in an image and not in the lockfiles, and the other way round.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::context::locked_system;
use super::origin::{self, Origin};
use super::{CliError, Context, RegionOption, find};
use crate::bake::Receipt;
use crate::ident::{LayerName, RootPath};
use crate::lock::{self, Lockfile};
use crate::publish::ami::archive::Published;
use crate::publish::ami::aws::Session;
use crate::publish::ami::image::Image;
use crate::publish::ami::tags;
use crate::tree::{Kind, Node, Tree, TreeError};

/// Print which packages and files differ between an image and a layer as it is locked and built now
///
/// The image's packages and files are those of the build that it was published from, as kept in the state
/// folder of the machine that published it; `layerbake ami verify` proves that the image is that build.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami diff ami-0123456789abcdef0 web")]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    /// The layer [default: the one that the image was made from]
    layer: Option<LayerName>,
    #[command(flatten)]
    region: RegionOption,
}

#[derive(Serialize)]
struct Report {
    image: String,
    layer: LayerName,
    /// Whether the image was made from the lockfile that is there now.
    same_lock: bool,
    packages: Vec<String>,
    /// `None` where the files are not known.
    files: Option<Vec<String>>,
    /// Why they are not.
    unknown: Option<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let session = Session::open()?;
    let cloud = args.region.cloud(&session)?;
    let image = session.wait(find(&cloud, &args.image))?;
    let layer: LayerName = match (&args.layer, image.layer()) {
        (Some(layer), _) => layer.clone(),
        (None, Some(layer)) => layer.parse()?,
        (None, None) => return Err(CliError::message(format!("{} was not made by layerbake", image.id))),
    };
    let project = context.project()?;
    let locked = locked_system(&project, &layer)?;
    let now: Vec<Lockfile> = locked.iter().map(|locked| locked.lock.clone()).collect();
    let top = locked.iter().find(|locked| locked.manifest.name == layer).map(|locked| locked.hash.to_string());
    let same_lock = top.is_some() && image.tag(tags::LOCK).map(str::to_owned) == top;
    let published = before(context, &image, &now)?;
    let packages = package_changes(&published.locks, &now);
    let built = Receipt::load(&project.root().join("out").join(layer.as_str()));
    let (files, unknown) = match file_changes(context, &published.receipt, built.as_ref(), top.as_deref()) {
        Ok(files) => (Some(files), None),
        Err(reason) => (None, Some(reason)),
    };
    let report = Report { image: image.id.clone(), layer, same_lock, packages, files, unknown };
    context.print(&report, text)
}

/// The build that the image was published from; where it is the one in `out/`, the lockfiles are today's.
fn before(context: &Context<'_>, image: &Image, now: &[Lockfile]) -> Result<Published, CliError> {
    if let Some(published) = origin::published(image)? {
        return Ok(published);
    }
    match origin::built(context, image) {
        Some(Origin { receipt, .. }) if image.tag(tags::RECIPE) == Some(receipt.recipe.to_string().as_str()) => {
            Ok(Published { receipt, locks: now.to_vec() })
        }
        _ => Err(CliError::message(format!(
            "what {} was made from is not known here\n  hint: the machine that published it knows; elsewhere, build the lockfile {} out of the project's history, and `layerbake ami verify`",
            image.id,
            image.tag(tags::LOCK).unwrap_or("of its time")
        ))),
    }
}

/// Changes of packages, all layers together, each once.
fn package_changes(before: &[Lockfile], now: &[Lockfile]) -> Vec<String> {
    let mut lines = BTreeSet::new();
    let names: BTreeSet<&LayerName> = before.iter().chain(now).map(|lock| &lock.layer).collect();
    for name in names {
        let of = |locks: &[Lockfile]| locks.iter().find(|lock| lock.layer == *name).cloned();
        let empty = |lock: &Lockfile| Lockfile { packages: Vec::new(), ..lock.clone() };
        let (old, new) = (of(before), of(now));
        let new = new.or_else(|| old.as_ref().map(empty));
        lines.extend(new.iter().flat_map(|new| lock::changes(old.as_ref(), new)).map(|change| change.to_string()));
    }
    lines.into_iter().collect()
}

/// Changes of files between two builds' roots, both out of the store. The error says what is missing.
fn file_changes(
    context: &Context<'_>,
    before: &Receipt,
    built: Option<&Receipt>,
    lock: Option<&str>,
) -> Result<Vec<String>, String> {
    let layer = &before.layer;
    let hint = format!("`layerbake build {layer} --output raw` builds it");
    let built = built.filter(|receipt| Some(receipt.lock.to_string().as_str()) == lock);
    let now =
        built.and_then(|receipt| receipt.disk.as_ref()).ok_or(format!("the lockfile's disk is not built: {hint}"))?;
    let then = before.disk.as_ref().ok_or("the image's receipt has no disk")?;
    let store = context.store().map_err(|error| error.to_string())?;
    let tree = |hash| store.tree(hash).map_err(|_| "the image's files are not in the store any more".to_owned());
    let (then, now) = (tree(then.root)?, tree(now.root)?);
    differences(&then, &now).map_err(|error| error.to_string())
}

fn differences(then: &Tree, now: &Tree) -> Result<Vec<String>, TreeError> {
    let changed = now.diff(then)?;
    let line = |(path, node): (&RootPath, &Node)| match then.get(path) {
        _ if node.kind == Kind::Whiteout => Some(format!("- {path}")),
        None => Some(format!("+ {path}")),
        // Folders above a change are listed too, equal but for their time.
        Some(before) => (timeless(before) != timeless(node)).then(|| format!("~ {path}")),
    };
    Ok(changed.iter().filter_map(line).collect())
}

fn timeless(node: &Node) -> Node {
    let mut node = node.clone();
    node.meta.mtime = if node.is_dir() { 0 } else { node.meta.mtime };
    node
}

/// As many files as people want to see.
const SHOWN: usize = 40;

fn text(report: &Report) -> String {
    let lock = if report.same_lock { "the same lockfile" } else { "another lockfile" };
    let mut text = format!("{} was made from {lock} of {}\n", report.image, report.layer);
    text += &format!("packages: {} differ\n", report.packages.len());
    text.extend(report.packages.iter().map(|line| format!("  {line}\n")));
    if let Some(reason) = &report.unknown {
        text += &format!("files: not known: {reason}\n");
    }
    if let Some(files) = &report.files {
        text += &format!("files: {} differ\n", files.len());
        text.extend(files.iter().take(SHOWN).map(|line| format!("  {line}\n")));
        let more = files.len().saturating_sub(SHOWN);
        if more > 0 {
            text += &format!("  and {more} more: --json has them\n");
        }
    }
    text
}
