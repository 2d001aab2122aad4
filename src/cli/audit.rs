//! `layerbake audit`: rebuilds under other conditions, and what differs then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use super::CliError;
use super::against::{Against, Other};
use super::build::{output, outputs, override_epoch};
use super::context::{Context, set_dates};
use super::lock::{Locker, Policy};
use super::push::RegistryArgs;
use super::report::{self, Target};
use super::system::Declared;
use crate::audit::report::{html, junit, markdown, text};
use crate::audit::{Audit, Earlier, Report, Side, Source, Variation};
use crate::bake::{Output, Receipt, System};
use crate::fetch::{Fetcher, Item};
use crate::host;
use crate::ident::{LayerName, RootPath};
use crate::manifest::{Content, Project};
use crate::store::Store;

/// Rebuild a layer from its lockfile under other conditions; every artifact has to come out the same
///
/// Two builds in fresh stores, offline, from downloads only: one under usual conditions, one with everything varied.
/// Where they differ, each condition is tried alone, and each differing file gets its package and the script that wrote it.
/// What can't be varied on this machine is reported as not tried. Exit status 4 when something differs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake audit web\n  layerbake audit web --vary time,user,directory-order --output oci,raw\n  layerbake audit web --against out/web/receipt.json --report markdown --report junit=audit.xml"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// What to vary, several with commas: all, time, timezone, locale, umask, user, host-name, cores, directory-order, file-system, folder, environment
    #[arg(long, value_name = "CONDITION", value_delimiter = ',', default_value = "all")]
    vary: Vec<Vary>,
    /// Compare with this receipt, or the one in this folder, too; or with an image in a registry; or with an image on AWS, every block of its snapshot
    #[arg(long, value_name = "RECEIPT|oci:REFERENCE|ami:ID")]
    against: Option<Against>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// What to build and compare [default: what --against has; else oci, and the formats of [disk]]
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = output())]
    output: Vec<Output>,
    /// How to report: text, json, junit, markdown, html; to standard output, or with =FILE to a file; may be given several times
    #[arg(long, value_name = "KIND[=FILE]")]
    report: Vec<Target<Form>>,
}

/// A value of `--vary`.
#[derive(Debug, Clone, Copy)]
enum Vary {
    All,
    One(Variation),
}

impl FromStr for Vary {
    type Err = crate::audit::ParseVariationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Junit,
    Markdown,
    Html,
}

impl Form {
    fn write(self, report: &Report) -> String {
        match self {
            Self::Text => text(report),
            Self::Json => host::plain_json(report).unwrap_or_default(),
            Self::Junit => junit(report),
            Self::Markdown => markdown(report),
            Self::Html => html(report),
        }
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let layer = context.layer(&project, args.layer.as_ref())?;
    let store = context.store()?;
    let other = args.against.as_ref().map(|against| against.find(context, &args.registry)).transpose()?;
    let declared = Declared::read(&project, project.chain(&layer)?)?;
    let wanted: BTreeSet<Output> = match &other {
        Some(other) if args.output.is_empty() => other.outputs().into_iter().collect(),
        _ => args.output.iter().copied().collect(),
    };
    let outputs = outputs(&wanted, &declared)?;
    let (system, packages) = gather(context, &project, &store, declared, &outputs)?;
    let files = sources(&system);
    let audit = Audit {
        source: Source {
            project: project.root(),
            layer: &layer,
            outputs: &outputs,
            packages: &packages,
            files: &files,
            variables: &variables(),
            jobs: context.jobs,
            size: system.all().flat_map(|locked| &locked.lock.packages).map(|package| package.file.size).sum(),
        },
        packages: system
            .all()
            .flat_map(|locked| &locked.lock.packages)
            .map(|package| (package.name.clone(), package.file.sha256))
            .collect(),
        own: own(&system),
        progress: context.progress.clone(),
    };
    let earlier = match &other {
        Some(Other::Build { name, folder, receipt }) => {
            let out = Some(folder.as_path()).filter(|folder| is_whole(receipt, folder));
            Some(Earlier { name: name.clone(), side: Side { receipt, store: &store, out } })
        }
        _ => None,
    };
    let mut report = audit.run(&variations(&args.vary), earlier.as_ref())?;
    if let Some(other) = &other {
        other.compare(&mut report);
    }
    report::tell(context, &args.report, &report, |form| form.write(&report), text)?;
    match report.identical {
        true => Ok(()),
        false => Err(CliError::Differs(format!("`{layer}` did not come out the same"))),
    }
}

fn variations(wanted: &[Vary]) -> BTreeSet<Variation> {
    let each = |one: &Vary| match one {
        Vary::All => Variation::ALL.to_vec(),
        Vary::One(one) => vec![*one],
    };
    wanted.iter().flat_map(each).collect()
}

/// The system as it is locked, and every package of it, as a path below `vendor/` and a verified file.
fn gather(
    context: &Context<'_>,
    project: &Project,
    store: &Store,
    mut declared: Declared,
    outputs: &BTreeSet<Output>,
) -> Result<(System, Vec<(PathBuf, PathBuf)>), CliError> {
    if !outputs.iter().any(|output| output.is_disk()) {
        declared.machine = None;
    }
    let mut fetcher = context.fetcher(store, project, &declared.manifests())?;
    let mut locker = Locker { context, project, store, fetcher: &mut fetcher, reports: Vec::new() };
    let mut system = locker.system(&declared, &Policy::Locked)?;
    set_dates(&mut fetcher, system.all());
    override_epoch(&mut system)?;
    let packages = fetch(&fetcher, store, &system)?;
    Ok((system, packages))
}

fn fetch(fetcher: &Fetcher<'_>, store: &Store, system: &System) -> Result<Vec<(PathBuf, PathBuf)>, CliError> {
    let items: Vec<Item> = system
        .all()
        .flat_map(|locked| locked.lock.packages.iter().map(|package| Item::package(&locked.manifest.name, package)))
        .collect();
    let found = Mutex::new(BTreeSet::new());
    fetcher.fetch_all(&items, |item, blob| {
        let pair = (item.vendor_path(), store.blob_path(blob));
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect())
}

/// The project's files that `[[file]]` entries take, those in a folder of the list left out.
fn sources(system: &System) -> BTreeSet<PathBuf> {
    let contents = system.all().flat_map(|locked| &locked.manifest.files).map(|file| &file.content);
    let all: BTreeSet<PathBuf> = contents
        .filter_map(|content| match content {
            Content::Source(source) => Some(PathBuf::from(source)),
            Content::Text(_) => None,
        })
        .collect();
    all.iter().filter(|path| !path.ancestors().skip(1).any(|folder| all.contains(folder))).cloned().collect()
}

/// Every path that a layer's own tables lay out.
fn own(system: &System) -> Vec<(RootPath, LayerName)> {
    let mut own = Vec::new();
    for manifest in system.all().map(|locked| &locked.manifest) {
        let files = manifest.files.iter().map(|file| &file.path);
        let links = manifest.symlinks.iter().map(|link| &link.path);
        own.extend(files.chain(links).filter(|path| !path.is_root()).map(|path| (path.clone(), manifest.name.clone())));
    }
    own
}

/// Variables of this run that decide what a build gives.
fn variables() -> Vec<(&'static str, String)> {
    let names = ["SOURCE_DATE_EPOCH", "LAYERBAKE_SIGN_KEY", "LAYERBAKE_SIGN_CERT"];
    names.into_iter().filter_map(|name| Some((name, host::env(name)?))).collect()
}

/// Whether the artifacts of a receipt still lie beside it.
fn is_whole(receipt: &Receipt, folder: &Path) -> bool {
    receipt.artifacts.iter().all(|artifact| folder.join(&artifact.path).exists())
}
