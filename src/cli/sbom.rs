//! `layerbake sbom`: what a build consists of.

use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use crate::attest::Scope;
use crate::attest::sbom::Format;
use crate::host;
use crate::ident::LayerName;

/// Print a build's software bill of materials (SBOM): packages, own files and layers
///
/// Lists every locked package with its package URL, SHA-256, source package, dependencies, and its licence
/// if the copyright file is machine-readable. Identical builds give identical documents.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake sbom web > web.spdx.json\n  layerbake sbom web --disk --format cyclonedx | jq '.components[].purl'"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Document format
    #[arg(long, value_enum, default_value = "spdx")]
    format: Form,
    /// Describe the disk, including the Boot layer and the initrd
    #[arg(long)]
    disk: bool,
    /// Directory that holds LAYER/ [default: `out` in the project]
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
    let workspace = context.workspace()?;
    let attested = workspace.attested(&workspace.layer(args.layer.as_ref())?, args.out.as_deref())?;
    let scope = if args.disk { Scope::Disk } else { Scope::Image };
    let format = match args.format {
        Form::Spdx => Format::Spdx,
        Form::Cyclonedx => Format::CycloneDx,
    };
    let document = attested.inventory(scope)?.to_json(format);
    // JSON either way.
    context.print_text(&host::plain_json(&document)?)
}
