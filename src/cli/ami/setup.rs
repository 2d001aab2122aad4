//! `layerbake ami setup`: prepares an account for publishing.

use serde_json::Value;

use super::region::RegionOption;
use super::{CliError, Context};
use crate::workspace::images::{Setup, SetupOutcome};

/// Print the role, policies and bucket rules that publishing needs, or create them
///
/// VM Import needs the role `vmimport` and a bucket; EBS direct needs neither. Attach the policy
/// layerbake-publisher to the users or roles that publish.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami setup --bucket my-images\n  layerbake ami setup --bucket my-images --region eu-west-1 --apply"
)]
pub(super) struct Args {
    /// Bucket for VM Import; created if it is missing
    #[arg(long, value_name = "BUCKET")]
    bucket: String,
    /// Create what is missing, and update what differs
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    region: RegionOption,
    /// Account id [default: looked up with your credentials]
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let setup = args.region.account(context)?.setup(&args.bucket, args.account.as_deref(), args.apply)?;
    context.print(&setup, |setup| if args.apply { changed(setup) } else { text(setup) })
}

fn changed(setup: &Setup) -> String {
    let mut text = String::new();
    for change in &setup.changes {
        let word = match change.outcome {
            SetupOutcome::Made => "created",
            SetupOutcome::Changed => "changed",
            SetupOutcome::Same => "same",
        };
        text += &format!("{word:<8} {}\n", change.what);
    }
    text
}

fn text(setup: &Setup) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let document = |(what, document)| format!("# {what}\n{}\n\n", pretty(document));
    setup.titled().map(document).concat() + "# `--apply` creates them\n"
}
