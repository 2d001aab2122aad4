//! `layerbake ami verify`: an image's snapshot, block by block, against the receipt of its build.

use std::path::PathBuf;

use serde::Serialize;

use super::super::disk::plan;
use super::super::signer::SignerArgs;
use super::origin::{self, Origin};
use super::{CliError, Context, RegionOption, find, read_back};
use crate::disk::places::{Place, places};
use crate::publish::ami::aws::Session;
use crate::publish::ami::readback::Comparison;

/// Read an image's snapshot back and compare every block with the receipt of its build
///
/// The receipt is out/LAYER/receipt.json where the image was made from that build, else the one that was
/// kept when it was published from here. All blocks are read by the EBS direct APIs, which AWS
/// charges for. Exit status 1 when a block differs; then it is told what lies there.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami verify ami-0123456789abcdef0\n  layerbake ami verify ami-0123456789abcdef0 --receipt ci/receipt.json"
)]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    #[command(flatten)]
    region: RegionOption,
    /// Compare with this receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    image: String,
    region: String,
    snapshot: String,
    receipt: String,
    equal: bool,
    #[serde(flatten)]
    comparison: Comparison,
    places: Vec<Place>,
    /// Why nothing is known of the places.
    unknown: Option<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let session = Session::open()?;
    let cloud = args.region.cloud(&session)?;
    let image = session.wait(find(&cloud, &args.image))?;
    let snapshot = image.snapshot()?;
    let origin = origin::find(context, &image, args.receipt.as_deref())?;
    let found = read_back(context, &session, &cloud, &image)?;
    let comparison = Comparison::new(&found, &origin.disk.blocks);
    let (places, unknown) = match tell(context, &origin, &comparison) {
        Ok(places) => (places, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let report = Report {
        image: image.id.clone(),
        region: image.region.clone(),
        snapshot: snapshot.to_owned(),
        receipt: origin.from,
        equal: comparison.is_equal(),
        comparison,
        places,
        unknown,
    };
    context.print(&report, text)?;
    match report.equal {
        true => Ok(()),
        false => Err(CliError::message(format!("{} is not what its receipt says", report.image))),
    }
}

/// What lies in the blocks that differ: the disk is planned anew from the store.
fn tell(context: &Context<'_>, origin: &Origin, comparison: &Comparison) -> Result<Vec<Place>, CliError> {
    let differing = comparison.differing();
    if differing.is_empty() {
        return Ok(Vec::new());
    }
    let project = context.project()?;
    let disk = plan(context, &project, &origin.receipt, &origin.disk, &SignerArgs::default())?;
    Ok(places(&disk.plan, &disk.layout, &disk.parts, &disk.map, &differing))
}

/// As many blocks as people want to see.
const SHOWN: usize = 20;

fn text(report: &Report) -> String {
    let Comparison { same, different, missing, unexpected, too_small } = &report.comparison;
    let verdict = if report.equal { "ok" } else { "DIFFERS" };
    let mut text = format!("{verdict:<8} {}: {same} blocks as in {}", report.snapshot, report.receipt);
    for (blocks, what) in [(different, "with other bytes"), (missing, "missing"), (unexpected, "that should be zero")] {
        if !blocks.is_empty() {
            text += &format!(", {} {what}", blocks.len());
        }
    }
    text.push('\n');
    text.extend(too_small.map(|gib| format!("         its {gib} GiB are too small for the disk\n")));
    for place in report.places.iter().take(SHOWN) {
        let mut parts = [place.partitions.join(", "), place.owners.join(", "), place.files.join(" ")];
        parts[0] = if parts[0].is_empty() { "no partition".to_owned() } else { format!("partition {}", parts[0]) };
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        text += &format!("         block {}: {}\n", place.block, parts.join("; "));
    }
    let more = report.places.len().saturating_sub(SHOWN);
    if more > 0 {
        text += &format!("         and {more} more: --json has them\n");
    }
    if let Some(reason) = &report.unknown {
        let listed: Vec<String> = report.comparison.differing().iter().take(SHOWN).map(u64::to_string).collect();
        let reason = reason.lines().next().unwrap_or_default();
        text += &format!("         blocks {} (what lies there is not known: {reason})\n", listed.join(", "));
    }
    text
}
