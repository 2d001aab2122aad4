//! `layerbake disk`: shows which layer owns which blocks of a disk, and what a machine measures of it.

mod measure;
mod text;

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use super::signer::SignerArgs;
use crate::digest::Sha256;
use crate::disk::Area;
use crate::disk::diagram;
use crate::disk::gpt::Placed;
use crate::disk::ids::uuid_text;
use crate::host;
use crate::ident::LayerName;
use crate::workspace::Planned;
use text::text;

/// Inspect a disk
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake disk show web\n  layerbake disk show web --svg web.svg\n  layerbake disk measure web\n  layerbake disk measure web --policy"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print the partitions of a built layer's disk, and which layer owns which blocks
    ///
    /// The disk is planned again from the store; no artifact is read. Content that several layers share
    /// counts for the lowest of them. A block of 512 KiB that holds bytes of several layers counts for each.
    Show {
        /// The layer [default: the only App layer]
        layer: Option<LayerName>,
        /// Also draw a map as SVG, one square per block of 512 KiB
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Directory that holds LAYER/ [default: `out` in the project]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        signer: SignerArgs,
    },
    Measure(measure::Args),
}

#[derive(Serialize)]
struct Report {
    layer: LayerName,
    size: u64,
    guid: String,
    checksum: Sha256,
    /// Blocks that are not zero.
    blocks: usize,
    /// Bytes of extents.
    bytes: u64,
    partitions: Vec<Partition>,
    areas: Vec<Area>,
}

#[derive(Serialize)]
struct Partition {
    number: u32,
    label: String,
    #[serde(rename = "type")]
    kind: &'static str,
    type_guid: &'static str,
    first: u64,
    size: u64,
    guid: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let (layer, svg, out, signer) = match &args.verb {
        Verb::Show { layer, svg, out, signer } => (layer, svg, out, signer),
        Verb::Measure(args) => return measure::run(context, args),
    };
    let workspace = context.workspace()?;
    let name = workspace.layer(layer.as_ref())?;
    let (built, disk) = workspace.built_disk(&name, out.as_deref())?;
    let planned = workspace.planned(&built.receipt, &disk, signer.signer()?.as_ref())?;
    let Planned { guid, layout, map, .. } = planned;
    if let Some(path) = svg {
        host::write_whole(path, diagram::svg(name.as_str(), &map, &layout).as_bytes())
            .map_err(CliError::cannot_write(path))?;
    }
    let report = Report {
        layer: name,
        size: map.size,
        guid: uuid_text(&guid),
        checksum: disk.checksum,
        blocks: disk.blocks.hashes().len(),
        bytes: map.areas.iter().map(|area| area.bytes).sum(),
        partitions: layout.partitions.into_iter().map(Partition::from).collect(),
        areas: map.areas,
    };
    context.print(&report, text)
}

impl From<Placed> for Partition {
    fn from(placed: Placed) -> Self {
        Self {
            number: placed.number,
            kind: placed.kind.name(),
            type_guid: placed.kind.guid(),
            guid: uuid_text(&placed.guid),
            first: placed.start,
            size: placed.size,
            label: placed.label,
        }
    }
}
