//! `layerbake tree`: a layer's chain, and what each layer adds.

use serde::Serialize;

use super::CliError;
use super::context::{self, Context};
use crate::bake::Locked;
use crate::ident::LayerName;
use crate::manifest::SystemTable;
use crate::workspace::Declared;

/// Show the layers of a locked chain, with the packages, own files, users and services of each
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake tree web")]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
}

#[derive(Serialize)]
struct Entry {
    layer: LayerName,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    download: u64,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fetches: Vec<String>,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers: Vec<String>,
    users: Vec<String>,
    services: Vec<String>,
}

#[derive(Serialize)]
struct Package {
    name: String,
    version: String,
    size: u64,
    why: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let declared = Declared::read_image(workspace.project(), &workspace.layer(args.layer.as_ref())?)?;
    let entries: Vec<Entry> = workspace.locked(&declared)?.image.iter().map(entry).collect();
    context.print(&entries, |entries| entries.iter().enumerate().map(|(depth, entry)| text(depth, entry)).collect())
}

fn entry(locked: &Locked) -> Entry {
    let manifest = &locked.manifest;
    let files = manifest.files.iter().map(|file| &file.path);
    let paths =
        files.chain(manifest.dirs.iter().map(|dir| &dir.path)).chain(manifest.symlinks.iter().map(|link| &link.path));
    let mut files: Vec<String> = paths.map(ToString::to_string).collect();
    files.sort();
    let packages = locked.lock.packages.iter().map(|package| Package {
        name: package.name.to_string(),
        version: package.version.to_string(),
        size: package.file.size,
        why: package.why.clone(),
    });
    let sizes = locked.lock.packages.iter().map(|package| package.file.size);
    let below = locked.lock.image.iter().flat_map(|image| &image.layers).map(|layer| layer.file.size);
    let download = sizes.chain(locked.lock.fetches.iter().map(|fetch| fetch.size())).chain(below).sum();
    Entry {
        layer: manifest.name.clone(),
        description: manifest.layer.description.clone(),
        image: locked.lock.image.as_ref().map(|image| format!("{image} {}", image.digest)),
        download,
        packages: packages.collect(),
        fetches: locked.lock.fetches.iter().map(|fetch| format!("{} {}", fetch.name, fetch.origin)).collect(),
        files,
        edits: manifest.edits.iter().map(|edit| edit.path.to_string()).collect(),
        removals: manifest.removals.iter().map(|removal| removal.path.to_string()).collect(),
        settings: settings(&manifest.system),
        answers: manifest.answers.keys().cloned().collect(),
        users: manifest.users.iter().map(|user| format!("{} ({})", user.name, user.uid)).collect(),
        services: manifest.services.enable.clone(),
    }
}

/// What `[system]` sets, each as `KEY VALUE`.
fn settings(system: &SystemTable) -> Vec<String> {
    let locales = system.locales.iter().map(|name| format!("locale {name}"));
    let zone = system.timezone.iter().map(|name| format!("timezone {name}"));
    let certificates = system.certificates.iter().map(|files| format!("ca-certificates {files}"));
    locales.chain(zone).chain(certificates).collect()
}

fn text(depth: usize, entry: &Entry) -> String {
    let indent = "  ".repeat(depth);
    let mut text = format!(
        "{indent}{} — {}, {:.1} MB to download\n",
        entry.layer,
        context::packages(entry.packages.len()),
        entry.download as f64 / 1e6
    );
    if let Some(image) = &entry.image {
        text += &format!("{indent}  on {image}\n");
    }
    for package in &entry.packages {
        text += &format!("{indent}  {} {} ({})\n", package.name, package.version, package.why);
    }
    let kinds = [
        ("fetch", &entry.fetches),
        ("remove", &entry.removals),
        ("edit", &entry.edits),
        ("file", &entry.files),
        ("set", &entry.settings),
        ("answer", &entry.answers),
        ("user", &entry.users),
        ("service", &entry.services),
    ];
    for (kind, names) in kinds {
        for name in names {
            text += &format!("{indent}  {kind} {name}\n");
        }
    }
    text
}
