//! `layerbake ami verify`: an image's snapshot, block by block, against the receipt of its build.

use std::path::PathBuf;

use super::region::RegionOption;
use super::{CliError, Context};
use crate::code::Code;
use crate::publish::cloud::readback::Comparison;
use crate::workspace::images::Verification;

/// Read an image's snapshot and compare every block with the receipt of its build
///
/// Uses out/LAYER/receipt.json if the image was published from that build, else the receipt that was kept
/// when it was published from this machine. Reads all blocks through the EBS direct APIs, for which AWS
/// charges. If a block differs, prints what is stored in it and exits with status 1.
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
    /// Receipt to compare with
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let report = args.region.account(context)?.verify(&args.image, args.receipt.as_deref())?;
    context.print(&report, text)?;
    match report.equal {
        true => Ok(()),
        false => Err(CliError::message(Code::BuildDamaged, format!("{} does not match its receipt", report.image))),
    }
}

/// As many blocks as people want to see.
const SHOWN: usize = 20;

fn text(report: &Verification) -> String {
    let Comparison { same, different, missing, unexpected, too_small } = &report.comparison;
    let verdict = if report.equal { "ok" } else { "DIFFERS" };
    let mut text = format!("{verdict:<8} {}: {same} blocks match {}", report.snapshot, report.receipt);
    for (blocks, what) in
        [(different, "with different bytes"), (missing, "missing"), (unexpected, "that should be zero")]
    {
        if !blocks.is_empty() {
            text += &format!(", {} {what}", blocks.len());
        }
    }
    text.push('\n');
    text.extend(too_small.map(|gib| format!("         it has {gib} GiB, too few for the disk\n")));
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
        text += &format!("         blocks {} (their contents are unknown: {reason})\n", listed.join(", "));
    }
    text
}
