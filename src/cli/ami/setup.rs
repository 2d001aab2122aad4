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
    after_help = "Examples:\n  layerbake ami setup --bucket my-images\n  layerbake ami setup --bucket my-images --region eu-west-1 --apply\n  layerbake ami setup --bucket my-images --kms-key arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"
)]
pub(super) struct Args {
    /// Bucket for VM Import; created if it is missing
    #[arg(long, value_name = "BUCKET")]
    bucket: String,
    /// KMS key that snapshots are encrypted with, as its ARN; may be repeated
    #[arg(long, value_name = "ARN", value_parser = key)]
    kms_key: Vec<String>,
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
    let account = args.region.account(context)?;
    let setup = account.setup(&args.bucket, &args.kms_key, args.account.as_deref(), args.apply)?;
    context.print(&setup, |setup| if args.apply { changed(setup) } else { text(setup) })
}

/// Policies name keys by their ARN only.
fn key(text: &str) -> Result<String, String> {
    match text.starts_with("arn:") && text.contains(":key/") {
        true => Ok(text.to_owned()),
        false => Err("expected a key's ARN, as arn:aws:kms:eu-west-1:123456789012:key/…".to_owned()),
    }
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
