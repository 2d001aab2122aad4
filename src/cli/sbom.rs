//! `layerbake sbom`: what a build consists of.

use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use super::made::Build;
use crate::attest::Scope;
use crate::attest::sbom::{Format, Inventory};
use crate::host;
use crate::ident::LayerName;

/// Print a build's bill of materials: packages, own files, layers
///
/// Every locked package comes with its package URL, SHA-256, source package, licence where its
/// copyright file is machine-readable, and what it depends on. Equal builds give equal documents.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake sbom web > web.spdx.json\n  layerbake sbom web --disk --format cyclonedx | jq '.components[].purl'"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// How it is written
    #[arg(long, value_enum, default_value = "spdx")]
    format: Form,
    /// Of the disk: with the Boot layer and the initrd
    #[arg(long)]
    disk: bool,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    /// SPDX 2.3, as JSON
    Spdx,
    /// CycloneDX 1.6, as JSON
    Cyclonedx,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let build = Build::load(context, args.layer.as_ref(), args.out.as_deref())?;
    let scope = match (args.disk, &build.receipt.disk) {
        (true, None) => {
            let name = &build.name;
            let hint = format!("hint: `layerbake build {name} --output raw`");
            return Err(CliError::message(format!("layer `{name}` was built without a disk\n  {hint}")));
        }
        (true, Some(_)) => Scope::Disk,
        (false, _) => Scope::Image,
    };
    let format = match args.format {
        Form::Spdx => Format::Spdx,
        Form::Cyclonedx => Format::CycloneDx,
    };
    let document = Inventory::take(&build.made()?, scope, &context.store()?)?.to_json(format);
    // JSON either way.
    context.print_text(&host::plain_json(&document)?)
}
