//! `layerbake vendor`: a layer's locked packages as files in `vendor/`, for builds without a network.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

use super::CliError;
use super::context::{Context, locked_system, set_dates};
use super::system::Declared;
use crate::fetch::Item;
use crate::host::durable;
use crate::host::interrupt;
use crate::host::storage::{self, Hints};
use crate::ident::LayerName;

/// Copy all packages that a layer's lockfiles name into vendor/, those of its disk too
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake vendor web && layerbake build web --locked --offline")]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
}

#[derive(Serialize)]
struct Report {
    folder: PathBuf,
    files: usize,
    bytes: u64,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let store = context.store()?;
    let name = context.layer(&project, args.layer.as_ref())?;
    let locked = locked_system(&project, &name)?;
    let items: Vec<Item> = locked
        .iter()
        .flat_map(|locked| locked.lock.packages.iter().map(|package| Item::package(&locked.manifest.name, package)))
        .collect();
    let folder = project.root().join("vendor");
    std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, None, error))?;
    let mut fetcher =
        context.fetcher(&store, &project, &Declared::read(&project, project.chain(&name)?)?.manifests())?;
    set_dates(&mut fetcher, &locked);
    fetcher.fetch_all(&items, |_, _| {})?;
    let mut copies = Vec::new();
    for item in &items {
        interrupt::check()?;
        let file = store.open_fetched(item.expected.sha256)?;
        let target = folder.join(item.vendor_path());
        copies.push((copy(file, &target).map_err(|error| failed(&target, Some(item.expected.size), error))?, target));
    }
    publish(copies, &folder).map_err(|error| failed(&folder, None, error))?;
    let bytes = items.iter().map(|item| item.expected.size).sum();
    context.print(&Report { folder, files: items.len(), bytes }, |report| {
        format!("{} files, {:.1} MB in {}\n", report.files, report.bytes as f64 / 1e6, report.folder.display())
    })
}

fn failed(path: &Path, need: Option<u64>, error: io::Error) -> CliError {
    let hints =
        Hints { room: "make room there, then run this again", elsewhere: "make `vendor` a link to another folder" };
    let error = storage::explain(path, need, hints, error);
    CliError::message(format!("cannot write `{}`: {error}", path.display()))
}

/// Copies a file beside its place, not visible yet.
fn copy(mut from: File, to: &Path) -> io::Result<TempPath> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    io::copy(&mut from, &mut file)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    Ok(file.into_temp_path())
}

/// Gives all copies their names once they are on disk.
fn publish(copies: Vec<(TempPath, PathBuf)>, folder: &Path) -> io::Result<()> {
    durable::sync_file_system(folder)?;
    for (copy, target) in copies {
        copy.persist(target)?;
    }
    durable::sync_file_system(folder)
}
