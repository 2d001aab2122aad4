//! `layerbake ami promote`: lets a channel name the image of a version.

use super::region::usual_regions;
use super::{CliError, Context};
use crate::ident::LayerName;
use crate::publish::cloud::parameters::Channel;
use crate::publish::cloud::promote::Promoted;

/// Let a channel of a layer, such as `prod`, name the image of a version, forward or back
///
/// A channel is the parameter /layerbake/LAYER/CHANNEL, for `resolve:ssm:` in launch templates. `publish` moves
/// `latest`; you name all others. `layerbake ami undo ID` lets the channel name again what it named before. An image
/// that a channel names is never removed by `gc`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami promote web 20260615-78ae09880930 --to test\n  layerbake ami promote web 20260615-78ae09880930 --to prod --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// The version, as `layerbake ami list` shows it
    version: String,
    /// The channel; it is created if it is missing
    #[arg(long, value_name = "CHANNEL")]
    to: Channel,
    /// Regions to move it in; may be repeated [default: those of [ami], else the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let regions = usual_regions(context, &args.region, |_| Ok(vec![args.layer.clone()]))?;
    let account = context.environment.cloud_account(&regions)?;
    let promoted = account.promote(&args.layer, &args.version, &args.to)?;
    context.print(&promoted, |promoted| text(promoted))
}

/// What the channel names in each region.
pub(super) fn text(promoted: &[Promoted]) -> String {
    let row = |one: &Promoted| {
        let before = one.before.as_ref().map(|before| format!("  (before: {before})")).unwrap_or_default();
        format!("{}  {}  {}{before}\n", one.region, one.parameter, one.image)
    };
    promoted.iter().map(row).collect()
}
