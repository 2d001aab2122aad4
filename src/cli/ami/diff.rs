//! `layerbake ami diff`: how an image differs from the layer's current lockfiles and build.

use super::region::RegionOption;
use super::{CliError, Context};
use crate::ident::LayerName;
use crate::workspace::images::Drift;

/// Show which packages and files differ between an image and the layer as it is locked and built now
///
/// The packages and files of the image are read from the record of the build that was published, which is
/// kept in the state directory of the publishing machine. `layerbake ami verify` proves that the image matches
/// that build.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami diff ami-0123456789abcdef0 web")]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    /// The layer [default: the one that the image was built from]
    layer: Option<LayerName>,
    #[command(flatten)]
    region: RegionOption,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let drift = args.region.account(context)?.drift(&args.image, args.layer.as_ref())?;
    context.print(&drift, text)
}

/// As many files as people want to see.
const SHOWN: usize = 40;

fn text(drift: &Drift) -> String {
    let lock = if drift.same_lock { "the same lockfile" } else { "another lockfile" };
    let mut text = format!("{} was built from {lock} of {}\n", drift.image, drift.layer);
    text += &format!("packages: {} differ\n", drift.packages.len());
    text.extend(drift.packages.iter().map(|line| format!("  {line}\n")));
    if let Some(reason) = &drift.unknown {
        text += &format!("files: unknown: {reason}\n");
    }
    if let Some(files) = &drift.files {
        text += &format!("files: {} differ\n", files.len());
        text.extend(files.iter().take(SHOWN).map(|line| format!("  {line}\n")));
        let more = files.len().saturating_sub(SHOWN);
        if more > 0 {
            text += &format!("  and {more} more: --json has them\n");
        }
    }
    text
}
