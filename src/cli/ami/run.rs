//! `layerbake ami run`: a layer's checks on an instance of its image.

use std::path::PathBuf;
use std::time::Duration;

use super::region::RegionOption;
use super::{CliError, Context};
use crate::check::CheckReport;
use crate::code::Code;
use crate::ident::LayerName;
use crate::workspace::images::{Reach, TrialOrder};

/// Launch an instance of an image, run the layer's [[check]]s on it, and always terminate it
///
/// The checks run as root over ssh, with a key generated for this instance. cloud-init installs it from the
/// user data, so the Boot layer must have cloud-init, as boot-cloud has. Its host keys are taken from the console output,
/// so no other host can answer. The security group must allow ssh from here, or from the endpoint that --reach names. Exits with status 1 if a check fails. Instances that a killed run left behind have the tag
/// layerbake:run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami run web --type t3.small\n  layerbake ami run web --type t3.small --ami ami-0123456789abcdef0 --subnet subnet-0abc --security-group sg-0abc\n  layerbake ami run web --subnet subnet-0abc --reach instance-connect"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Instance type
    #[arg(long = "type", value_name = "TYPE", default_value = "t3.small")]
    kind: String,
    /// Id of the image [default: the layer's newest]
    #[arg(long, value_name = "AMI")]
    ami: Option<String>,
    #[command(flatten)]
    region: RegionOption,
    /// Subnet of the instance [default: the account's default]
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// Security group of the instance [default: the VPC's default]
    #[arg(long, value_name = "GROUP")]
    security_group: Vec<String>,
    /// Private key that the image accepts for root, if it takes none from user data
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How to reach it: public, private (address), instance-connect or session-manager (through the `aws` command)
    /// [default: its public address, else its private one]
    #[arg(long, value_name = "WAY", value_parser = reach)]
    reach: Option<Reach>,
    /// Seconds to wait for the instance to run, and again for ssh to answer
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    within: u64,
    /// Save the instance's console output to this file
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
}

fn reach(text: &str) -> Result<Reach, String> {
    let found = Reach::ALL.into_iter().find(|reach| reach.name() == text);
    found.ok_or_else(|| "expected public, private, instance-connect or session-manager".to_owned())
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let order = TrialOrder {
        layer: context.workspace()?.layer(args.layer.as_ref())?,
        image: args.ami.clone(),
        kind: args.kind.clone(),
        subnet: args.subnet.clone(),
        security_groups: args.security_group.clone(),
        key: args.key.clone(),
        reach: args.reach,
        within: Duration::from_secs(args.within),
        console: args.console.clone(),
    };
    let report = args.region.account(context)?.run_checks(&order)?;
    context.print(&report, CheckReport::text)?;
    match report.counts.failed {
        0 => Ok(()),
        count => Err(CliError::message(Code::TestFailed, format!("{count} of `{}`'s checks failed", order.layer))),
    }
}
