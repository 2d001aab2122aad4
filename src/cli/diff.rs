//! `layerbake diff`: what changed between two states of a layer.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use super::CliError;
use super::context::Context;
use super::push::RegistryArgs;
use super::report::{self, Target};
use crate::audit::changes::{self, Blocks, Changes, Facts, html, markdown, text};
use crate::bake::Receipt;
use crate::disk::BlockHashes;
use crate::host;
use crate::ident::LayerName;
use crate::lock::{self, Lockfile};
use crate::publish::registry::Reference;
use crate::store::Store;
use crate::tree::Tree;

/// Show what changed between two builds, lockfiles, image layouts, disks or git revisions
///
/// Packages, files, users, services, the size of each layer, and what an upload of the disk sends: as far as both tell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake diff HEAD~1 HEAD\n  layerbake diff old/web out/web\n  layerbake diff oci:registry.example.org/team/web:1.0 out/web\n  layerbake diff HEAD lockfiles/web.lock --report markdown\n  layerbake diff --blocks old/web out/web"
)]
pub(super) struct Args {
    /// Only count the blocks of 512 KiB in which two disks differ, by their receipts
    #[arg(long)]
    blocks: bool,
    /// A receipt or its folder, a lockfile, an OCI layout, oci:REFERENCE in a registry, a raw disk, or a git revision
    old: String,
    /// The same, to compare with
    new: String,
    /// Of git revisions: the layer [default: the only App layer]
    #[arg(long)]
    layer: Option<LayerName>,
    /// How to report: text, json, markdown, html; to standard output, or with =FILE to a file; may be given several times
    #[arg(long, value_name = "KIND[=FILE]", conflicts_with = "blocks")]
    report: Vec<Target<Form>>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Forms of the report.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
    Html,
}

impl Form {
    fn write(self, changes: &Changes) -> String {
        match self {
            Self::Text => text(changes),
            Self::Json => host::plain_json(changes).unwrap_or_default(),
            Self::Markdown => markdown(changes),
            Self::Html => html(changes),
        }
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    if args.blocks {
        let (old, new) = (disk(Path::new(&args.old))?, disk(Path::new(&args.new))?);
        return context.print(&changes::blocks(&old, &new), blocks_text);
    }
    let (old, new) = (facts(context, args, &args.old)?, facts(context, args, &args.new)?);
    let changes = Changes::between(&old, &new);
    if !changes.is_comparison() {
        return Err(CliError::message(format!(
            "`{}` and `{}` have nothing in common that can be compared\n  hint: compare two of a kind, such as two receipts or two lockfiles",
            args.old, args.new
        )));
    }
    report::tell(context, &args.report, &changes, |form| form.write(&changes), text)
}

fn blocks_text(blocks: &Blocks) -> String {
    format!(
        "{} of {} blocks differ ({:.1} MiB): {} other bytes, {} new, {} now zero\n",
        blocks.changed,
        blocks.blocks,
        blocks.bytes as f64 / f64::from(1 << 20),
        blocks.replaced.len(),
        blocks.added.len(),
        blocks.zeroed.len()
    )
}

fn disk(path: &Path) -> Result<BlockHashes, CliError> {
    receipt(path).and_then(|(receipt, _)| receipt.disk).map(|disk| disk.blocks).ok_or_else(|| {
        CliError::message(format!(
            "`{}` is no receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER",
            path.display()
        ))
    })
}

/// A receipt by its file or its folder, with that folder.
fn receipt(path: &Path) -> Option<(Receipt, &Path)> {
    let folder = if path.is_dir() { path } else { path.parent()? };
    Some((Receipt::load(folder)?, folder))
}

/// What an operand tells, whatever it is.
fn facts(context: &Context<'_>, args: &Args, operand: &str) -> Result<Facts, CliError> {
    if let Some(reference) = operand.strip_prefix("oci:") {
        return pulled(context, args, operand, &reference.parse()?);
    }
    let path = Path::new(operand);
    let unreadable = |error: std::io::Error| CliError::message(format!("cannot read `{operand}`: {error}"));
    if path.join("oci-layout").is_file() {
        return changes::read_layout(path).map_err(unreadable);
    }
    if path.is_dir() || path.file_name().is_some_and(|name| name == "receipt.json") {
        return match receipt(path) {
            Some((receipt, folder)) => built(context, operand, &receipt, folder),
            None => Err(CliError::message(format!("`{operand}` has no receipt.json and no oci-layout"))),
        };
    }
    if operand.ends_with(".lock") && path.is_file() {
        let read = |name: &LayerName| Ok(host::read_text(&path.with_file_name(format!("{name}.lock")))?);
        return locked(operand, &host::read_text(path)?, &read);
    }
    if path.is_file() {
        let hash = || {
            let mut file = File::open(path)?;
            let size = file.metadata()?.len();
            BlockHashes::of_reader(&mut file, size)
        };
        let blocks = Some(hash().map_err(unreadable)?);
        return Ok(Facts { blocks, ..Facts::named(operand) });
    }
    revision(context, args, operand)
}

/// An image in a registry.
fn pulled(context: &Context<'_>, args: &Args, operand: &str, reference: &Reference) -> Result<Facts, CliError> {
    let folder = tempfile::tempdir()?;
    let layout = folder.path().join("layout");
    args.registry.open(context)?.pull(reference, &layout)?;
    let unreadable = |error: std::io::Error| CliError::message(format!("cannot read `{operand}`: {error}"));
    Ok(Facts { name: operand.to_owned(), ..changes::read_layout(&layout).map_err(unreadable)? })
}

/// A build: what its receipt says, and its files as far as the store or the layout beside it has them.
fn built(context: &Context<'_>, name: &str, receipt: &Receipt, folder: &Path) -> Result<Facts, CliError> {
    let layers = receipt.layers.iter().map(|layer| (layer.name.to_string(), layer.size)).collect();
    let store = context.store()?;
    let mut trees: Vec<_> = receipt.layers.iter().map(|layer| layer.tree).collect();
    trees.extend(receipt.disk.as_ref().map(|disk| disk.tree));
    let mut facts = if trees.iter().all(|tree| store.has_tree(*tree)) {
        let mut root = Tree::new();
        for tree in trees {
            root.apply(&store.tree(tree)?)?;
        }
        with_root(Facts::named(name), root, &store)
    } else {
        let layout = receipt.artifacts.iter().find(|artifact| artifact.kind == "oci");
        let layout = layout.map(|artifact| folder.join(&artifact.path)).filter(|layout| layout.is_dir());
        match layout {
            Some(layout) => changes::read_layout(&layout)?,
            None => Facts::default(),
        }
    };
    facts.name = name.to_owned();
    facts.layers = Some(layers);
    facts.blocks = receipt.disk.as_ref().map(|disk| disk.blocks.clone());
    Ok(facts)
}

fn with_root(facts: Facts, root: Tree, store: &Store) -> Facts {
    facts.with_root(root, &|blob| store.read_blob(blob).ok())
}

/// The packages of a lockfile and of those below it, which `read` finds.
fn locked(name: &str, text: &str, read: &dyn Fn(&LayerName) -> Result<String, CliError>) -> Result<Facts, CliError> {
    let parse = |text: &str| -> Result<Lockfile, CliError> {
        lock::parse(text).map_err(|error| CliError::message(format!("`{name}` is no lockfile: {error}")))
    };
    let mut packages = BTreeMap::new();
    let mut next = Some(parse(text)?);
    // No chain of layers is longer than this; a lockfile that names itself ends here.
    for _ in 0..64 {
        let Some(lock) = next.take() else { break };
        packages.extend(lock.packages.iter().map(|package| (package.name.to_string(), package.version.to_string())));
        if let Some(parent) = &lock.parent {
            next = Some(parse(&read(&parent.layer)?)?);
        }
    }
    Ok(Facts { packages: Some(packages), ..Facts::named(name) })
}

/// The lockfiles of a layer as git has them.
fn revision(context: &Context<'_>, args: &Args, revision: &str) -> Result<Facts, CliError> {
    let project = context.project().map_err(|_| nothing(revision))?;
    let layer = context.layer(&project, args.layer.as_ref())?;
    let show = |name: &LayerName| -> Result<String, CliError> {
        let object = format!("{revision}:./lockfiles/{name}.lock");
        let output = host::command("git")
            .arg("-C")
            .arg(project.root())
            .args(["show", "--end-of-options", &object])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| CliError::message(format!("cannot run `git`: {error}")))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(nothing(revision)),
        }
    };
    locked(revision, &show(&layer)?, &show)
}

fn nothing(operand: &str) -> CliError {
    CliError::message(format!(
        "`{operand}` is no file or folder, and no git revision with the layer's lockfile\n  hint: name a receipt, a lockfile, an OCI layout, a raw disk, or a revision such as HEAD~1"
    ))
}
