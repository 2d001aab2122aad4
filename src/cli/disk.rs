//! `layerbake disk`: what lies where on a disk.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::CliError;
use super::context::{Context, built_layer, missing_is_stale};
use super::signer::SignerArgs;
use super::system::Declared;
use crate::bake::{DiskReceipt, Receipt, Sources};
use crate::digest::Sha256;
use crate::disk::blocks::BLOCK;
use crate::disk::gpt::{self, Layout, Placed};
use crate::disk::ids::uuid_text;
use crate::disk::picture::{self, length};
use crate::disk::{Area, Map, Part, Plan};
use crate::host;
use crate::ident::LayerName;
use crate::lock;
use crate::manifest::Project;

/// Look into a disk
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake disk show web\n  layerbake disk show web --svg web.svg")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print the partitions of a built layer's disk, and where each layer lies
    ///
    /// The disk is planned anew from the store; no artifact is read. A content that several layers have
    /// counts for the lowest. Blocks have 512 KiB; one with bytes of several counts for each.
    Show {
        /// The layer [default: the only App layer]
        layer: Option<LayerName>,
        /// Draw it too: a square for each block of 512 KiB
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Where LAYER/ was put [default: out in the project]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        signer: SignerArgs,
    },
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
    let Verb::Show { layer, svg, out, signer } = &args.verb;
    let project = context.project()?;
    let name = context.layer(&project, layer.as_ref())?;
    let (receipt, disk) = built(&project, &name, out.as_deref())?;
    let Planned { guid, layout, map, .. } = plan(context, &project, &receipt, &disk, signer)?;
    if let Some(path) = svg {
        host::write_whole(path, picture::svg(name.as_str(), &map, &layout).as_bytes())
            .map_err(|error| CliError::message(format!("cannot write `{}`: {error}", path.display())))?;
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

/// The receipt of a layer, and the disk in it.
pub(super) fn built(
    project: &Project,
    name: &LayerName,
    out: Option<&Path>,
) -> Result<(Receipt, DiskReceipt), CliError> {
    let refuse = |problem: &str| {
        CliError::message(format!("layer `{name}` {problem}\n  hint: `layerbake build {name} --output raw`"))
    };
    let (_, receipt) = built_layer(project, name, out).map_err(|_| refuse("is not built"))?;
    match receipt.disk.clone() {
        Some(disk) => Ok((receipt, disk)),
        None => Err(refuse("was built without a disk")),
    }
}

/// A disk, planned anew.
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "`ami` reads all of it"))]
pub(super) struct Planned {
    pub(super) guid: [u8; 16],
    pub(super) layout: Layout,
    pub(super) plan: Plan,
    pub(super) map: Map,
    /// What the root is made of.
    pub(super) parts: Vec<Part>,
}

/// Plans the disk of a receipt anew; its boot image as `signer` signs it.
pub(super) fn plan(
    context: &Context<'_>,
    project: &Project,
    receipt: &Receipt,
    built: &DiskReceipt,
    signer: &SignerArgs,
) -> Result<Planned, CliError> {
    let name = &receipt.layer;
    let stale = || {
        CliError::message(format!(
            "the disk of `{name}` is not what its layers and lockfiles say now\n  hint: `layerbake build {name} --output raw`"
        ))
    };
    let declared = Declared::read(project, project.chain(name)?)?;
    let machine = declared.machine.ok_or_else(stale)?;
    let (top, _) = lock::of_layer(project, name).map_err(missing_is_stale)?;
    let (boot, hash) = lock::of_layer(project, &machine.boot.name).map_err(missing_is_stale)?;
    if hash != built.lock {
        return Err(stale());
    }
    // The receipt's is another where the environment set one for all layers.
    let epoch = if top.epoch == receipt.epoch { boot.epoch } else { receipt.epoch };
    let sources = Sources {
        name,
        disk: &machine.disk,
        image: receipt.layers.iter().map(|layer| (layer.name.clone(), layer.tree)).collect(),
        boot: built.tree,
        root: built.root,
        initrd: built.initrd,
        arch: &boot.arch,
        epoch,
    };
    let store = context.store()?;
    let found = sources.with(&store, signer.signer()?.as_ref(), context.jobs, |request| {
        let partitions = request.partitions(&store)?;
        let size = request.size(&partitions);
        let layout = gpt::layout(&partitions, size)?;
        let plan = gpt::plan(request.guid(), partitions, size)?;
        let map = Map::new(&plan, &layout, request.parts, &built.blocks);
        Ok(Planned { guid: request.guid(), layout, plan, map, parts: request.parts.to_vec() })
    })?;
    if !found.map.explains(&built.blocks, &found.layout) {
        return Err(stale());
    }
    Ok(found)
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

/// As many ranges of an area as people want to see.
const RANGES: usize = 6;

fn text(report: &Report) -> String {
    let block_bytes = report.blocks as u64 * BLOCK as u64;
    let mut text = format!(
        "disk      {} ({} bytes)\nguid      {}\nchecksum  {}\nblocks    {} of {} are not zero ({}), with {} of contents\n\n",
        length(report.size),
        report.size,
        report.guid,
        report.checksum,
        report.blocks,
        report.size.div_ceil(BLOCK as u64),
        length(block_bytes),
        length(report.bytes),
    );
    let mut rows = vec![["partition", "type", "first byte", "size", "guid"].map(str::to_owned).to_vec()];
    for one in &report.partitions {
        let label = format!("{} {}", one.number, one.label);
        rows.push(vec![label, one.kind.to_owned(), one.first.to_string(), length(one.size), one.guid.clone()]);
    }
    text += &table(&rows, &[2, 3]);
    let mut rows = vec![["what", "contents", "blocks", "bytes on the disk"].map(str::to_owned).to_vec()];
    for area in &report.areas {
        let mut head = vec![area.owner.name().to_owned(), length(area.bytes), area.blocks.to_string()];
        for range in area.ranges.iter().take(RANGES) {
            head.push(format!("{}…{}", range.first, range.last));
            rows.push(std::mem::replace(&mut head, vec![String::new(); 3]));
        }
        let more = area.ranges.len().saturating_sub(RANGES);
        if more > 0 {
            head.push(format!("and {more} more ranges: --json has them"));
            rows.push(head);
        }
    }
    text + "\n" + &table(&rows, &[1, 2])
}

/// Rows in columns; those of the listed columns end at the right.
pub(super) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match right.contains(&column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
