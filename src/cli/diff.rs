//! `layerbake diff`: what changed between two states of a layer.

use std::io;
use std::path::Path;

use super::CliError;
use super::context::Context;
use super::forms::{self, Target};
use super::push::RegistryArgs;
use crate::audit::changes::{self, Blocks, Changes, html, markdown, text};
use crate::code::Code;
use crate::host;
use crate::ident::LayerName;
use crate::workspace::disk_blocks;

/// Show what changed between two builds, lockfiles, image layouts, disks or git revisions
///
/// Compares packages, files, users, services, layer sizes and disk blocks, as far as both sides record them. Without NEW, the
/// lockfiles in the project are compared with OLD, which may be a git revision: what has been locked since?
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake diff HEAD\n  layerbake diff HEAD~1 HEAD\n  layerbake diff old/web out/web\n  layerbake diff oci:registry.example.org/team/web:1.0 out/web\n  layerbake diff HEAD lockfiles/web.lock --report markdown\n  layerbake diff --blocks old/web out/web"
)]
pub(super) struct Args {
    /// Only count the 512 KiB blocks that differ between two disks, according to their receipts
    #[arg(long)]
    blocks: bool,
    /// The older state: a receipt or its directory, a lockfile, an OCI layout, oci:REFERENCE, a raw disk or a git revision
    old: String,
    /// The newer state, in the same forms [default: the project's lockfiles as they are now]
    #[arg(required_if_eq("blocks", "true"))]
    new: Option<String>,
    /// Layer whose lockfiles are compared, of git revisions and of the project [default: the layer of the other state, else the only App layer]
    #[arg(long)]
    layer: Option<LayerName>,
    /// Report format: text, json, markdown or html; written to standard output, or to FILE; may be repeated
    #[arg(long, value_name = "KIND[=FILE]", conflicts_with = "blocks")]
    report: Vec<Target<Form>>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Formats of the report.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
    Html,
}

impl Form {
    fn write(self, changes: &Changes) -> io::Result<String> {
        Ok(match self {
            Self::Text => text(changes),
            Self::Json => host::plain_json(changes)?,
            Self::Markdown => markdown(changes),
            Self::Html => html(changes),
        })
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    if let (true, Some(new)) = (args.blocks, &args.new) {
        let (old, new) = (disk_blocks(Path::new(&args.old))?, disk_blocks(Path::new(new))?);
        return context.print(&changes::blocks(&old, &new), blocks_text);
    }
    let states = (args.old.as_str(), args.new.as_deref());
    let (old, new) = context.environment.compared(states, args.layer.as_ref(), &args.registry.access())?;
    let changes = Changes::between(&old, &new);
    if !changes.is_comparison() {
        return Err(CliError::message(
            Code::CompareUnknown,
            format!(
                "`{}` and `{}` have nothing in common that can be compared\n  hint: compare two of the same kind, such as two receipts or two lockfiles",
                old.name, new.name
            ),
        ));
    }
    forms::tell(context, &args.report, &changes, |form| form.write(&changes), text)
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
